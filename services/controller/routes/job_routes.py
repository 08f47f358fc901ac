"""What every kind of job has under /v1: a list, itself, its end, its events. Each kind adds its own."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.controller.dependencies import StoreDep
from services.controller.events import NOTHING_MORE, EventStream, send_events, stream_of
from services.controller.jobs import find_job
from services.controller.queries import JobParameters
from services.controller.security import READS, SUBMITS
from services.controller.views import page_view
from services.lifecycle import Action, JobKind
from services.schemas import JobView, Page
from services.schemas.job_edit import JobEdit
from services.store import JobRecord, Store

View = TypeVar("View", bound=JobView)


@dataclass(frozen=True, slots=True)
class JobResource(Generic[View]):
    """A kind of job as the API names and shows it."""

    events: str  # the types of its events, beside those that all jobs have
    model: type[View]
    view: Callable[[JobRecord], View]
    view_alone: Callable[[Store, JobRecord], View] | None = None
    """As it is shown where it is the only one, if that is more."""

    def alone(self, store: Store, job: JobRecord) -> View:
        """The job as it is shown where it is the only one."""
        return self.view_alone(store, job) if self.view_alone else self.view(job)

    @property
    def kind(self) -> JobKind:
        """Whose value is its name in operation ids."""
        return self.model.kind

    @property
    def router(self) -> APIRouter:
        """An empty router for it."""
        return APIRouter(prefix=f"/v1/{self.kind.place}", tags=[self.kind.plural], dependencies=[READS])


def add_job_routes(router: APIRouter, resource: JobResource[View], *, get: str, delete: str) -> None:
    """All of a kind that is like the others; `get` and `delete` add to what is said of these."""
    add_list(router, resource)
    add_get(router, resource, get)
    add_edit(router, resource)
    add_action(
        router,
        resource,
        Action.CANCEL,
        f"Cancel a {resource.kind.noun} that has not ended; its worker lets go of it within seconds.",
    )
    add_action(
        router,
        resource,
        Action.RESUME,
        f"Let a {resource.kind.noun} that failed try again, once what it failed of is mended.",
    )
    add_delete(router, resource, delete)
    add_events(router, resource)


def add_list(router: APIRouter, resource: JobResource[View]) -> None:
    """GET of the collection."""

    def list_jobs(query: JobParameters, store: StoreDep) -> Any:
        page = store.list_jobs(
            resource.kind, state=query.state, name=query.name, limit=query.limit, cursor=query.cursor
        )
        return page_view(page, resource.view)

    router.get(
        "",
        name=f"list_{resource.kind.place.replace('-', '_')}",
        response_model=Page[resource.model],  # type: ignore[name-defined]  # a class made at run time
        summary=f"List {resource.kind.plural}, newest first",
        description=f"One page of {resource.kind.plural}.",
    )(list_jobs)


def add_get(router: APIRouter, resource: JobResource[View], description: str) -> None:
    """GET of one job."""
    job_of_path = find_job(resource.kind)

    def get_job(job: Annotated[JobRecord, Depends(job_of_path)], store: StoreDep) -> Any:
        return _with_position(resource.alone(store, job), store)

    router.get(
        f"/{{{resource.kind}_id}}",
        name=f"get_{resource.kind}",
        response_model=resource.model,
        summary=f"Get a {resource.kind.noun}",
        description=description,
    )(get_job)


def _with_position(view: View, store: Store) -> View:
    """A job as it is shown alone, with the id of its newest event. That is looked up last: it may tell more
    than the job shows, and never less.
    """
    return view.model_copy(update={"last_event_id": store.last_event_id(view.id)})


def add_edit(router: APIRouter, resource: JobResource[View]) -> None:
    """PATCH of one job."""
    job_of_path = find_job(resource.kind)

    def edit_job(edit: JobEdit, job: Annotated[JobRecord, Depends(job_of_path)], store: StoreDep) -> Any:
        return resource.alone(store, store.edit_job(job.id, name=edit.name, priority=edit.priority))

    router.patch(
        f"/{{{resource.kind}_id}}",
        name=f"edit_{resource.kind}",
        response_model=resource.model,
        dependencies=[SUBMITS],
        summary=f"Edit a {resource.kind.noun}",
        description=f"Give a {resource.kind.noun} another name, or another priority, "
        "which counts while it waits.",
    )(edit_job)


def add_action(router: APIRouter, resource: JobResource[View], action: Action, description: str) -> None:
    """POST of what is done to one."""
    job_of_path = find_job(resource.kind)

    def act(job: Annotated[JobRecord, Depends(job_of_path)], store: StoreDep) -> Any:
        return resource.alone(store, store.act(job.id, action))

    router.post(
        f"/{{{resource.kind}_id}}/{action}",
        name=f"{action}_{resource.kind}",
        response_model=resource.model,
        dependencies=[SUBMITS],
        summary=f"{action.capitalize()} a {resource.kind.noun}",
        description=description,
    )(act)


def add_delete(router: APIRouter, resource: JobResource[View], description: str) -> None:
    """DELETE of one that has ended."""
    job_of_path = find_job(resource.kind)

    def delete_job(job: Annotated[JobRecord, Depends(job_of_path)], store: StoreDep) -> None:
        store.delete_job(job.id)

    router.delete(
        f"/{{{resource.kind}_id}}",
        name=f"delete_{resource.kind}",
        status_code=204,
        dependencies=[SUBMITS],
        summary=f"Delete a {resource.kind.noun}",
        description=f"Delete a {resource.kind.noun} that has ended, with its events. {description}",
    )(delete_job)


def add_events(router: APIRouter, resource: JobResource[View]) -> None:
    """GET of its events as a stream."""
    stream_of_path = stream_of(find_job(resource.kind))

    async def follow_job(
        request: Request, stream: Annotated[EventStream, Depends(stream_of_path)]
    ) -> AsyncIterator[ServerSentEvent]:
        async for event in send_events(request, stream):
            yield event

    router.get(
        f"/{{{resource.kind}_id}}/events",
        name=f"follow_{resource.kind}",
        response_class=EventSourceResponse,
        responses=NOTHING_MORE,
        summary=f"Follow a {resource.kind.noun} as server-sent events",
        description="Its events until it has ended: `state`, `edited`, `waiting`, `suspended`, "
        f"{resource.events}. Resumable with `Last-Event-ID`.",
    )(follow_job)
