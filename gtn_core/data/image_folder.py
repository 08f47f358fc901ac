"""A folder of pictures: one folder for each class, or `train/` and `test/` with one folder for each class.

Splits by other names are refused: hours of meta-training would teach which split a picture is of.

Pictures of one size are taken as they are. Where they differ, as photographs do, or are not square, and the
size to use them at is known, each becomes a square of it: its centre, scaled.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from gtn_core.data.raw import LabelledImages, RawDataset
from gtn_core.errors import DatasetError

_SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jfif", ".jp2", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff",
    ".ppm", ".pgm",
}  # fmt: skip
_UNREADABLE = {".heic", ".heif"}  # pictures as well, as phones take them: not to be left out in silence
_TRAIN, _TEST = {"train", "training"}, {"test", "testing"}
_VALIDATION = {"val", "valid", "validation", "dev", "eval", "evaluation"}
_PHOTOGRAPHS = {"JPEG", "MPO", "WEBP"}
"""May lie on their side. Pillow turns TIFF by itself, and a PNG file tells of it after all of its pixels."""

_GREY, _COLOUR = {"1", "L", "LA"}, {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}


@dataclass(frozen=True)
class _Form:
    """What pictures are turned into."""

    mode: str  # "L" or "RGB"
    size: tuple[int, int]  # width and height
    scaled: bool  # to that size, which they have otherwise


def read_folder(path: Path, image_size: int | None = None) -> RawDataset:
    """Read all pictures below the class folders; grey ones stay so unless some picture has colour.

    Where they differ in size, or are not square, they become squares of `image_size` if there is one. Sizes
    and modes are compared before the first picture is decoded. Raises DatasetError.
    """
    if not path.is_dir():
        raise DatasetError(f"no folder at {path}; folder:PATH reads one folder of pictures for each class")
    train_folder, test_folder = _halves(path)
    class_names = _subfolders(train_folder)
    if not class_names:
        raise DatasetError(
            f"{train_folder} has no class folders", remedy="put the pictures of each class in one of its own"
        )
    train = _labelled_files(train_folder, class_names)
    test = [] if test_folder is None else _labelled_files(test_folder, class_names)
    form = _common_form([file for file, _ in (*train, *test)], path, image_size)
    return RawDataset(_decode(train, form), _decode(test, form) if test else None, tuple(class_names))


def _halves(path: Path) -> tuple[Path, Path | None]:
    """The folders to train on and to test with, or that of all classes and None. Raises DatasetError."""
    train, test, validation = (
        [name for name in _subfolders(path) if name.casefold() in names]
        for names in (_TRAIN, _TEST, _VALIDATION)
    )
    if len(train) == len(test) == 1 and not validation:
        return path / train[0], path / test[0]
    found = [*train, *test, *validation]
    if len(found) < 2:  # a class may be called so: trains are vehicles
        return path, None
    raise DatasetError(
        f"{path} has {' and '.join(f'{name}/' for name in found)}; splits are read from one train/ and one "
        "test/, and validation is split from train/: rename the folder of held-out pictures to test/, and "
        "move those of any other folder into train/, or the folder elsewhere"
    )


def _subfolders(folder: Path) -> list[str]:
    """Names in order. Raises DatasetError for one that is not UTF-8, which no checkpoint could hold."""
    names = sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DatasetError(
                f"{folder} has the folder {os.fsencode(name)!r}, whose name is not UTF-8; rename it"
            ) from None
    return names


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in _SUFFIXES | _UNREADABLE and not file.name.startswith(".")


def _labelled_files(folder: Path, class_names: Sequence[str]) -> list[tuple[Path, int]]:
    """All pictures below `folder` with the number of their class, in a fixed order."""
    unknown = set(_subfolders(folder)) - set(class_names)
    if unknown:
        raise DatasetError(f"{folder} has classes that training has not: {', '.join(sorted(unknown))}")
    files = []
    for label, name in enumerate(class_names):
        files += [(file, label) for file in sorted((folder / name).rglob("*")) if _is_picture(file)]
    if unreadable := [file for file, _ in files if file.suffix.lower() in _UNREADABLE]:
        raise DatasetError(
            f"{len(unreadable)} of {len(files)} pictures below {folder} are HEIC, the first is "
            f"{unreadable[0]}; convert them to JPEG"
        )
    if not files:
        raise DatasetError(
            f"{folder} has no pictures; looked for {', '.join(sorted(_SUFFIXES))} in its folders"
        )
    return files


def _common_form(files: Sequence[Path], path: Path, image_size: int | None) -> _Form:
    """One form for all pictures. Raises DatasetError for unequal sizes, and for more than 8 bits."""
    first_size, equal, mode = None, True, "L"
    for file in files:
        with _open(file) as picture:
            size, found = _upright_size(picture), picture.mode
        first_size = first_size or size
        equal = equal and size == first_size
        if not equal and image_size is None:
            raise DatasetError(
                f"pictures below {path} differ in size: {files[0]} is {first_size[0]}x{first_size[1]}, "
                f"{file} is {size[0]}x{size[1]}",
                remedy="give the size to use them at, as in folder@32:PATH, and the centre of each is scaled "
                "to it",
            )
        if found not in _GREY | _COLOUR:
            raise DatasetError(f"{file} has the pixel format {found!r}; convert it to 8 bits, grey or colour")
        if found in _COLOUR:
            mode = "RGB"
    width, height = first_size or (0, 0)
    # Squares of one size are reduced as those of other data sets are, without rounding to 8 bits.
    if image_size is None or (equal and width == height):
        return _Form(mode, (width, height), scaled=False)
    return _Form(mode, (image_size, image_size), scaled=True)


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height as it is looked at: cameras store photographs as the sensor lay."""
    width, height = picture.size
    turned = picture.getexif().get(ExifTags.Base.Orientation) if picture.format in _PHOTOGRAPHS else None
    return (height, width) if turned in range(5, 9) else (width, height)


def _decode(files: Sequence[tuple[Path, int]], form: _Form) -> LabelledImages:
    images = []
    for file, _ in files:
        try:
            with _open(file) as picture:
                images.append(_pixels(picture, form))
        except (OSError, SyntaxError, ValueError) as error:
            raise DatasetError(f"{file} cannot be decoded: {error}", remedy="repair or remove it") from error
    stacked = np.stack(images)
    channels_first = stacked[:, None] if form.mode == "L" else stacked.transpose(0, 3, 1, 2)
    labels = np.array([label for _, label in files], dtype=np.int64)
    return LabelledImages(np.ascontiguousarray(channels_first), labels)


def _pixels(picture: Image.Image, form: _Form) -> NDArray[np.uint8]:
    """A picture's pixels, [H, W] or [H, W, 3]. Raises ValueError when it is of another size than it said."""
    width, height = form.size
    if form.scaled:
        picture.draft(form.mode, (2 * width, 2 * height))  # large JPEGs: decoded smaller, many times as fast
    if picture.format in _PHOTOGRAPHS:
        ImageOps.exif_transpose(picture, in_place=True)
    upright = picture.convert(form.mode)
    if form.scaled:
        resample = Image.Resampling.BOX if min(upright.size) >= width else Image.Resampling.BILINEAR
        upright = ImageOps.fit(upright, form.size, resample)
    if upright.size != form.size:
        raise ValueError(f"its pixels are {upright.width}x{upright.height}, not {width}x{height}")
    return np.array(upright, dtype=np.uint8)


def _open(file: Path) -> Image.Image:
    try:
        return Image.open(file)
    except (OSError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{file} is no readable picture: {error}", remedy="repair or remove it") from error
