import io

import numpy as np
import torch
from PIL import Image

from gtn_core import DatasetSplits, LearnedCurriculum, MetaTrainingConfig
from gtn_core.checkpoint import freeze
from gtn_core.pictures import synthetic_samples_png


def picture(digits: DatasetSplits, config: MetaTrainingConfig, **options: int) -> np.ndarray:  # type: ignore[type-arg]
    torch.manual_seed(0)
    curriculum = LearnedCurriculum(config, image_shape=(1, 8, 8), num_classes=10)
    checkpoint = freeze(curriculum, digits, config=config, seed=0, learner="none", metrics={})
    return np.asarray(Image.open(io.BytesIO(synthetic_samples_png(checkpoint, **options))).convert("RGB"))


def test_one_row_per_step_and_one_column_per_class(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    pixels = picture(digits, tiny_config)
    # Tiles of 8 * 6 = 48 pixels and a gap of 4; labels above and to the left.
    assert pixels.shape == (16 + 3 * 52, 56 + 10 * 52, 3)
    tile = pixels[16:64, 56:104]
    assert np.array_equal(tile, tile[::6, ::6].repeat(6, axis=0).repeat(6, axis=1)), "nearest enlargement"
    assert tile.std() > 0
    assert not np.array_equal(tile, pixels[16:64, 108:156]), "another class, another image"
    assert (pixels[:16] < 128).any(), "column labels"
    assert (pixels[16:, :56] < 128).any(), "row labels"


def test_long_curricula_are_thinned(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> None:
    config = tiny_config.model_copy(update={"inner_steps": 9})
    assert picture(digits, config, max_rows=4, max_columns=3).shape == (16 + 4 * 52, 56 + 3 * 52, 3)


def test_a_class_without_an_image_leaves_its_tile_empty(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(update={"batch_size": 4})
    pixels = picture(digits, config)
    assert (pixels[16:64, 56 + 5 * 52 : 104 + 5 * 52] == 255).all()
