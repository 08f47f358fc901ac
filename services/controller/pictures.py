"""What is shown of checkpoints' contents. The latest is kept: images are generated anew for each picture."""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from gtn_core import FrozenCheckpoint
from gtn_core.curve_pictures import learning_curves_png
from gtn_core.pictures import synthetic_film_png, synthetic_samples_png
from services.artifacts import ArtifactStore
from services.checkpoints import load_checkpoint
from services.controller.views import curriculum_view

Shown = TypeVar("Shown")

PICTURES_KEPT = 64
FILMS_KEPT = 8


class CheckpointPictures:
    """Pictures, and what belongs beside them, by checkpoint id. Safe to share between threads."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._one_at_a_time = threading.Lock()  # each may take a gibibyte while it is made
        self.curves = self._kept(PICTURES_KEPT, learning_curves_png)
        """How fast it teaches."""
        self.curriculum = self._kept(PICTURES_KEPT, curriculum_view)
        """What was learned beside the images."""
        self.samples = self._kept(PICTURES_KEPT, synthetic_samples_png)
        """A sheet for people, with its labels."""
        self.film = self._kept(FILMS_KEPT, synthetic_film_png)
        """A sheet for players: images alone, as `film_layout` says."""

    def _kept(self, most: int, draw: Callable[[FrozenCheckpoint], Shown]) -> Callable[[str], Shown]:
        @lru_cache(most)
        def drawn(checkpoint_id: str) -> Shown:
            return draw(load_checkpoint(self._artifacts, checkpoint_id))

        @lru_cache(most)
        def picture(checkpoint_id: str) -> Shown:
            with self._one_at_a_time:
                return drawn(checkpoint_id)  # by now perhaps kept: several ask for what one of them draws

        return picture
