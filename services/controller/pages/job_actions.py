"""What the buttons of jobs do, whatever their kind; those of searches alone are in search.py."""

from typing import Annotated

from fastapi import Depends, Form
from fastapi.responses import Response

from services.controller.jobs import find_job
from services.controller.pages.page import ACTS, PageDep, from_form, page_router
from services.lifecycle import Action, JobKind
from services.schemas.job_edit import JobEdit
from services.store import JobRecord

router = page_router()


def _add_delete(kind: JobKind) -> None:
    job_of_path = find_job(kind)

    def delete(page: PageDep, job: Annotated[JobRecord, Depends(job_of_path)]) -> Response:
        page.store.delete_job(job.id)
        return page.redirect(f"/{kind.place}")

    router.post(f"/{kind.place}/{{{kind}_id}}/delete", dependencies=ACTS)(delete)


def _add_edit(kind: JobKind) -> None:
    job_of_path = find_job(kind)

    def edit(
        page: PageDep,
        job: Annotated[JobRecord, Depends(job_of_path)],
        name: Annotated[str, Form()] = "",  # an empty field is not sent
        priority: Annotated[int, Form()] = 0,
    ) -> Response:
        asked = from_form(JobEdit, name=name, priority=priority)
        page.store.edit_job(job.id, name=asked.name, priority=asked.priority)
        return page.redirect(f"/{kind.place}/{job.id}")

    router.post(f"/{kind.place}/{{{kind}_id}}/edit", dependencies=ACTS)(edit)


def _add_action(kind: JobKind, action: Action) -> None:
    job_of_path = find_job(kind)

    def act(page: PageDep, job: Annotated[JobRecord, Depends(job_of_path)]) -> Response:
        page.store.act(job.id, action)
        return page.redirect(f"/{kind.place}/{job.id}")

    router.post(f"/{kind.place}/{{{kind}_id}}/{action}", dependencies=ACTS)(act)


for _kind in JobKind:
    _add_edit(_kind)
    _add_delete(_kind)
    for _action in (Action.RESUME, Action.CANCEL):
        _add_action(_kind, _action)
_add_action(JobKind.SEARCH, Action.PAUSE)
