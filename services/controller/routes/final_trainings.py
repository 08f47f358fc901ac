"""Final trainings: /v1/final-trainings. They are submitted at their candidate, with `retrain`."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.controller.dependencies import StoreDep
from services.controller.events import NOTHING_MORE, FinalTrainingEvents, send_events
from services.controller.jobs import FinalTraining
from services.controller.queries import JobParameters
from services.controller.security import READS, SUBMITS
from services.controller.views import final_training_view, page_view
from services.lifecycle import Action, JobKind
from services.schemas import FinalTrainingView, Page

router = APIRouter(prefix="/v1/final-trainings", tags=["final trainings"], dependencies=[READS])


@router.get("", summary="List final trainings, newest first")
def list_final_trainings(query: JobParameters, store: StoreDep) -> Page[FinalTrainingView]:
    """One page of final trainings."""
    page = store.list_jobs(JobKind.FINAL_TRAINING, state=query.state, limit=query.limit, cursor=query.cursor)
    return page_view(page, final_training_view)


@router.get("/{final_training_id}", summary="Get a final training")
def get_final_training(job: FinalTraining) -> FinalTrainingView:
    """One final training; it tells the test accuracy once it has succeeded."""
    return final_training_view(job)


@router.post("/{final_training_id}/cancel", dependencies=[SUBMITS], summary="Cancel a final training")
def cancel_final_training(job: FinalTraining, store: StoreDep) -> FinalTrainingView:
    """Cancel a final training that has not ended; its worker lets go of it within seconds."""
    return final_training_view(store.act(job.id, Action.CANCEL))


@router.get(
    "/{final_training_id}/events",
    response_class=EventSourceResponse,
    responses=NOTHING_MORE,
    summary="Follow a final training as server-sent events",
)
async def follow_final_training(
    request: Request, stream: FinalTrainingEvents
) -> AsyncIterator[ServerSentEvent]:
    """Its events until it has ended: `state`, `progress`, `epoch`. Resumable with `Last-Event-ID`."""
    async for event in send_events(request, stream):
        yield event
