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
    for content in shipped_checkpoints().values():
        store_checkpoint(store, artifacts, FrozenCheckpoint.from_bytes(content))


@cache
def shipped_names() -> dict[str, str]:
    """The name of each, by id."""
    return {FrozenCheckpoint.from_bytes(content).id: name for name, content in shipped_checkpoints().items()}
