"""What Prometheus scrapes: this process's requests and streams, what the store counts, and the cluster."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http import HTTPMethod
from itertools import accumulate, pairwise
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.types import Scope

from services.controller.rising_counts import RisingCounts
from services.errors import ServiceError
from services.lifecycle import CandidateState, JobKind
from services.schemas import ClusterView, Readiness
from services.store import Store
from services.store.tallies import SECONDS_BOUNDS, CandidateTotals

METHODS = frozenset(HTTPMethod)
REASONS = 50
"""For which failed candidates are counted apart."""

CLUSTER_SECONDS = 15.0
"""A cluster is asked once in this time, however many scrape."""

log = structlog.get_logger(__name__)


class Metrics:
    """The metrics of one application, apart from those of any other in the same process."""

    def __init__(
        self,
        store: Store,
        *,
        open_streams: Callable[[], int],
        cluster: Callable[[], ClusterView],
        readiness: Callable[[], Readiness],
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(ReadinessCollector(readiness))
        self._registry.register(StoreCollector(store))
        self._registry.register(ClusterCollector(cluster))
        Gauge("gtn_nas_event_streams", "Event streams that are open", registry=self._registry).set_function(
            open_streams
        )
        self._request_seconds = Histogram(
            "gtn_nas_http_request_seconds",
            "Time until an answer begins",
            ["method", "route", "status"],
            registry=self._registry,
        )

    def observe_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer that begins now. The route's pattern is the label: paths would be endless.

        So would be methods, which a client may invent.
        """
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = getattr(scope.get("route"), "path", "unmatched")
        self._request_seconds.labels(method, route, status).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class AskedWhenScraped(Collector):
    """Of what others are asked for, which they are when Prometheus asks us and not before."""

    def describe(self) -> list[Metric]:
        """Nothing to ask for at registration."""
        return []


class ReadinessCollector(AskedWhenScraped):
    """What `/readyz` says, check by check."""

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    def collect(self) -> Iterator[Metric]:
        """One for each check."""
        ready = GaugeMetricFamily("gtn_nas_ready", "Whether a check of /readyz is passed", labels=["check"])
        for check in self._readiness().checks:
            ready.add_metric([check.name], check.ready)
        yield ready


class StoreCollector(AskedWhenScraped):
    """Asks the store when Prometheus asks us."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._losses = RisingCounts[JobKind]()
        self._seconds = RisingCounts[float | Literal["sum"]]()

    def collect(self) -> Iterator[Metric]:
        """Jobs and candidates; all are missing while the database is away, and `up` says that it is."""
        up = GaugeMetricFamily("gtn_nas_database_up", "Whether the database answers")
        jobs = GaugeMetricFamily("gtn_nas_jobs", "Jobs", labels=["kind", "state"])
        waiting = GaugeMetricFamily("gtn_nas_waiting_jobs", "Jobs that do not get on", labels=["kind"])
        candidates = GaugeMetricFamily("gtn_nas_candidates", "Candidates", labels=["state", "reason"])
        losses = CounterMetricFamily(
            "gtn_nas_lease_losses", "Runners that fell silent while they held a job", labels=["kind"]
        )
        try:
            for (kind, state), count in self._store.count_jobs().items():
                jobs.add_metric([kind, state], count)
            waits = self._store.count_waiting_jobs()
            for job_kind in JobKind:
                waiting.add_metric([job_kind], waits.get(job_kind, 0))
            totals = self._store.candidate_totals()
            for (candidate_state, reason), count in bounded(totals.outcomes).items():
                candidates.add_metric([candidate_state, reason or ""], count)
            for kind, lost in self._losses.read(self._store.count_lease_losses()).items():
                losses.add_metric([kind], lost)
            seconds = self._scoring_seconds(totals)
        except ServiceError as error:
            log.warning("metrics without the database", error=str(error))
            up.add_metric([], 0)
            yield up
        else:
            up.add_metric([], 1)
            yield from (up, jobs, waiting, candidates, losses, seconds)

    def _scoring_seconds(self, totals: CandidateTotals) -> Metric:
        bounds = (*SECONDS_BOUNDS, math.inf)
        between = [count - below for below, count in pairwise([0, *totals.within])]
        risen = self._seconds.read({"sum": totals.seconds, **dict(zip(bounds, between, strict=True))})
        counts_below = accumulate(risen[bound] for bound in bounds)
        family = HistogramMetricFamily("gtn_nas_scoring_seconds", "Time that scoring a candidate took")
        names = [*map(str, SECONDS_BOUNDS), "+Inf"]
        family.add_metric([], list(zip(names, counts_below, strict=True)), risen["sum"])
        return family


def bounded(counts: Mapping[tuple[CandidateState, str | None], int]) -> Counter[tuple[str, str | None]]:
    """The counts with the rarer reasons as one, so that plugins cannot make series without end."""
    by_count = sorted(counts, key=lambda each: -counts[each])
    kept = set([each for each in by_count if each[1]][:REASONS])
    found = Counter[tuple[str, str | None]]()
    for (state, reason), count in counts.items():
        found[state, "others" if reason and (state, reason) not in kept else reason] += count
    return found


class ClusterCollector(AskedWhenScraped):
    """Processors and accelerators, busy and in all, as `/v1/cluster` shows them."""

    def __init__(
        self, cluster: Callable[[], ClusterView], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster, self._clock = cluster, clock
        self._known: ClusterView | None = None
        self._asked_at = -CLUSTER_SECONDS
        self._asking = threading.Lock()  # who scrapes meanwhile waits: until then nobody knows

    def collect(self) -> Iterator[Metric]:
        """Nothing but `up` while the cluster does not answer."""
        view = self._view()
        yield GaugeMetricFamily("gtn_nas_cluster_up", "Whether the cluster answers", value=view is not None)
        if view is not None:
            for name, capacity in (("cpus", view.cpus), ("gpus", view.gpus)):
                family = GaugeMetricFamily(
                    f"gtn_nas_cluster_{name}", f"{name} of the cluster", labels=["state"]
                )
                family.add_metric(["busy"], capacity.busy)
                family.add_metric(["total"], capacity.total)
                yield family

    def _view(self) -> ClusterView | None:
        with self._asking:
            now = self._clock()
            if now - self._asked_at >= CLUSTER_SECONDS:
                self._asked_at = now
                try:
                    self._known = self._cluster()
                except ServiceError as error:
                    log.warning("metrics without the cluster", error=str(error))
                    self._known = None
            return self._known
