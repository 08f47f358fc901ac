"""Frozen checkpoints: /v1/checkpoints. They are addressed by their content, so each is stored once."""

from dataclasses import replace
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.datastructures import UploadFile

from gtn_core import CheckpointError, FrozenCheckpoint
from services.checkpoints import submit_checkpoint
from services.controller.caching import IfNoneMatch, conditional
from services.controller.dependencies import ArtifactsDep, PicturesDep, StoreDep
from services.controller.heavy_requests import HEAVY
from services.controller.idempotency import IdempotencyKeyHeader
from services.controller.problems import CONFLICT, UNSUPPORTED_MEDIA_TYPE, Problem, invalid_field
from services.controller.queries import PageParameters
from services.controller.security import READS, SUBMITS
from services.controller.shipped_checkpoints import shipped_ids
from services.controller.views import checkpoint_view, page_view
from services.lifecycle import JobKind
from services.schemas import CheckpointView, Page
from services.schemas.analysis import CurriculumView
from services.schemas.requests import JobName
from services.store import CheckpointRecord

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"], dependencies=[READS])

OCTET_STREAM = "application/octet-stream"
_BINARY = {"type": "string", "format": "binary"}
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            OCTET_STREAM: {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}
            },
        },
    }
}


async def _uploaded_file(request: Request) -> bytes:
    """The bytes of a checkpoint: the body itself, or the part `file` of a form."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == OCTET_STREAM:
        return await request.body()
    if media_type != "multipart/form-data":
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            f"a checkpoint cannot be sent as {media_type or 'a body without a content type'}",
            remedy=f"send the file with Content-Type: {OCTET_STREAM}, or as the part 'file' of a form",
        )
    async with request.form(max_files=1, max_fields=0) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise invalid_field("file", "the form has no file of this name", expected="a checkpoint file")
        return await file.read()


UploadedFile = Annotated[bytes, Depends(_uploaded_file)]


def _checkpoint(checkpoint_id: str, store: StoreDep) -> CheckpointRecord:
    return store.get_checkpoint(checkpoint_id)


Checkpoint = Annotated[CheckpointRecord, Depends(_checkpoint)]


@router.post(
    "",
    status_code=201,
    dependencies=[SUBMITS],
    responses={200: {"model": CheckpointView, "description": "It was here already"}},
    openapi_extra=_UPLOAD_BODY,
    summary="Upload a checkpoint",
)
def create_checkpoint(
    idempotency: IdempotencyKeyHeader,  # first: it keeps the body, which a form would use up
    data: UploadedFile,
    response: Response,
    store: StoreDep,
    artifacts: ArtifactsDep,
    name: Annotated[JobName | None, Query()] = None,
) -> CheckpointView:
    """Store a frozen GTN. The file is verified in full and never unpickled.

    One that is here already keeps its name, or takes this one if it has none.
    """
    try:
        checkpoint = FrozenCheckpoint.from_bytes(data)
    except CheckpointError as error:
        raise invalid_field("file", str(error), expected="a checkpoint as `download` gives it") from error
    if idempotency is not None:  # the boundary of a form is another each time
        idempotency = replace(idempotency, body_sha256=checkpoint.id)
    added = submit_checkpoint(store, artifacts, checkpoint, name=name or None, idempotency=idempotency)
    if not added.created:
        response.status_code = 200
    response.headers["Location"] = f"{router.prefix}/{added.checkpoint.id}"
    return checkpoint_view(added.checkpoint)


@router.get("", summary="List checkpoints, newest first")
def list_checkpoints(query: PageParameters, store: StoreDep) -> Page[CheckpointView]:
    """One page of checkpoints, each with its latest fidelity report."""
    page = store.list_checkpoints(limit=query.limit, cursor=query.cursor)
    reports = store.latest_jobs_of(JobKind.FIDELITY_REPORT, [record.id for record in page.items])
    return page_view(page, lambda record: checkpoint_view(record, reports.get(record.id)))


@router.get("/{checkpoint_id}", response_model=CheckpointView, summary="Get a checkpoint's manifest")
def get_checkpoint(checkpoint: Checkpoint, store: StoreDep, if_none_match: IfNoneMatch = None) -> Response:
    """Configuration, data set and fingerprint, metrics, versions; its latest fidelity report."""
    reports = store.latest_jobs_of(JobKind.FIDELITY_REPORT, [checkpoint.id])
    content = checkpoint_view(checkpoint, reports.get(checkpoint.id)).model_dump_json().encode()
    tag = sha256(content).hexdigest()[:32]
    return conditional(tag, if_none_match, lambda: content, media_type="application/json")


@router.delete("/{checkpoint_id}", status_code=204, dependencies=[SUBMITS], summary="Delete a checkpoint")
def delete_checkpoint(checkpoint: Checkpoint, store: StoreDep) -> None:
    """Delete a checkpoint that no search and no fidelity report is about. Its file goes within a day."""
    if checkpoint.id in shipped_ids():
        raise Problem(
            CONFLICT,
            f"checkpoint {checkpoint.id} comes with the package, and would be back at the next start",
            remedy="leave it; `latest` and the dashboard's choices prefer your own",
        )
    store.delete_checkpoint(checkpoint.id)


@router.get(
    "/{checkpoint_id}/download",
    response_class=Response,
    responses={200: {"content": {OCTET_STREAM: {"schema": _BINARY}}}},
    summary="Download a checkpoint file",
)
def download_checkpoint(
    checkpoint: Checkpoint, artifacts: ArtifactsDep, if_none_match: IfNoneMatch = None
) -> Response:
    """The file: safetensors with the manifest in its header."""
    return conditional(
        checkpoint.id,
        if_none_match,
        lambda: artifacts.read(checkpoint.id),
        media_type=OCTET_STREAM,
        file_name=f"{checkpoint.id[:12]}.gtn",
        size_bytes=checkpoint.size_bytes,
    )


@router.get(
    "/{checkpoint_id}/curves.png",
    dependencies=[HEAVY],
    response_class=Response,
    responses={200: {"content": {"image/png": {"schema": _BINARY}}}},
    summary="See how fast it teaches",
)
def get_curves(checkpoint: Checkpoint, pictures: PicturesDep, if_none_match: IfNoneMatch = None) -> Response:
    """A picture: accuracy by inner step on GTN data, real data and noise; learning rates and momenta."""
    return conditional(
        f"{checkpoint.id}-curves",
        if_none_match,
        lambda: pictures.curves(checkpoint.id),
        media_type="image/png",
    )


@router.get(
    "/{checkpoint_id}/samples.png",
    dependencies=[HEAVY],
    response_class=Response,
    responses={200: {"content": {"image/png": {"schema": _BINARY}}}},
    summary="See the synthetic data",
)
def get_samples(checkpoint: Checkpoint, pictures: PicturesDep, if_none_match: IfNoneMatch = None) -> Response:
    """A picture of the curriculum: one row per inner step, one column per class."""
    return conditional(
        f"{checkpoint.id}-samples",
        if_none_match,
        lambda: pictures.samples(checkpoint.id),
        media_type="image/png",
    )


@router.get(
    "/{checkpoint_id}/frames.png",
    dependencies=[HEAVY],
    response_class=Response,
    responses={200: {"content": {"image/png": {"schema": _BINARY}}}},
    summary="Get the synthetic data as frames",
)
def get_frames(checkpoint: Checkpoint, pictures: PicturesDep, if_none_match: IfNoneMatch = None) -> Response:
    """Images alone, in their own size, as a player takes them; `curriculum` tells what is where."""
    return conditional(
        f"{checkpoint.id}-frames",
        if_none_match,
        lambda: pictures.film(checkpoint.id),
        media_type="image/png",
    )


@router.get(
    "/{checkpoint_id}/curriculum",
    dependencies=[HEAVY],
    summary="Get what was learned beside the images",
)
def get_curriculum(checkpoint: Checkpoint, pictures: PicturesDep) -> CurriculumView:
    """Learning rate and momentum of every inner step, and the layout of `frames.png`."""
    return pictures.curriculum(checkpoint.id)
