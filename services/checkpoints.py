"""Frozen checkpoints in the artifact store, and the data set that each of them names."""

from gtn_core import DatasetSplits, FrozenCheckpoint, load_dataset
from services.artifacts import ArtifactStore
from services.store import AddedCheckpoint, CheckpointRecord, IdempotencyKey, Store


def store_checkpoint(
    store: Store, artifacts: ArtifactStore, checkpoint: FrozenCheckpoint
) -> CheckpointRecord:
    """Keep a checkpoint: first its bytes, then its row, so that a row never names bytes that are missing."""
    return submit_checkpoint(store, artifacts, checkpoint).checkpoint


def submit_checkpoint(
    store: Store,
    artifacts: ArtifactStore,
    checkpoint: FrozenCheckpoint,
    *,
    idempotency: IdempotencyKey | None = None,
) -> AddedCheckpoint:
    """`store_checkpoint` for a request, which may carry an idempotency key.

    Raises IdempotencyConflictError when the key came with another body.
    """
    data = checkpoint.to_bytes()
    artifacts.put(data)
    manifest = checkpoint.manifest.model_dump(mode="json")
    return store.add_checkpoint(checkpoint.id, manifest, len(data), idempotency=idempotency)


def load_checkpoint(artifacts: ArtifactStore, checkpoint_id: str) -> FrozenCheckpoint:
    """The checkpoint of that id. Raises NotFoundError or CheckpointError."""
    return FrozenCheckpoint.from_bytes(artifacts.get(checkpoint_id))


def load_checkpoint_data(checkpoint: FrozenCheckpoint) -> DatasetSplits:
    """The data the checkpoint was meta-trained on, with the same splits.

    Raises DatasetError when they are not there, CheckpointError when they are no longer the same.
    """
    splits = load_dataset(checkpoint.manifest.dataset, seed=checkpoint.manifest.split_seed)
    checkpoint.require_fit(splits)
    return splits
