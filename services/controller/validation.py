"""What can be said about a request before any work: names, options, the checkpoint, and data set paths."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gtn_core import DatasetError, DatasetSpec, UnknownNameError, dataset_names
from nas.registry import PluginError
from nas.search_spaces.base import SearchSpace
from nas.search_spec import validate_spec
from services.checkpoints import lies_under_its_name, located
from services.controller.error_handlers import field_problems
from services.controller.problems import Problem, invalid, invalid_field
from services.controller.search_analysis import space_of
from services.controller.security import needs_key
from services.errors import ConflictError, NotFoundError
from services.schemas.requests import SearchRequest
from services.schemas.search_steering import SearchExtension
from services.settings import Settings
from services.store import CheckpointRecord, JobRecord, JsonObject, Store

Checked = TypeVar("Checked")


def check_search(request: SearchRequest, settings: Settings, store: Store) -> SearchRequest:
    """The request with every default filled in. Answers 422 naming the field at fault."""
    require_checkpoint(request.checkpoint_id, settings, store)
    fields = {"search space": "search_space", "algorithm": "algorithm", "estimator": "estimator"}
    complete = named(fields, lambda: validate_spec(request))
    completed = (*fields.values(), "objectives")
    return request.model_copy(update={field: getattr(complete, field) for field in completed})


def changed_search(job: JobRecord, changes: JsonObject) -> SearchRequest:
    """The search's request with other values for some fields. Answers 422 when they do not fit together."""
    try:
        return SearchRequest.model_validate(job.request | changes)
    except ValidationError as error:
        raise invalid(*field_problems(error.errors(include_url=False))) from error


def extended_search(job: JobRecord, extension: SearchExtension) -> JsonObject:
    """The search's request with what the extension adds. Answers 409 when that would change nothing."""
    seconds = job.request["max_seconds"]
    if extension.additional_seconds and seconds is None:
        raise ConflictError(
            f"search {job.id} has no max_seconds that could be extended; leave additional_seconds out"
        )
    if (job.result or {}).get("timed_out") and not extension.additional_seconds:
        raise ConflictError(f"search {job.id} has used up its max_seconds; give additional_seconds too")
    changes: JsonObject = {
        "max_candidates": job.request["max_candidates"] + extension.additional_candidates,
        "max_seconds": None if seconds is None else seconds + extension.additional_seconds,
    }
    return changed_search(job, changes).model_dump(mode="json")


def require_checkpoint(checkpoint_id: str, settings: Settings, store: Store) -> CheckpointRecord:
    """The checkpoint that a request names. Answers 422 when it is not here, or names data out of bounds."""
    try:
        checkpoint = store.get_checkpoint(checkpoint_id)
    except NotFoundError as error:
        raise invalid_field(
            "checkpoint_id", str(error), checkpoint_id, "the id of a stored checkpoint: GET /v1/checkpoints"
        ) from error
    # An uploaded manifest is a request too: its data set is read when the search runs.
    dataset = DatasetSpec.model_validate(checkpoint.manifest["dataset"])
    try:
        if not lies_under_its_name(dataset):
            check_dataset(dataset, settings, store, "its data set")
        elif settings.one_machine:
            located(dataset, settings)
    except DatasetError as error:
        raise invalid_field("checkpoint_id", str(error), checkpoint_id) from error
    except Problem as problem:
        raise invalid_field("checkpoint_id", problem.detail, checkpoint_id) from problem
    return checkpoint


def require_space(search: JobRecord) -> SearchSpace:
    """The space of a search. Answers 422 when it is not here: its package may be gone since then."""
    return named({"search space": "search_space"}, lambda: space_of(search), prefix=("search_space",))


def check_dataset(dataset: DatasetSpec, settings: Settings, store: Store, field: str) -> DatasetSpec:
    """The data set with its path made absolute. Whether the files are good is seen where they are read."""
    formats = dataset_names()
    if dataset.name not in formats:
        error = UnknownNameError("data set", dataset.name, formats)
        raise invalid_field(f"{field}.name", str(error), dataset.name, f"one of: {', '.join(error.known)}")
    if not formats[dataset.name].needs_path:
        if dataset.path is not None:
            raise invalid_field(
                f"{field}.path",
                f"data set {dataset.name!r} is bundled and takes no path",
                dataset.path,
                "null",
            )
        largest = formats[dataset.name].image_size
        if largest is not None and (dataset.image_size or 0) > largest:
            raise invalid_field(
                f"{field}.image_size",
                f"images of {dataset.name} are {largest}x{largest} and are not enlarged",
                dataset.image_size,
                f"at most {largest}",
            )
        return dataset
    if dataset.path is None:
        raise invalid_field(
            f"{field}.path", f"data set {dataset.name!r} needs a path", None, "a file or folder"
        )
    path = within_roots(dataset.path, settings, store, field)
    # Elsewhere the workers' files are not the controller's, and only they can tell.
    if settings.one_machine and (absence := _absence(path)) is not None:
        raise invalid_field(f"{field}.path", absence, dataset.path, "a file or folder that exists")
    return dataset.model_copy(update={"path": str(path)})


def _absence(path: Path) -> str | None:
    try:
        return None if path.exists() else f"there is no {path} on this machine"
    except OSError as error:  # a name that is too long, a folder that is not ours to look into
        return f"{path} cannot be read: {error.strerror}"


def within_roots(given: str, settings: Settings, store: Store, field: str) -> Path:
    """The path without links and dots, if a root holds it: requests must not reach the rest of the disk."""
    try:
        path = Path(given).expanduser().resolve()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL, an unknown ~user, a loop of links
        raise invalid_field(f"{field}.path", f"not a path: {error}", given) from error
    roots = dataset_roots(settings, store)
    if not any(path.is_relative_to(root) for root in roots):
        raise invalid_field(
            f"{field}.path",
            "outside the folders that data sets may be read from",
            given,
            f"a path below {' or '.join(map(str, roots))} (GTN_NAS_DATASET_ROOTS)",
        )
    return path


def dataset_roots(settings: Settings, store: Store) -> tuple[Path, ...]:
    """Folders below which data set paths must lie; anywhere while no key exists, as whoever submits is then a
    user of this machine."""
    if settings.dataset_roots or needs_key(settings, store):
        return settings.dataset_folders
    return (Path("/"),)


def named(fields: dict[str, str], check: Callable[[], Checked], prefix: tuple[str, ...] = ()) -> Checked:
    """Run a check of registered names; its errors become problems of the field that each kind has here."""
    try:
        return check()
    except UnknownNameError as error:
        known = f"one of: {', '.join(error.known)}"
        raise invalid_field(f"{fields[error.kind]}.name", str(error), error.name, known) from error
    except PluginError as error:
        raise invalid_field(f"{fields[error.kind]}.name", str(error), error.name) from error
    except ValidationError as error:
        raise invalid(*field_problems(error.errors(include_url=False), prefix=prefix)) from error
