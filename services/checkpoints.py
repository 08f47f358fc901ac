"""Frozen checkpoints in the artifact store, and the data set that each of them names."""

from gtn_core import DatasetSplits, FrozenCheckpoint, load_dataset
from services.artifacts import ArtifactStore
from services.store import CheckpointRecord, Store


def store_checkpoint(
    store: Store, artifacts: ArtifactStore, checkpoint: FrozenCheckpoint
) -> CheckpointRecord:
    """Keep a checkpoint: first its bytes, then its row, so that a row never names bytes that are missing."""
    data = checkpoint.to_bytes()
    artifacts.put(data)
    return store.add_checkpoint(checkpoint.id, checkpoint.manifest.model_dump(mode="json"), len(data))


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
