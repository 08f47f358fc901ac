import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch.nn.functional import avg_pool2d

from gtn_core.data import image_folder, load_dataset
from gtn_core.errors import DatasetError


def write_pictures(
    folder: Path, count: int, *, mode: str = "RGB", size: tuple[int, int] = (6, 5), suffix: str = ".png"
) -> None:
    """Pictures of random pixels; `size` is width and height, as Pillow has it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    for number in range(count):
        grey = rng.integers(0, 256, (size[1], size[0]), dtype=np.uint8)
        Image.fromarray(grey).convert(mode).save(folder / f"{number:02d}{suffix}")


def test_one_folder_for_each_class(tmp_path: Path) -> None:
    write_pictures(tmp_path / "dog", 10)
    write_pictures(tmp_path / "cat", 20)
    write_pictures(tmp_path / ".cache", 5)
    (tmp_path / "notes.txt").write_text("not a class")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"not a picture")
    splits = load_dataset(f"folder:{tmp_path}")
    assert splits.class_names == ("cat", "dog")
    assert splits.image_shape == (3, 5, 6)
    assert [part.labels.bincount().tolist() for part in (splits.train, splits.validation, splits.test)] == [
        [13, 6], [3, 2], [4, 2]
    ]  # fmt: skip


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "Test"), ("training", "testing")])
def test_train_and_test_folders(tmp_path: Path, train: str, test: str) -> None:
    for name in ("cat", "dog"):
        write_pictures(tmp_path / train / name, 10)
        write_pictures(tmp_path / test / name, 3)
    splits = load_dataset(f"folder:{tmp_path}")
    assert splits.class_names == ("cat", "dog")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [16, 4, 6]
    assert splits.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val"),
        ("Train", "Validation"),
        ("train", "dev", "val"),
        ("val", "test", "cat"),
        ("train", "test", "valid", "notes"),
        ("train", "training", "test"),
    ],
    ids=" ".join,
)
def test_other_splits_are_neither_read_as_classes_nor_left_out(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for split in names:
        write_pictures(tmp_path / split / "cat", 4)
    with pytest.raises(DatasetError, match=r"has \w+/ and .*; splits are read from one train/ and one test/"):
        load_dataset(f"folder:{tmp_path}")


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    for name in ("car", "train"):
        write_pictures(tmp_path / name, 5)
    assert load_dataset(f"folder:{tmp_path}").class_names == ("car", "train")


def test_the_pictures_of_a_class_may_lie_in_folders(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for folder in ("day", "night"):
            write_pictures(tmp_path / name / folder, 5)
    assert load_dataset(f"folder:{tmp_path}").class_names == ("cat", "dog")


def test_a_class_whose_name_no_checkpoint_could_hold(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"tea"):
        write_pictures(tmp_path / os.fsdecode(name), 5)
    with pytest.raises(DatasetError, match=r"has the folder b'caf\\xe9', whose name is not UTF-8; rename"):
        load_dataset(f"folder:{tmp_path}")


def test_pixels_are_those_of_the_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train" / "a", 5, mode="L")
    write_pictures(tmp_path / "train" / "b", 5, mode="L")
    write_pictures(tmp_path / "test" / "b", 1, mode="L")
    splits = load_dataset(f"folder:{tmp_path}")
    pixels = np.asarray(Image.open(tmp_path / "test" / "b" / "00.png"), dtype=np.float32) / 255
    expected = (pixels - splits.normalization.mean[0]) / splits.normalization.std[0]
    np.testing.assert_allclose(splits.test.images[0, 0], expected, atol=1e-5)
    assert splits.test.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("modes", "channels"), [(("L", "L"), 1), (("L", "1"), 1), (("L", "RGB"), 3), (("P", "RGBA"), 3)]
)
def test_grey_stays_grey_unless_some_picture_has_colour(
    tmp_path: Path, modes: tuple[str, str], channels: int
) -> None:
    for number, mode in enumerate(modes):
        write_pictures(tmp_path / f"class {number}", 5, mode=mode)
    assert load_dataset(f"folder:{tmp_path}").image_shape[0] == channels


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".jfif", ".bmp", ".webp", ".gif"])
def test_picture_formats(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        write_pictures(tmp_path / name, 5, suffix=suffix)
    assert len(load_dataset(f"folder:{tmp_path}").train) == 6


def test_pictures_of_a_format_that_cannot_be_read_are_not_left_out_in_silence(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_pictures(tmp_path / name, 5)
    (tmp_path / "b" / "IMG_0001.HEIC").touch()
    with pytest.raises(
        DatasetError, match=r"1 of 11 pictures below .* HEIC, the first is .*b/IMG_0001\.HEIC"
    ):
        load_dataset(f"folder:{tmp_path}")


def test_unequal_sizes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", 5)
    write_pictures(tmp_path / "b", 5, size=(6, 7))
    with pytest.raises(
        DatasetError,
        match=r"differ in size: .*a/00\.png is 6x5, .*b/00\.png is 6x7; give the size .*folder@32:",
    ):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_centre_of_each_picture_is_scaled_to_the_size_asked_for(tmp_path: Path, suffix: str) -> None:
    """Left and right of the centre are black, above and below there is nothing to cut."""
    sizes = ((64, 32), (96, 48), (1280, 640), (32, 64), (32, 32))
    for label, brightness in (("dark", 90), ("light", 180)):
        folder = tmp_path / "train" / label
        folder.mkdir(parents=True)
        for number, (width, height) in enumerate(sizes * 2):
            square, picture = min(width, height), Image.new("L", (width, height))
            centre = (width - square) // 2, (height - square) // 2
            picture.paste(brightness + number, (*centre, centre[0] + square, centre[1] + square))
            picture.save(folder / f"{number}{suffix}", quality=100)
    write_pictures(tmp_path / "test" / "dark", 1, mode="L", size=(8, 4))  # smaller: it is enlarged
    splits = load_dataset(f"folder@16:{tmp_path}")
    assert splits.image_shape == (1, 16, 16)
    assert splits.test.images.shape == (1, 1, 16, 16)
    scale, shift = splits.normalization.std[0] * 255, splits.normalization.mean[0] * 255
    for part in (splits.train, splits.validation):
        pixels = part.images * scale + shift
        least = torch.tensor([90, 180])[part.labels]
        assert ((pixels.amin(dim=(1, 2, 3)) >= least - 2) & (pixels.amax(dim=(1, 2, 3)) <= least + 12)).all()


def test_squares_of_one_size_are_reduced_without_rounding(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_pictures(tmp_path / name, 5, mode="L", size=(8, 8))
    whole, reduced = (load_dataset(f"folder{size}:{tmp_path}") for size in ("", "@4"))
    pixels = whole.train.images * whole.normalization.std[0] + whole.normalization.mean[0]
    expected = (avg_pool2d(pixels, 2) - reduced.normalization.mean[0]) / reduced.normalization.std[0]
    torch.testing.assert_close(reduced.train.images, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_photographs_are_turned_upright(tmp_path: Path, suffix: str) -> None:
    """A sensor's pictures of 60x40 that are to be looked at turned to the right: 40 wide and 60 high."""
    sideways = Image.Exif()
    sideways[ExifTags.Base.Orientation] = 6
    picture = Image.new("L", (60, 40))
    picture.paste(200, (0, 0, 30, 40))  # the left, which becomes the top
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            picture.save(tmp_path / name / f"{number}{suffix}", exif=sideways)
    splits = load_dataset(f"folder:{tmp_path}")
    assert splits.image_shape[1:] == (60, 40)
    assert (splits.test.images[..., :28, :] > 0).all()
    assert (splits.test.images[..., 32:, :] < 0).all()


def test_a_picture_that_is_decoded_to_another_size_than_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Pillow 13 does with a plain TIFF that lies on its side."""
    for name in ("a", "b"):
        write_pictures(tmp_path / name, 5, mode="L", size=(6, 5))
    monkeypatch.setattr(image_folder, "_upright_size", lambda picture: picture.size[::-1])
    with pytest.raises(
        DatasetError, match=r"a/00\.png cannot be decoded: its pixels are 6x5, not 5x6; repair"
    ):
        load_dataset(f"folder:{tmp_path}")


def test_more_than_8_bits(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", 5)
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(tmp_path / "a" / "deep.png")
    with pytest.raises(DatasetError, match=r"deep\.png has the pixel format 'I;16'; convert it"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("keep", "message"),
    [(0, "is no readable picture"), (20, "is no readable picture"), (60, "cannot be decoded")],
)
def test_truncated_picture(tmp_path: Path, keep: int, message: str) -> None:
    for name in ("a", "b"):
        write_pictures(tmp_path / name, 5)
    file = tmp_path / "b" / "03.png"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=rf"b/03\.png {message}"):
        load_dataset(f"folder:{tmp_path}")


def test_class_of_the_test_folder_that_training_has_not(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "test/a", "test/c"):
        write_pictures(tmp_path / name, 5)
    with pytest.raises(DatasetError, match="has classes that training has not: c"):
        load_dataset(f"folder:{tmp_path}")


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder at"):
        load_dataset(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(DatasetError, match="has no class folders"):
        load_dataset(f"folder:{tmp_path}")
    (tmp_path / "a").mkdir()
    with pytest.raises(DatasetError, match=r"has no pictures; looked for \.avif"):
        load_dataset(f"folder:{tmp_path}")
    write_pictures(tmp_path / "b", 5)
    with pytest.raises(DatasetError, match=r"class 'a' has 0 training example\(s\)"):
        load_dataset(f"folder:{tmp_path}")
