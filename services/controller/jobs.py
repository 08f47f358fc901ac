"""The job that a path names, and whose a new job is. Without such a job: 404, before all else."""

from collections.abc import Callable
from functools import cache
from typing import Annotated

from fastapi import Depends, Path

from services.controller.dependencies import StoreDep
from services.controller.security import BOOTSTRAP, AuthenticatedCaller
from services.lifecycle import JobKind
from services.store import JobRecord


@cache
def find_job(kind: JobKind) -> Callable[..., JobRecord]:
    """A dependency: the job of that kind whose id is in the path, as `search_id`. Raises NotFoundError."""

    def job_of_path(job_id: Annotated[str, Path(alias=f"{kind.value}_id")], store: StoreDep) -> JobRecord:
        return store.get_job(job_id, kind)

    return job_of_path


async def _owner_key(caller: AuthenticatedCaller) -> str | None:
    return None if caller.id in {"", BOOTSTRAP} else caller.id


Search = Annotated[JobRecord, Depends(find_job(JobKind.SEARCH))]
OwnerKey = Annotated[str | None, Depends(_owner_key)]
"""The API key that a job belongs to; None for the bootstrap key, and where none is needed."""
