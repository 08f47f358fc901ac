"""What Prometheus scrapes: request latencies of this process, and counts that the store knows."""

from collections.abc import Iterator

import structlog
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from services.errors import ServiceError
from services.store import Store

log = structlog.get_logger(__name__)


class Metrics:
    """The metrics of one application, apart from those of any other in the same process."""

    def __init__(self, store: Store) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(StoreCollector(store))
        self._request_seconds = Histogram(
            "gtn_nas_http_request_seconds",
            "Time until an answer begins",
            ["method", "route", "status"],
            registry=self._registry,
        )

    def observe_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer that begins now. The route's pattern is the label: paths would be endless."""
        route = getattr(scope.get("route"), "path", "unmatched")
        self._request_seconds.labels(scope["method"], route, status).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class StoreCollector(Collector):
    """Asks the store when Prometheus asks us."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing to ask for at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Jobs and candidates; both are missing while the database is away, and `up` says that it is."""
        up = GaugeMetricFamily("gtn_nas_database_up", "Whether the database answers")
        jobs = GaugeMetricFamily("gtn_nas_jobs", "Jobs", labels=["kind", "state"])
        candidates = GaugeMetricFamily("gtn_nas_candidates", "Candidates", labels=["state", "reason"])
        try:
            for (kind, state), count in self._store.count_jobs().items():
                jobs.add_metric([kind, state], count)
            for (candidate_state, reason), count in self._store.count_candidates().items():
                candidates.add_metric([candidate_state, reason or ""], count)
        except ServiceError as error:
            log.warning("metrics without the database", error=str(error))
            up.add_metric([], 0)
            yield up
        else:
            up.add_metric([], 1)
            yield from (up, jobs, candidates)
