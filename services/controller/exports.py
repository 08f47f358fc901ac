"""From a candidate's trained weights to a file that runs without this package.

Whoever trained them also stores them as an archive of Python and weights. The other formats, and what was
trained before there was an archive, are made where they are asked for, in a process of their own: PyTorch's
tracing fails in two threads at once, and what it leaves behind adds up in a process that lives for months.
"""

import io
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from threading import BoundedSemaphore, Lock

from services.artifacts import ArtifactStore
from services.errors import BusyError, ServiceError
from services.export_files import WEIGHTS, StoredNetwork, export_file
from services.export_formats import ExportFormat
from services.lifecycle import JobKind, JobState
from services.processes import end_with
from services.store import CandidateRecord, JsonObject, Store


def latest_training(store: Store, candidate: CandidateRecord) -> JsonObject | None:
    """What the candidate's latest final training stored; None without one."""
    job = store.latest_jobs_of(JobKind.FINAL_TRAINING, [candidate.id], state=JobState.SUCCEEDED).get(
        candidate.id
    )
    return None if job is None else job.result


def formats_here(training: JsonObject) -> list[ExportFormat]:
    """Those that this installation can give of what a final training stored."""
    stored: set[ExportFormat] = _IN_ARCHIVES if "archive" in training else set()
    return [name for name in _NEEDS if name in stored or all(find_spec(package) for package in _NEEDS[name])]


def export_trained(
    store: Store,
    artifacts: ArtifactStore,
    candidate: CandidateRecord,
    training: JsonObject,
    format: ExportFormat,  # noqa: A002
) -> bytes:
    """The trained network as a zip archive of Python and weights, or as a single file.

    Raises ExportError, ModuleNotFoundError where PyTorch is needed and is not there, BusyError when too many
    wait for theirs, and ServiceError when the process that makes the file dies.
    """
    if "archive" in training and format in _IN_ARCHIVES:
        archive = artifacts.get(training["archive"])
        if format == "python":
            return archive
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read(WEIGHTS)
    if find_spec("torch") is None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    search = store.get_job(candidate.search_id, JobKind.SEARCH)
    network = StoredNetwork(
        search.request["search_space"] | training.get("config", {}).get("space_options", {}),
        candidate.encoding,
        store.get_checkpoint(search.request["checkpoint_id"]).manifest,
        artifacts.get(training["weights"]),
    )
    return _once((candidate.id, training["weights"], format), lambda: _in_its_own_process(network, format))


_IN_ARCHIVES: set[ExportFormat] = {"python", "safetensors"}

_NEEDS: dict[ExportFormat, tuple[str, ...]] = {
    "python": ("torch",),
    "safetensors": ("torch",),
    "torch_export": ("torch",),
    "onnx": ("torch", "onnx", "onnxscript"),
}
"""The packages that make a format; the extra `onnx` is not part of every installation."""

MOST_AT_ONCE = 8
"""Exports under way or in line for it, some seconds each; and as many requests that wait for one of those.

All of them hold a thread that other requests need.
"""

_ONE_AT_A_TIME = Lock()
"""Each export takes the memory of another PyTorch."""

MOST_SECONDS = 600
"""Of one export, which keeps all others from their turn: its process is ended then."""

_PLACES, _SEATS = BoundedSemaphore(MOST_AT_ONCE), BoundedSemaphore(MOST_AT_ONCE)

_UNDER_WAY: dict[tuple[str, ...], Future[bytes]] = {}


def _once(key: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
    """What `make` makes; who asks for the same meanwhile gets it too, as a client does that asks again."""
    ours: Future[bytes] = Future()
    under_way = _UNDER_WAY.setdefault(key, ours)
    if under_way is not ours:
        with _one_of(_SEATS):
            return under_way.result()
    try:
        with _one_of(_PLACES):
            ours.set_result(make())
    except BaseException as error:
        ours.set_exception(error)
    finally:
        del _UNDER_WAY[key]
    return ours.result()


@contextmanager
def _one_of(places: BoundedSemaphore) -> Iterator[None]:
    if not places.acquire(blocking=False):
        raise BusyError(f"{MOST_AT_ONCE} exports are being made or wait for their turn; try again later")
    try:
        yield
    finally:
        places.release()


def _in_its_own_process(network: StoredNetwork, format: ExportFormat) -> bytes:  # noqa: A002
    # A child that is forked from many threads can hang; one that is spawned begins afresh.
    spawn = get_context("spawn")
    try:
        with _ONE_AT_A_TIME, ProcessPoolExecutor(1, spawn, _begin, (os.getpid(), MOST_SECONDS)) as process:
            return process.submit(export_file, network, format).result()
    except BrokenProcessPool as broken:
        raise ServiceError(
            f"the process that exported {network.encoding!r} as {format} died, perhaps for want of memory, "
            f"or was ended after {MOST_SECONDS} s; try again, or export on a machine with more of both"
        ) from broken


def _begin(parent: int, seconds: int) -> None:
    """In the process of an export: end with the controller, and by the system's clock if it hangs."""
    end_with(parent)
    signal.alarm(seconds)
