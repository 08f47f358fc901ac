"""Pictures of the dashboard for the documentation, from a real meta-training and real searches on digits.

    .venv/bin/python docs/make_screenshots.py --data-dir screenshots-data

The first run does what `gtn-nas demo` does and keeps its state in the data folder; later runs use it again.
Needs Chromium (Debian: apt-get install chromium) and the packages of the extra `test`.
"""

import argparse
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from services.cli.demo import run_demo
from services.client import ApiError, Client
from services.local_stack import LocalStack
from services.schemas import SearchView
from services.settings import Settings
from services.shutdown import Shutdown

FOLDER = Path(__file__).parent / "screenshots"
WIDTH = 1280
PATIENCE_MS = 120_000
FIDELITY = {"candidates": 16, "truth_steps": 200, "estimators": [{"name": "gtn"}, {"name": "zero_cost"}]}
LIVE_CANDIDATES = 300


@dataclass(frozen=True)
class Shot:
    """One page, as high as what is worth seeing."""

    name: str
    path: str
    height: int
    prepare: Callable[[Page], None] = lambda _: None


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="where the services keep their state")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser's program")
    given = parser.parse_args()
    if not (given.data_dir / "gtn-nas.db").exists():
        run_demo(data_dir=given.data_dir, output=given.data_dir / "export", candidates=40)
    FOLDER.mkdir(exist_ok=True)
    with stack(given.data_dir) as url, Client(url) as client, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        found = next(search for search in client.list_searches() if search.state == "succeeded")
        make_fidelity_report(client, found)
        with live_search(client, found):
            take(browser, url, Shot("overview", "/", 760))
        for shot in shots(client, found):
            take(browser, url, shot)
        browser.close()


@contextmanager
def stack(data_dir: Path) -> Iterator[str]:
    """The services over a data folder; the address of the controller."""
    with LocalStack(Settings(data_dir=data_dir, port=0)) as services:
        services.wait_until_ready(Shutdown())
        yield services.url


def make_fidelity_report(client: Client, search: SearchView) -> None:
    """One for the checkpoint, unless there is one."""
    if client.get_checkpoint(search.checkpoint_id).fidelity_report is None:
        report = client.create_fidelity_report(
            checkpoint_id=search.checkpoint_id, search_space=search.request["search_space"], **FIDELITY
        )
        client.wait(report.id)


@contextmanager
def live_search(client: Client, like: SearchView) -> Iterator[None]:
    """A search that has scored a tenth of its candidates; it is deleted afterwards."""
    search = client.create_search(
        name="NSGA-II: accuracy against parameters",
        checkpoint_id=like.checkpoint_id,
        search_space=like.request["search_space"],
        algorithm={"name": "nsga2"},
        objectives=["accuracy", "params"],
        max_candidates=LIVE_CANDIDATES,
    )
    for event in client.events(search.id):
        if event.data.get("done", 0) >= LIVE_CANDIDATES // 10:
            break
    try:
        yield
    finally:
        with suppress(ApiError):  # it has ended
            client.cancel(search.id)
        client.delete(search.id)


def shots(client: Client, search: SearchView) -> list[Shot]:
    """The pages of what a search found."""
    best = next(iter(client.candidates(search.id, state="succeeded", limit=1)))
    meta_training = next(job for job in client.list_meta_trainings() if job.state == "succeeded")
    return [
        Shot("new-search", f"/searches/new?from={search.id}", 1000),
        Shot("search", f"/searches/{search.id}", 1500),
        Shot("candidate", f"/candidates/{best.id}", 1250),
        Shot("checkpoint", f"/checkpoints/{search.checkpoint_id}", 1250),
        Shot("meta-training", f"/meta-trainings/{meta_training.id}", 640),
    ]


def take(browser: Browser, url: str, shot: Shot) -> None:
    """The page, light and dark."""
    for scheme in ("light", "dark"):
        context = browser.new_context(
            viewport={"width": WIDTH, "height": shot.height},
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(url + shot.path)
        expect(page.locator(".loading")).to_have_count(0, timeout=PATIENCE_MS)
        shot.prepare(page)
        page.wait_for_timeout(1500)  # charts and pictures draw themselves
        save(page.screenshot(), FOLDER / f"{shot.name}-{scheme}.png")
        context.close()


def save(png: bytes, path: Path) -> None:
    """Store a picture in few bytes: interfaces have few colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
