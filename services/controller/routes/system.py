"""How the controller and its cluster are: cluster, liveness, readiness, metrics."""

from importlib.metadata import version

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from services.controller.cluster import cluster_view
from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.problems import UNAVAILABLE, Problem
from services.controller.readiness import ReadinessProbe
from services.controller.security import READS
from services.errors import ClusterUnavailableError
from services.schemas import ClusterView, Health, Readiness

router = APIRouter(tags=["system"])


@router.get("/v1/cluster", dependencies=[READS], summary="See the cluster")
def get_cluster(settings: SettingsDep, store: StoreDep) -> ClusterView:
    """Nodes, CPUs and GPUs, busy and free, and the searches that run on them.

    A Ray cluster is told as its dashboard sees it, which may be half a minute ago.
    """
    try:
        return cluster_view(store, settings.ray_jobs_url)
    except ClusterUnavailableError as error:
        raise Problem(
            UNAVAILABLE,
            str(error),
            remedy="start the cluster, or correct GTN_NAS_RAY_JOBS_URL",
        ) from error


@router.get("/healthz", summary="Is the process alive?")
async def get_health() -> Health:
    """Answers as long as the process does; needs no key."""
    return Health(version=version("gtn-nas"))


@router.get(
    "/readyz", responses={503: {"model": Readiness, "description": "Not ready"}}, summary="Can it serve?"
)
async def get_readiness(request: Request, response: Response) -> Readiness:
    """Whether requests can be served, check by check; needs no key."""
    probe: ReadinessProbe = request.app.state.readiness
    answer = await to_thread.run_sync(probe.look, limiter=probe.threads)
    response.status_code = 200 if answer.ready else 503
    return answer


@router.get("/metrics", dependencies=[READS], response_class=Response, summary="Metrics for Prometheus")
def get_metrics(request: Request) -> Response:
    """Jobs, candidates and request latencies in Prometheus' text format. It needs a key that may read."""
    return Response(request.app.state.metrics.render(), media_type=CONTENT_TYPE_LATEST)
