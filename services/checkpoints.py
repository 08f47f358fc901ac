"""Frozen checkpoints in the artifact store, and the data set that each of them names."""

from gtn_core import DatasetError, DatasetSplits, FrozenCheckpoint, load_dataset
from gtn_core.data import DatasetSpec, dataset_names
from services.artifacts import ArtifactStore
from services.settings import Settings
from services.store import AddedCheckpoint, CheckpointRecord, IdempotencyKey, Store


def store_checkpoint(
    store: Store, artifacts: ArtifactStore, checkpoint: FrozenCheckpoint, *, name: str | None = None
) -> CheckpointRecord:
    """Keep a checkpoint: first its bytes, then its row, so that a row never names bytes that are missing."""
    return submit_checkpoint(store, artifacts, checkpoint, name=name).checkpoint


def submit_checkpoint(
    store: Store,
    artifacts: ArtifactStore,
    checkpoint: FrozenCheckpoint,
    *,
    name: str | None = None,
    idempotency: IdempotencyKey | None = None,
) -> AddedCheckpoint:
    """`store_checkpoint` for a request, which may carry an idempotency key.

    Raises IdempotencyConflictError when the key came with another body.
    """
    data = checkpoint.to_bytes()
    artifacts.put(data)
    manifest = checkpoint.manifest.model_dump(mode="json")
    return store.add_checkpoint(checkpoint.id, manifest, len(data), name=name, idempotency=idempotency)


def load_checkpoint(artifacts: ArtifactStore, checkpoint_id: str) -> FrozenCheckpoint:
    """The checkpoint of that id. Raises NotFoundError or CheckpointError."""
    return FrozenCheckpoint.from_bytes(artifacts.get(checkpoint_id))


def load_checkpoint_data(checkpoint: FrozenCheckpoint, settings: Settings) -> DatasetSplits:
    """The data the checkpoint was meta-trained on, with the same splits.

    Raises DatasetError when they are not there, CheckpointError when they are no longer the same.
    """
    dataset = located(checkpoint.manifest.dataset, settings)
    splits = load_dataset(dataset, seed=checkpoint.manifest.split_seed)
    checkpoint.require_fit(splits)
    return splits


def lies_under_its_name(dataset: DatasetSpec) -> bool:
    """Whether the data set needs a path and has none: it is then looked for by name."""
    known = dataset_names().get(dataset.name)
    return dataset.path is None and known is not None and known.needs_path


def located(dataset: DatasetSpec, settings: Settings) -> DatasetSpec:
    """The data set with its path; a checkpoint that comes with the package cannot know it.

    Such data are looked for by name in the folders of data sets. Raises DatasetError when they are in none.
    """
    if not lies_under_its_name(dataset):
        return dataset
    places = [folder / dataset.name for folder in settings.dataset_folders]
    for place in places:
        if place.exists():
            return dataset.model_copy(update={"path": str(place)})
    raise DatasetError(
        f"data set {dataset.name!r} is not here",
        remedy=f"put it, or a link to it, at {' or '.join(map(str, places))}",
    )
