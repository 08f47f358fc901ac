"""Candidates of all searches: /v1/candidates."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.controller.caching import IfNoneMatch, conditional
from services.controller.dependencies import ArtifactsDep, SettingsDep, StoreDep
from services.controller.exports import export_trained, latest_training
from services.controller.problems import CONFLICT, Problem
from services.controller.queries import CandidateParameters
from services.controller.rankings import candidate_views, latest_final_training
from services.controller.security import READS, SUBMITS
from services.controller.space_options import check_space_options
from services.controller.submission import SubmissionDep
from services.controller.validation import require_checkpoint, require_space
from services.controller.views import candidate_detail, final_training_view
from services.export_formats import ExportFormat
from services.lifecycle import CandidateState, JobKind
from services.schemas import CandidateDetail, CandidateView, FinalTrainingView, Page
from services.schemas.requests import RetrainRequest
from services.store import CandidateRecord

router = APIRouter(prefix="/v1/candidates", tags=["candidates"], dependencies=[READS])

MEDIA_TYPES: dict[ExportFormat, tuple[str, str]] = {
    "python": ("application/zip", "zip"),
    "safetensors": ("application/octet-stream", "safetensors"),
    "torch_export": ("application/octet-stream", "pt2"),
    "onnx": ("application/octet-stream", "onnx"),
}


def _candidate(candidate_id: str, store: StoreDep) -> CandidateRecord:
    return store.get_candidate(candidate_id)


Candidate = Annotated[CandidateRecord, Depends(_candidate)]


@router.get("", summary="List candidates across searches, best first")
def list_candidates(query: CandidateParameters, store: StoreDep) -> Page[CandidateView]:
    """One page of candidates; each rank is that in the candidate's own search."""
    page = store.list_candidates(
        query.filter(search_space=query.search_space),
        order_by=query.order_by,
        limit=query.limit,
        cursor=query.cursor,
    )
    return Page(items=candidate_views(store, page.items), next_cursor=page.next_cursor)


@router.get("/{candidate_id}", summary="Get a candidate")
def get_candidate(candidate: Candidate, store: StoreDep) -> CandidateDetail:
    """One candidate, with its loss curve and its latest final training."""
    return candidate_detail(candidate, latest_final_training(store, candidate.id))


@router.post(
    "/{candidate_id}/retrain",
    status_code=202,
    dependencies=[SUBMITS],
    summary="Train a candidate on real data",
)
def retrain_candidate(
    candidate: Candidate,
    response: Response,
    settings: SettingsDep,
    store: StoreDep,
    submission: SubmissionDep,
    request: RetrainRequest | None = None,
) -> FinalTrainingView:
    """Submit a final training. It opens the test split once, at its end; its weights can then be exported."""
    request = request or RetrainRequest()
    if candidate.state is not CandidateState.SUCCEEDED:
        raise Problem(
            CONFLICT,
            f"candidate {candidate.id} is {candidate.state}",
            remedy="retrain a candidate that was scored: GET /v1/candidates?state=succeeded",
        )
    search = store.get_job(candidate.search_id, JobKind.SEARCH)
    require_checkpoint(search.request["checkpoint_id"], settings, store)
    space = require_space(search)
    if request.space_options:
        check_space_options(space, request.space_options, candidate)
    job = submission.job(
        JobKind.FINAL_TRAINING,
        request,
        total=request.epochs,
        subject_id=candidate.id,
    )
    response.headers["Location"] = f"/v1/final-trainings/{job.id}"
    return final_training_view(job)


@router.get(
    "/{candidate_id}/export",
    response_class=Response,
    responses={
        200: {
            "description": "python: a zip archive of model.py and model.safetensors",
            "content": {
                media_type: {"schema": {"type": "string", "format": "binary"}}
                for media_type, _ in MEDIA_TYPES.values()
            },
        }
    },
    summary="Export a trained candidate",
)
def export_candidate(
    candidate: Candidate,
    store: StoreDep,
    artifacts: ArtifactsDep,
    format: ExportFormat = "python",  # noqa: A002 - the API's word
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A model that runs without this service, with the weights of the latest final training."""
    training = latest_training(store, candidate)
    if training is None:
        raise Problem(
            CONFLICT,
            f"candidate {candidate.id} has no trained weights: scoring keeps none",
            remedy=f"train it first (`gtn-nas retrain {candidate.id}`, POST /v1/candidates/{candidate.id}/"
            "retrain), and wait for its end",
        )
    media_type, suffix = MEDIA_TYPES[format]
    return conditional(
        f"{training['weights']}-{format}",
        if_none_match,
        lambda: export_trained(store, artifacts, candidate, training, format),
        media_type=media_type,
        file_name=f"{candidate.id}.{suffix}",
    )
