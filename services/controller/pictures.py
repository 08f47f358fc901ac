"""Pictures of checkpoints' synthetic data. The latest are kept: the images are generated anew for each."""

import threading
from collections.abc import Callable
from functools import lru_cache

from gtn_core import FrozenCheckpoint
from gtn_core.pictures import synthetic_film_png, synthetic_samples_png
from services.artifacts import ArtifactStore
from services.checkpoints import load_checkpoint

PICTURES_KEPT = 64
FILMS_KEPT = 8


class CheckpointPictures:
    """Pictures by checkpoint id. Safe to share between threads."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._one_at_a_time = threading.Lock()  # each may take a gibibyte while it is made
        self.samples = lru_cache(PICTURES_KEPT)(self._drawing(synthetic_samples_png))
        """A sheet for people, with its labels."""
        self.film = lru_cache(FILMS_KEPT)(self._drawing(synthetic_film_png))
        """A sheet for players: images alone, as `film_layout` says."""

    def _drawing(self, draw: Callable[[FrozenCheckpoint], bytes]) -> Callable[[str], bytes]:
        def picture(checkpoint_id: str) -> bytes:
            with self._one_at_a_time:
                return draw(load_checkpoint(self._artifacts, checkpoint_id))

        return picture
