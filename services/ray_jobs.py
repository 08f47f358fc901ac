"""The Jobs API of a Ray cluster over plain HTTP: who submits jobs needs neither Ray nor a node of it.

Ray's own client would bring Ray with it; what is needed of the protocol is five requests.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from services.errors import ClusterUnavailableError
from services.proxies import route_to

TIMEOUT_SECONDS = 10.0

_ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})
_ENTRYPOINT_FIELDS = {"CPU": "entrypoint_num_cpus", "GPU": "entrypoint_num_gpus"}


@dataclass(frozen=True, slots=True)
class RayJob:
    """A submitted job as the cluster tells it."""

    submission_id: str
    status: str  # PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED
    message: str
    error_type: str | None
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
        self._url = url.rstrip("/")

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
        self._ask("POST", "", body)

    def list(self) -> list[RayJob]:
        """All jobs that were submitted to the cluster and that it remembers."""
        return [_job(each) for each in self._ask("GET", "").json() if each.get("submission_id")]

    def get(self, submission_id: str) -> RayJob | None:
        """One job; None when the cluster does not know it: its head was restarted and has forgotten it."""
        answer = self._ask("GET", submission_id, may_be_missing=True)
        return None if answer.status_code == 404 else _job(answer.json())

    def logs(self, submission_id: str) -> str:
        """What the job has printed; empty when that is gone, with its node for example."""
        try:
            answer = self._ask("GET", f"{submission_id}/logs", may_be_missing=True)
        except ClusterUnavailableError:  # also the answer for the logs of a node that is gone
            return ""
        return "" if answer.status_code == 404 else str(answer.json().get("logs") or "")

    def stop(self, submission_id: str) -> None:
        """End a job: SIGTERM, and SIGKILL when it does not end by itself. One that is gone is no error."""
        self._ask("POST", f"{submission_id}/stop", may_be_missing=True)

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, may_be_missing: bool = False
    ) -> httpx2.Response:
        try:
            answer = httpx2.request(
                method,
                f"{self._url}/api/jobs/{path}",
                json=body,
                headers=ray_credentials(),
                timeout=TIMEOUT_SECONDS,
                **route_to(self._url),
            )
        except (httpx2.HTTPError, OSError) as error:
            raise ClusterUnavailableError(f"Ray at {self._url} does not answer: {error}") from error
        if answer.is_success or (may_be_missing and answer.status_code == 404):
            return answer
        hint = {401: "set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH", 403: "the token is not the cluster's"}
        reason = hint.get(answer.status_code) or answer.text.strip().rpartition("\n")[2][:500]
        raise ClusterUnavailableError(
            f"Ray at {self._url} answers {method} /api/jobs/{path} with {answer.status_code}: {reason}"
        )


def ray_credentials() -> dict[str, str]:
    """What a cluster under token authentication asks for, from the variables that Ray itself reads.

    Raises OSError when the file that RAY_AUTH_TOKEN_PATH names cannot be read.
    """
    token = os.environ.get("RAY_AUTH_TOKEN")
    if not token and (path := os.environ.get("RAY_AUTH_TOKEN_PATH")):
        token = Path(path).read_text().strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _job(details: dict[str, Any]) -> RayJob:
    return RayJob(
        submission_id=details["submission_id"],
        status=details["status"],
        message=details.get("message") or "",
        error_type=details.get("error_type"),
        exit_code=details.get("driver_exit_code"),
    )
