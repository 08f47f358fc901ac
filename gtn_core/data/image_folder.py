"""A folder of pictures: one folder for each class, or `train/` and `test/` with one folder for each class."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gtn_core.data.raw import LabelledImages, RawDataset
from gtn_core.errors import DatasetError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_VALIDATION = {"val", "valid", "validation"}
_GREY, _COLOUR = {"1", "L", "LA"}, {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}


def read_folder(path: Path) -> RawDataset:
    """Read all pictures below the class folders; grey ones stay so unless some picture has colour.

    Sizes and modes are compared before the first picture is decoded. Raises DatasetError.
    """
    if not path.is_dir():
        raise DatasetError(f"no folder at {path}; folder:PATH reads one folder of pictures for each class")
    found = set(_subfolders(path))
    has_test = {"train", "test"} <= found
    if "train" in found and found <= {"train", *_VALIDATION} and found != {"train"}:
        raise DatasetError(
            f"{path} has {' and '.join(f'{name}/' for name in sorted(found))}, but no test/: rename the "
            "folder of held-out pictures to test/, or move its pictures into train/, which validation is "
            "split from"
        )
    if has_test and (held_out := sorted(found & _VALIDATION)):
        raise DatasetError(
            f"{path} has {held_out[0]}/ beside train/ and test/: validation is split from train/; move its "
            "pictures there, or the folder elsewhere"
        )
    class_names = _subfolders(path / "train" if has_test else path)
    if not class_names:
        raise DatasetError(f"{path} has no class folders; put the pictures of each class in one of its own")
    train = _labelled_files(path / "train" if has_test else path, class_names)
    test = _labelled_files(path / "test", class_names) if has_test else []
    mode = _common_mode([file for file, _ in (*train, *test)], path)
    return RawDataset(_decode(train, mode), _decode(test, mode) if has_test else None, tuple(class_names))


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


def _labelled_files(folder: Path, class_names: Sequence[str]) -> list[tuple[Path, int]]:
    """All pictures below `folder` with the number of their class, in a fixed order."""
    unknown = set(_subfolders(folder)) - set(class_names)
    if unknown:
        raise DatasetError(f"{folder} has classes that train/ has not: {', '.join(sorted(unknown))}")
    files = []
    for label, name in enumerate(class_names):
        pictures = (file for file in (folder / name).rglob("*") if file.suffix.lower() in _SUFFIXES)
        files += [(file, label) for file in sorted(pictures) if not file.name.startswith(".")]
    if not files:
        raise DatasetError(
            f"{folder} has no pictures; looked for {', '.join(sorted(_SUFFIXES))} in its folders"
        )
    return files


def _common_mode(files: Sequence[Path], path: Path) -> str:
    """ "L" or "RGB" for all pictures. Raises DatasetError for unequal sizes and for more than 8 bits."""
    first_size, mode = None, "L"
    for file in files:
        with _open(file) as picture:
            size, found = picture.size, picture.mode
        first_size = first_size or size
        if size != first_size:
            raise DatasetError(
                f"pictures below {path} differ in size: {files[0]} is {first_size[0]}x{first_size[1]}, "
                f"{file} is {size[0]}x{size[1]}; scale them to one size"
            )
        if found not in _GREY | _COLOUR:
            raise DatasetError(f"{file} has the pixel format {found!r}; convert it to 8 bits, grey or colour")
        if found in _COLOUR:
            mode = "RGB"
    return mode


def _decode(files: Sequence[tuple[Path, int]], mode: str) -> LabelledImages:
    images = []
    for file, _ in files:
        try:
            with _open(file) as picture:
                images.append(np.array(picture.convert(mode), dtype=np.uint8))
        except (OSError, SyntaxError, ValueError) as error:
            raise DatasetError(f"{file} cannot be decoded: {error}; repair or remove it") from error
    stacked = np.stack(images)
    channels_first = stacked[:, None] if mode == "L" else stacked.transpose(0, 3, 1, 2)
    labels = np.array([label for _, label in files], dtype=np.int64)
    return LabelledImages(np.ascontiguousarray(channels_first), labels)


def _open(file: Path) -> Image.Image:
    try:
        return Image.open(file)
    except (OSError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{file} is no readable picture: {error}; repair or remove it") from error
