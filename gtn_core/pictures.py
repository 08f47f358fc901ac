"""Pictures of what a frozen generator teaches."""

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gtn_core.checkpoint import CheckpointManifest, FrozenCheckpoint
from gtn_core.data import Normalization
from gtn_core.errors import CheckpointError
from gtn_core.frozen_images import Array, FrozenImages

_TILE = 48  # pixels that a tile has at least: an 8x8 image is enlarged six times
_GAP = 4
_MARGIN = 16  # height of the column labels
_ROW_LABEL = 56  # width of the row labels
_MOST_NUMBERS = 2**27  # of the images in memory, float64: 1 GiB
_MOST_TILE_PIXELS = 512 * 512
_FILM_CLASSES, _FILM_PER_CLASS, _FILM_STEPS, _FILM_PIXELS = 20, 4, 256, 2**22
_DARK = 0.1  # two deviations above the mean, in [0, 1]; of 12 bits in 16 it is less
_INK, _PAPER = "#202020", "#ffffff"


def synthetic_samples_png(
    checkpoint: FrozenCheckpoint, *, max_rows: int = 16, max_columns: int = 20
) -> bytes:
    """A grid of synthetic images: one row per inner step, from first to last, one column per class.

    A longer curriculum is shown at `max_rows` evenly spaced steps, more classes by the first `max_columns`.
    A tile is empty where a step's batch has no image of the class. Raises CheckpointError when the curriculum
    or its images are too large for a picture.
    """
    manifest = checkpoint.manifest
    _require_drawable(manifest)
    curriculum, last = FrozenImages(checkpoint), manifest.config.inner_steps - 1
    steps = np.unique(np.linspace(0, last, max_rows).round().astype(int)).tolist()
    names = manifest.class_names[:max_columns]
    classes = curriculum.classes()

    _, height, width = manifest.image_shape
    scale = _scale(height, width)
    down, across = height * scale + _GAP, width * scale + _GAP
    sheet = Image.new("RGB", (_ROW_LABEL + len(names) * across, _MARGIN + len(steps) * down), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for column, name in enumerate(names):
        draw.text((_ROW_LABEL + column * across, 1), _fitted(name, across, font), _INK, font)
    for row, step in enumerate(steps):
        top, pixels = _MARGIN + row * down, _pixels(curriculum.batch(step), manifest.normalization)
        draw.text((2, top + down // 2 - 8), f"step {step + 1}", _INK, font)
        for column in range(len(names)):
            members = np.flatnonzero(classes[step] == column)
            if len(members):
                tile = Image.fromarray(pixels[members[0]]).resize(
                    (width * scale, height * scale), Image.Resampling.NEAREST
                )
                sheet.paste(tile, (_ROW_LABEL + column * across, top))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class FilmLayout:
    """What is where on the sheet that `synthetic_film_png` draws."""

    steps: tuple[int, ...]  # a row of tiles each; 1 for the first
    classes: tuple[str, ...]
    per_class: int  # tiles next to each other, of one class; empty where the batch has fewer
    tile: tuple[int, int]  # width, height


def synthetic_film_png(checkpoint: FrozenCheckpoint) -> bytes:
    """Inner steps with a few images of each class, in their own size, for a player to step through.

    Of a long curriculum, or one of large images, evenly spaced steps. Raises CheckpointError when the
    curriculum or its images are too large for a picture.
    """
    layout = film_layout(checkpoint.manifest)
    curriculum = FrozenImages(checkpoint)
    classes = curriculum.classes()
    across, down = layout.tile
    size = down * len(layout.steps), across * layout.per_class * len(layout.classes)
    sheet = np.full((*size, 3), 255, np.uint8)
    for row, step in enumerate(layout.steps):
        pixels = _pixels(curriculum.batch(step - 1), checkpoint.manifest.normalization)
        for column in range(len(layout.classes)):
            members = np.flatnonzero(classes[step - 1] == column)[: layout.per_class]
            for place, member in enumerate(members, start=column * layout.per_class):
                tile = slice(row * down, (row + 1) * down), slice(place * across, (place + 1) * across)
                sheet[tile] = pixels[member]
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def film_layout(manifest: CheckpointManifest) -> FilmLayout:
    """How the film of such a checkpoint is laid out. Raises CheckpointError when it is too large."""
    _require_drawable(manifest)
    config, (_, height, width) = manifest.config, manifest.image_shape
    classes = manifest.class_names[:_FILM_CLASSES]
    per_class = max(1, min(_FILM_PER_CLASS, config.batch_size // manifest.num_classes))
    most = max(2, min(_FILM_STEPS, _FILM_PIXELS // (height * width * per_class * len(classes))))
    steps = np.unique(np.linspace(1, config.inner_steps, most).round().astype(int)).tolist()
    return FilmLayout(tuple(steps), classes, per_class, (width, height))


def _require_drawable(manifest: CheckpointManifest) -> None:
    # Whoever made the file chose these numbers, and a small file can claim any: look before synthesising.
    config, (channels, height, width) = manifest.config, manifest.image_shape
    coarse, fine = config.generator_channels
    widest = max(channels, coarse, fine) * (height + 4) * (width + 4)
    numbers = config.batch_size * max(config.inner_steps * channels * height * width, widest)
    if numbers > _MOST_NUMBERS or height * width * _scale(height, width) ** 2 > _MOST_TILE_PIXELS:
        raise CheckpointError(
            f"{config.inner_steps} batches of {config.batch_size} images of shape {manifest.image_shape} "
            "are too large for a picture; use checkpoint.synthesize() where there is memory for it"
        )


def _scale(height: int, width: int) -> int:
    return math.ceil(_TILE / min(height, width))


def _pixels(images: Array, normalization: Normalization) -> NDArray[np.uint8]:
    """[B, C, H, W] normalised -> [B, H, W, 3]; channels other than three become their mean, as grey."""
    mean = np.array(normalization.mean)[:, None, None]
    std = np.array(normalization.std)[:, None, None]
    values = images * std + mean if _in_unit_range(mean, std) else images / 4 + 0.5
    values = np.clip(values, 0, 1)
    if values.shape[1] != 3:
        values = values.mean(axis=1, keepdims=True).repeat(3, axis=1)
    return np.ascontiguousarray((values * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))


def _in_unit_range(mean: Array, std: Array) -> bool:
    """Whether real pixels of such means and deviations are in [0, 1], and not all near its lower end.

    Floats are taken as they are, of any range, and 12 bits in 16 are dark: these are shown from two
    deviations below their mean to two above, which is as far as a generator goes.
    """
    possible = std**2 <= 1.001 * mean * (1 - mean)  # Bhatia and Davis: no variance is larger
    return bool(possible.all() and (mean + 2 * std).max() > _DARK)


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of `text` as `width` pixels hold."""
    while len(text) > 1 and font.getlength(text) > width - _GAP:
        text = text[:-1]
    return text
