"""What a job needs to be resumed on this machine: a folder per job, kept until nobody can resume it."""

import shutil
from datetime import timedelta
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from services.errors import NotFoundError
from services.lifecycle import JobKind, JobState
from services.ownership import require_ownership
from services.store import Store, utc_now

FAILED_KEPT = timedelta(days=30)
"""For what a training that failed needs to be resumed."""


def state_folder(data_dir: Path, kind: JobKind, job_id: str) -> Path:
    """The job's own folder; it need not exist."""
    return data_dir / kind.value.replace("_", "-") / job_id


def discard_ended(data_dir: Path, store: Store, kinds: list[JobKind]) -> None:
    """Remove the folders of jobs that have ended or are gone; of those that failed, after FAILED_KEPT.

    Raises StoreUnavailableError, and ConflictError when the folders are another database's.

    Only once the database has a job's end: before that, whoever takes it over needs its state.
    """
    require_ownership(LocalFileSystem(), str(data_dir), store.database_id())
    for kind in kinds:
        for folder in state_folder(data_dir, kind, "*").parent.glob("*"):
            if _is_done_with(store, folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def _is_done_with(store: Store, job_id: str) -> bool:
    try:
        job = store.get_job(job_id)
    except NotFoundError:
        return True
    if job.state is JobState.FAILED and job.finished_at is not None:
        return utc_now() - job.finished_at > FAILED_KEPT
    return job.state.terminal
