"""Commands that run the services: demo, up, serve, meta-worker."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli import options
from services.cli.console import stderr


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
    from services.demo import run_demo

    run_demo(data_dir=data_dir, output=output, candidates=candidates)


def up(
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    host: options.Host = None,
    port: options.Port = None,
    ray_address: options.RayAddress = None,
    ray_jobs_url: options.RayJobsUrl = None,
    log_level: options.LogLevel = None,
) -> None:
    """Run controller, meta-training worker and local Ray on this machine, until Ctrl-C.

    Example: `gtn-nas up --data-dir ./gtn-nas-data --port 8080`
    """
    from gtn_core.errors import GtnNasError
    from services.local_stack import LocalStack
    from services.logging import configure_logging
    from services.shutdown import Shutdown
    from services.wiring import load_settings

    settings = load_settings(
        data_dir=data_dir,
        database_url=database_url,
        host=host,
        port=port,
        ray_address=ray_address,
        ray_jobs_url=ray_jobs_url,
        log_level=log_level,
    )
    configure_logging(settings, process="up")
    shutdown = Shutdown()
    shutdown.listen()
    console = stderr()
    with LocalStack(settings) as stack:
        stack.wait_until_ready(shutdown)
        console.print(f"controller   {stack.url} (dashboard; {stack.url}/docs for the API)", highlight=False)
        console.print(f"data folder  {settings.data_dir}", highlight=False)
        for child in stack.children:
            console.print(f"log          {child.log_path}", highlight=False)
        if not shutdown.requested:
            console.print("ready; Ctrl-C ends everything, and nothing that was finished is lost")
        while not shutdown.requested and stack.failure is None:
            shutdown.wait(1.0)
        console.print("ending…")
    if stack.failure is not None:
        raise GtnNasError(stack.failure)


def serve(
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    host: options.Host = None,
    port: options.Port = None,
    ray_address: options.RayAddress = None,
    ray_jobs_url: options.RayJobsUrl = None,
    log_level: options.LogLevel = None,
) -> None:
    """Run the controller alone: the HTTP API, and the dispatching of searches.

    It listens beyond loopback only when an API key exists.

    Example: `gtn-nas serve --host 0.0.0.0 --port 8000`
    """
    from services.processes import end_with_parent

    end_with_parent()

    from services.controller.serving import serve as serve_api
    from services.wiring import load_settings

    serve_api(
        load_settings(
            data_dir=data_dir,
            database_url=database_url,
            host=host,
            port=port,
            ray_address=ray_address,
            ray_jobs_url=ray_jobs_url,
            log_level=log_level,
        )
    )


def meta_worker(
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    log_level: options.LogLevel = None,
) -> None:
    """Run one worker for meta-trainings and final trainings, until Ctrl-C.

    Example: `gtn-nas meta-worker --database-url postgresql://gtn_nas@db/gtn_nas`
    """
    from services.meta_worker.__main__ import run
    from services.wiring import load_settings

    run(load_settings(data_dir=data_dir, database_url=database_url, log_level=log_level))
