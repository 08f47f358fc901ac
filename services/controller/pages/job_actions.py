"""What the buttons of trainings and fidelity reports do; a search has more of them, see search.py."""

from typing import Annotated, Literal

from fastapi import Depends
from fastapi.responses import Response

from services.controller.jobs import find_job
from services.controller.pages.job_rows import KINDS
from services.controller.pages.page import ACTS, PageDep, page_router
from services.lifecycle import Action, JobKind
from services.store import JobRecord

router = page_router()


def _add_actions(kind: JobKind) -> None:
    _, place, _ = KINDS[kind]
    path, job_of_path = f"/{place}/{{{kind.value}_id}}", find_job(kind)

    def delete(page: PageDep, job: Annotated[JobRecord, Depends(job_of_path)]) -> Response:
        page.store.delete_job(job.id)
        return page.redirect(f"/{place}")

    def act(
        page: PageDep, job: Annotated[JobRecord, Depends(job_of_path)], action: Literal["resume", "cancel"]
    ) -> Response:
        page.store.act(job.id, Action(action))
        return page.redirect(f"/{place}/{job.id}")

    router.post(f"{path}/delete", dependencies=ACTS)(delete)
    router.post(f"{path}/{{action}}", dependencies=ACTS)(act)


for _kind in (JobKind.META_TRAINING, JobKind.FINAL_TRAINING, JobKind.FIDELITY_REPORT):
    _add_actions(_kind)
