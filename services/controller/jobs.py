"""The job that a path names: without one the answer is 404, before anything else happens."""

from typing import Annotated

from fastapi import Depends

from services.controller.dependencies import StoreDep
from services.lifecycle import JobKind
from services.store import JobRecord


def find_meta_training(meta_training_id: str, store: StoreDep) -> JobRecord:
    """The meta-training of that id. Raises NotFoundError."""
    return store.get_job(meta_training_id, JobKind.META_TRAINING)


def find_search(search_id: str, store: StoreDep) -> JobRecord:
    """The search of that id. Raises NotFoundError."""
    return store.get_job(search_id, JobKind.SEARCH)


def find_final_training(final_training_id: str, store: StoreDep) -> JobRecord:
    """The final training of that id. Raises NotFoundError."""
    return store.get_job(final_training_id, JobKind.FINAL_TRAINING)


MetaTraining = Annotated[JobRecord, Depends(find_meta_training)]
Search = Annotated[JobRecord, Depends(find_search)]
FinalTraining = Annotated[JobRecord, Depends(find_final_training)]
