import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gtn_core import DatasetSplits, LearnedCurriculum, MetaTrainingConfig, Normalization, Split
from gtn_core.checkpoint import freeze
from gtn_core.pictures import synthetic_film_png, synthetic_samples_png


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


@pytest.mark.parametrize(
    ("mean", "std", "black", "white"),
    [
        (0.5, 0.5, -1, 1),  # black and white alone: as far apart as [0, 1] allows
        (0.25, 0.125, -2, 6),
        (128.0, 74.0, -2, 2),  # bytes as floats
        (0.0, 0.6, -2, 2),  # from -1 to 1
        (0.03, 0.018, -2, 2),  # 12 bits in 16
    ],
)
def test_images_of_any_range_are_seen(
    digits: DatasetSplits,
    tiny_config: MetaTrainingConfig,
    mean: float,
    std: float,
    black: float,
    white: float,
) -> None:
    """Normalised values of black and white, and of what lies between them."""
    values = torch.linspace(black, white, 5).expand(1, -1)
    shown = film_of_learned_pixels(digits, tiny_config, values, Normalization((mean,), (std,)))
    assert shown.tolist() == [[level] * 3 for level in (0, 64, 128, 191, 255)]


def test_a_dark_channel_among_others_stays_dark(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    pixels = Split(digits.train.images.expand(-1, 3, -1, -1), digits.train.labels)
    colour = replace(digits, train=pixels, validation=pixels, test=pixels)
    normalization = Normalization((0.6, 0.4, 0.02), (0.2, 0.2, 0.02))
    shown = film_of_learned_pixels(colour, tiny_config, torch.zeros(3, 1), normalization)
    assert shown.tolist() == [[153, 102, 5]]


def film_of_learned_pixels(
    splits: DatasetSplits, config: MetaTrainingConfig, values: torch.Tensor, normalization: Normalization
) -> np.ndarray:  # type: ignore[type-arg]
    """How values [C, N] at the upper left of the images are shown, [N, 3]."""
    config = config.model_copy(update={"curriculum": "pixels"})
    curriculum = LearnedCurriculum(config, image_shape=splits.image_shape, num_classes=10)
    with torch.no_grad():
        curriculum.pixels[..., 0, : values.shape[1]] = values
    splits = replace(splits, normalization=normalization)
    checkpoint = freeze(curriculum, splits, config=config, seed=0, learner="none", metrics={})
    return np.asarray(Image.open(io.BytesIO(synthetic_film_png(checkpoint))))[0, : values.shape[1]]


def test_long_curricula_are_thinned(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> None:
    config = tiny_config.model_copy(update={"inner_steps": 9})
    assert picture(digits, config, max_rows=4, max_columns=3).shape == (16 + 4 * 52, 56 + 3 * 52, 3)


def test_a_class_without_an_image_leaves_its_tile_empty(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(update={"batch_size": 4})
    pixels = picture(digits, config)
    assert (pixels[16:64, 56 + 5 * 52 : 104 + 5 * 52] == 255).all()
