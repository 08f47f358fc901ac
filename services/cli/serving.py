"""Commands that run the services: demo, up, serve, meta-worker."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import options
from services.cli.console import advise

if TYPE_CHECKING:
    from services.settings import Settings


def demo(
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep all state here.", show_default="a temporary folder")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the exported model.")] = Path(
        "demo-output"
    ),
    candidates: Annotated[int, typer.Option("--candidates", "-n", min=1, help="Candidates to score.")] = 40,
) -> None:
    """From handwritten digits to an exported model: all services, on this machine, in a few minutes.

    Example: `gtn-nas demo --output demo-output`
    """
    from services.cli.demo import run_demo

    run_demo(data_dir=data_dir, output=output, candidates=candidates)


@options.takes_settings(*options.CONTROLLER)
def up(settings: "Settings") -> None:
    """Run controller, meta-training worker and local Ray on this machine, until Ctrl-C.

    Example: `gtn-nas up --data-dir ./gtn-nas-data --port 8080`
    """
    from gtn_core.errors import GtnNasError
    from services.client.connection import DEFAULT_URL
    from services.local_stack import LocalStack
    from services.logging import configure_logging
    from services.shutdown import Shutdown

    configure_logging(settings, process="up")
    shutdown = Shutdown()
    shutdown.listen()
    with LocalStack(settings) as stack:
        stack.wait_until_ready(shutdown)
        advise(f"controller   {stack.url} (dashboard; {stack.url}/docs for the API)")
        advise(f"data folder  {settings.data_dir}")
        for child in stack.children:
            advise(f"log          {child.log_path}")
        if stack.url != DEFAULT_URL:
            advise(f"elsewhere    export GTN_NAS_URL={stack.url}")
        if not shutdown.requested:
            advise("ready; Ctrl-C ends everything, and nothing that was finished is lost")
        while not shutdown.requested and stack.failure is None:
            shutdown.wait(1.0)
        advise("ending…")
    if stack.failure is not None:
        raise GtnNasError(stack.failure)


@options.takes_settings(*options.CONTROLLER)
def serve(settings: "Settings") -> None:
    """Run the controller alone: the HTTP API, the pages, and the dispatching of jobs.

    It listens beyond loopback only when an API key exists.

    Example: `gtn-nas serve --host 0.0.0.0 --port 8000`
    """
    from services.processes import end_with_parent

    end_with_parent()

    from services.controller.serving import serve as serve_api

    serve_api(settings)


@options.takes_settings(*options.DATABASE, "ray_address", "log_level")
def meta_worker(settings: "Settings") -> None:
    """Run one worker for meta-trainings, final trainings and fidelity reports, until Ctrl-C.

    Example: `gtn-nas meta-worker --database-url postgresql://gtn_nas@db/gtn_nas`
    """
    from services.meta_worker.__main__ import run

    run(settings)
