"""The machines that score candidates: asked of Ray over HTTP, or counted on this machine.

Ray is never started or joined in this process: it replaces signal handlers, and ends its process when the
cluster goes away.
"""

import re
import socket
from typing import Any

from joblib import cpu_count

from services.controller.local_gpus import gpus_of_this_machine
from services.lifecycle import JobKind, JobState
from services.ray_dashboard import ask_ray
from services.schemas import Capacity, ClusterView, NodeView, RunningSearch
from services.store import JobRecord, Store

RAY_TIMEOUT_SECONDS = 5.0
MOST_SEARCHES = 200

# A line of a node's logical resources: "1.5/2.0 CPU (0.5 used of 1.0 reserved in placement groups)".
_USAGE = re.compile(r"^([\d.]+)/([\d.]+) (CPU|GPU)\b", re.MULTILINE)


def cluster_view(store: Store, ray_jobs_url: str) -> ClusterView:
    """Nodes, processors, searches. Raises ClusterUnavailableError when the Ray dashboard gives no answer."""
    searches = list(store.list_jobs(JobKind.SEARCH, state=JobState.RUNNING, limit=MOST_SEARCHES))
    nodes = _ray_nodes(ray_jobs_url) if ray_jobs_url else [_this_machine(store, searches)]
    alive = [node for node in nodes if node.alive]
    return ClusterView(
        source="ray" if ray_jobs_url else "this machine",
        nodes=nodes,
        cpus=_sum([node.cpus for node in alive]),
        gpus=_sum([node.gpus for node in alive]),
        running_searches=[
            RunningSearch(id=job.id, name=job.name, done=job.progress_done, total=job.progress_total)
            for job in searches
        ],
    )


def _ray_nodes(ray_jobs_url: str) -> list[NodeView]:
    return ask_ray(
        ray_jobs_url,
        "GET",
        "/nodes",
        _read_nodes,
        parameters={"view": "summary"},
        timeout_seconds=RAY_TIMEOUT_SECONDS,
    )


def _read_nodes(answer: dict[str, Any]) -> list[NodeView]:
    usage: dict[str, str] = answer["data"]["nodeLogicalResources"]
    return [_ray_node(node["raylet"], usage) for node in answer["data"]["summary"]]


def _ray_node(raylet: dict[str, Any], usage: dict[str, str]) -> NodeView:
    node_id: str = raylet["nodeId"]
    total: dict[str, float] = raylet.get("resourcesTotal", {})
    busy = {name: float(used) for used, _, name in _USAGE.findall(usage.get(node_id, ""))}
    return NodeView(
        id=node_id,
        address=raylet["nodeManagerAddress"],
        alive=raylet["state"] == "ALIVE",
        head=raylet["isHeadNode"],
        cpus=_capacity(total.get("CPU", 0), busy.get("CPU", 0)),
        gpus=_capacity(total.get("GPU", 0), busy.get("GPU", 0)),
    )


def _this_machine(store: Store, searches: list[JobRecord]) -> NodeView:
    """This machine, as busy as the candidates in flight make it; other programs are not counted."""
    cpus = gpus = 0.0
    for job in searches:
        in_flight, resources = len(store.in_flight(job.id)), job.request["resources"]
        cpus += in_flight * resources["cpus_per_candidate"]
        gpus += in_flight * resources["gpus_per_candidate"]
    return NodeView(
        id=socket.gethostname(),
        address="127.0.0.1",
        alive=True,
        head=True,
        cpus=_capacity(cpu_count(), cpus),
        gpus=_capacity(gpus_of_this_machine(), gpus),
    )


def _capacity(total: float, busy: float) -> Capacity:
    busy = min(busy, total)
    return Capacity(total=total, busy=busy, free=total - busy)


def _sum(capacities: list[Capacity]) -> Capacity:
    return _capacity(sum(each.total for each in capacities), sum(each.busy for each in capacities))
