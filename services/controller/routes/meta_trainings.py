"""Meta-training runs: /v1/meta-trainings."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.events import NOTHING_MORE, MetaTrainingEvents, send_events
from services.controller.idempotency import IdempotencyKeyHeader
from services.controller.jobs import MetaTraining
from services.controller.queries import JobParameters
from services.controller.security import READS, SUBMITS
from services.controller.validation import check_meta_training
from services.controller.views import meta_training_view, page_view
from services.lifecycle import Action, JobKind
from services.schemas import MetaTrainingView, Page
from services.schemas.requests import MetaTrainingRequest
from services.telemetry import current_origin

router = APIRouter(prefix="/v1/meta-trainings", tags=["meta-trainings"], dependencies=[READS])


@router.post("", status_code=201, dependencies=[SUBMITS], summary="Submit a meta-training run")
def create_meta_training(
    request: MetaTrainingRequest,
    response: Response,
    settings: SettingsDep,
    store: StoreDep,
    idempotency: IdempotencyKeyHeader,
) -> MetaTrainingView:
    """Meta-train a generator on a data set. Its product is a frozen checkpoint."""
    request = check_meta_training(request, settings)
    job = store.create_job(
        JobKind.META_TRAINING,
        name=request.name,
        request=request.model_dump(mode="json"),
        progress_total=request.config.meta_steps,
        origin=current_origin(),
        idempotency=idempotency,
    )
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    return meta_training_view(job)


@router.get("", summary="List meta-training runs, newest first")
def list_meta_trainings(query: JobParameters, store: StoreDep) -> Page[MetaTrainingView]:
    """One page of runs."""
    page = store.list_jobs(JobKind.META_TRAINING, state=query.state, limit=query.limit, cursor=query.cursor)
    return page_view(page, meta_training_view)


@router.get("/{meta_training_id}", summary="Get a meta-training run")
def get_meta_training(job: MetaTraining) -> MetaTrainingView:
    """One run; `checkpoint_id` names its product once it has succeeded."""
    return meta_training_view(job)


@router.post("/{meta_training_id}/cancel", dependencies=[SUBMITS], summary="Cancel a meta-training run")
def cancel_meta_training(job: MetaTraining, store: StoreDep) -> MetaTrainingView:
    """Cancel a run that has not ended; its worker lets go of it within seconds."""
    return meta_training_view(store.act(job.id, Action.CANCEL))


@router.get(
    "/{meta_training_id}/events",
    response_class=EventSourceResponse,
    responses=NOTHING_MORE,
    summary="Follow a meta-training run as server-sent events",
)
async def follow_meta_training(
    request: Request, stream: MetaTrainingEvents
) -> AsyncIterator[ServerSentEvent]:
    """Its events until it has ended: `state`, `progress`, `meta_step`. Resumable with `Last-Event-ID`."""
    async for event in send_events(request, stream):
        yield event
