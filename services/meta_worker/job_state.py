"""What a job needs to be resumed on this machine: a folder per job, kept until the job has ended."""

import shutil
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from services.errors import NotFoundError
from services.lifecycle import JobKind
from services.ownership import require_ownership
from services.store import Store


def state_folder(data_dir: Path, kind: JobKind, job_id: str) -> Path:
    """The job's own folder; it need not exist."""
    return data_dir / kind.value.replace("_", "-") / job_id


def discard_ended(data_dir: Path, store: Store, kinds: list[JobKind]) -> None:
    """Remove the folders of jobs that have ended or are gone.

    Raises StoreUnavailableError, and ConflictError when the folders are another database's.

    Only once the database has a job's end: before that, whoever takes it over needs its state.
    """
    require_ownership(LocalFileSystem(), str(data_dir), store.database_id())
    for kind in kinds:
        for folder in state_folder(data_dir, kind, "*").parent.glob("*"):
            if _has_ended(store, folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def _has_ended(store: Store, job_id: str) -> bool:
    try:
        return store.get_job(job_id).state.terminal
    except NotFoundError:
        return True
