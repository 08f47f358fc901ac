"""What evaluates a search's candidates. Imports Ray, and so must be imported inside a session of it."""

from pathlib import Path

import structlog

from nas.actor_engine import ActorEngine
from nas.cluster import RoomWatch
from nas.search import Engine
from nas.search_spec import SearchSpec
from nas.tune_engine import TuneEngine
from services.lease import Lease
from services.settings import Settings
from services.wiring import Backend

MOST_CANDIDATES_OF_TUNE = 1000
"""Tune keeps every trial in memory, and takes its time for each: see `benchmarks/bench_scaling.py`."""

log = structlog.get_logger(__name__)


def engine_for(settings: Settings, spec: SearchSpec, watch: RoomWatch, scratch: Path | None) -> Engine:
    """The engine that the settings name; left to us, by the size of the search. Its files go to `scratch`."""
    large = spec.max_candidates > MOST_CANDIDATES_OF_TUNE
    actors = settings.search_engine == "actors" or (settings.search_engine == "auto" and large)
    return ActorEngine(watch) if actors else TuneEngine(watch, scratch)


def room_watch(lease: Lease, backend: Backend) -> RoomWatch:
    """A search that does not get on says so where its users look; a local Ray gets no further node."""

    def on_waiting(reason: str | None) -> None:
        log.warning("no candidate gets on", reason=reason) if reason else log.info("candidates get on again")
        lease.insist(lambda: backend.store.set_waiting(lease.job.id, lease.owner, reason))

    if not backend.settings.ray_address:
        return RoomWatch(on_waiting, limit_seconds=0.0)
    return RoomWatch(on_waiting, limit_seconds=backend.settings.resource_wait_seconds or None)
