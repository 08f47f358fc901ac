"""The frozen checkpoints that come with the package: registered where a controller starts, known by name."""

from functools import cache

from gtn_core import FrozenCheckpoint
from gtn_core.presets import shipped_checkpoints
from services.artifacts import ArtifactStore
from services.checkpoints import store_checkpoint
from services.store import Store


def register_shipped_checkpoints(store: Store, artifacts: ArtifactStore) -> None:
    """Store those that are not there yet, in a new database and in one that an older version filled.

    An id is the content, so that a second start, or a second controller, finds them there and adds nothing.
    """
    for name, content in shipped_checkpoints().items():
        store_checkpoint(store, artifacts, FrozenCheckpoint.from_bytes(content), name=name)


@cache
def shipped_ids() -> frozenset[str]:
    """Their ids, which tell them from those made or uploaded here."""
    return frozenset(FrozenCheckpoint.from_bytes(content).id for content in shipped_checkpoints().values())
