import io

import numpy as np
import pytest
from PIL import Image

from gtn_core import DatasetSplits, FrozenCheckpoint, MetaTrainingConfig, meta_train
from gtn_core.checkpoint import repack
from gtn_core.curve_pictures import learning_curves_png


@pytest.fixture(scope="module")
def checkpoint(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> FrozenCheckpoint:
    return meta_train(digits, tiny_config.model_copy(update={"meta_steps": 1}))


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def heights(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Rows in which a colour is seen where lines are drawn."""
    return np.flatnonzero((picture[28:, 57:590] == colour).all(axis=2).any(axis=1))


def test_a_higher_curve_is_drawn_higher_and_each_has_its_colour(checkpoint: FrozenCheckpoint) -> None:
    curves = {"gtn": (0.5, 0.8, 0.9), "real": (0.3, 0.4, 0.4), "noise": (0.1, 0.1, 0.1)}
    picture = pixels(learning_curves_png(repack(checkpoint, storage="float32", learning_curves=curves)))
    top = picture[:260]
    gtn, real, noise = (heights(top, each) for each in ((31, 111, 180), (209, 101, 27), (128, 128, 128)))
    assert gtn.max() < real.min() < real.max() < noise.min()
    assert len(gtn) > 3 * len(noise)  # the line of noise is flat


def test_without_curves_the_schedule_is_drawn_alone(checkpoint: FrozenCheckpoint) -> None:
    assert pixels(learning_curves_png(checkpoint)).shape == (520, 720, 3)


def test_the_schedule_is_that_of_the_curriculum(checkpoint: FrozenCheckpoint) -> None:
    curriculum = checkpoint.synthesize()
    learning_rates, momenta = checkpoint.schedule()
    assert learning_rates == pytest.approx(curriculum.learning_rates.tolist())
    assert momenta == pytest.approx(curriculum.momenta.tolist())
