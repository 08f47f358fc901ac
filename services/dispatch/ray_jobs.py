"""The Jobs API of a Ray cluster over plain HTTP: who submits jobs needs neither Ray nor a node of it.

Ray's own client would bring Ray with it; what is needed of the protocol is five requests.
"""

import operator
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from services.errors import ClusterUnavailableError
from services.ray_dashboard import UnknownToRayError, ask_ray

T = TypeVar("T")
TIMEOUT_SECONDS = 10.0
LIST_TIMEOUT_SECONDS = 60.0
"""A busy head takes two seconds for each thousand jobs that it remembers."""

_ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})
_ENTRYPOINT_FIELDS = {"CPU": "entrypoint_num_cpus", "GPU": "entrypoint_num_gpus"}


@dataclass(frozen=True, slots=True)
class RayJob:
    """A submitted job as the cluster tells it."""

    submission_id: str
    status: str  # PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED
    message: str
    error_type: str | None
    ended_at: datetime | None
    exit_code: int | None  # of its command; None until it has ended, or where it never began

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.status in _ENDED

    @property
    def waiting(self) -> bool:
        """Whether its command has not begun: no node has had room for what it asks for."""
        return self.status == "PENDING"

    @property
    def never_had_room(self) -> bool:
        """Whether Ray gave it up for want of a node to begin on."""
        return self.error_type == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"


class RayJobs:
    """A cluster's jobs; every call raises ClusterUnavailableError when the cluster does not answer."""

    def __init__(self, url: str) -> None:
        """`url` is that of the head's dashboard, such as `http://head:8265`."""
        self._url = url

    def submit(
        self,
        entrypoint: str,
        submission_id: str,
        *,
        environment: Mapping[str, str],
        resources: Mapping[str, float],
    ) -> None:
        """Run a command on the cluster, where the resources are; without any, on the head.

        The environment is readable for everyone who can open Ray's dashboard: no secrets.
        """
        body: dict[str, Any] = {
            "entrypoint": entrypoint,
            "submission_id": submission_id,
            "runtime_env": {"env_vars": dict(environment)},
        }
        body |= {field: resources[name] for name, field in _ENTRYPOINT_FIELDS.items() if name in resources}
        custom = {name: amount for name, amount in resources.items() if name not in _ENTRYPOINT_FIELDS}
        if custom:
            body["entrypoint_resources"] = custom
        self._ask("POST", "", operator.itemgetter("submission_id"), body)

    def list(self) -> list[RayJob]:
        """All jobs that were submitted to the cluster and that it remembers."""
        return self._ask(
            "GET",
            "",
            lambda jobs: [_job(each) for each in jobs if each.get("submission_id")],
            timeout_seconds=LIST_TIMEOUT_SECONDS,
        )

    def get(self, submission_id: str) -> RayJob | None:
        """One job; None when the cluster does not know it: its head was restarted and has forgotten it."""
        try:
            return self._ask("GET", submission_id, _job)
        except UnknownToRayError:
            return None

    def logs(self, submission_id: str) -> str:
        """What the job has printed; empty when that is gone, with its node for example."""
        try:
            return self._ask("GET", f"{submission_id}/logs", lambda answer: str(answer["logs"] or ""))
        except ClusterUnavailableError:  # also the answer for the logs of a node that is gone
            return ""

    def stop(self, submission_id: str) -> None:
        """End a job: SIGTERM, and SIGKILL when it does not end by itself. One that is gone is no error."""
        with suppress(UnknownToRayError):
            self._ask("POST", f"{submission_id}/stop", operator.itemgetter("stopped"))

    def delete(self, submission_id: str) -> None:
        """Have the cluster forget a job that has ended. One that is gone is no error."""
        with suppress(UnknownToRayError):
            self._ask("DELETE", submission_id, operator.itemgetter("deleted"))

    def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[Any], T],
        body: Mapping[str, Any] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> T:
        return ask_ray(
            self._url, method, f"/api/jobs/{path}", read, body=body, timeout_seconds=timeout_seconds
        )


def _job(details: dict[str, Any]) -> RayJob:
    ended = details.get("end_time")  # in milliseconds
    return RayJob(
        submission_id=details["submission_id"],
        status=details["status"],
        message=details.get("message") or "",
        error_type=details.get("error_type"),
        ended_at=datetime.fromtimestamp(ended / 1000, UTC) if ended else None,
        exit_code=details.get("driver_exit_code"),
    )
