"""What holds for every data set: splits, normalisation, fingerprint, and the checks before any training."""

import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from gtn_core.data import DatasetSpec, DatasetSplits, dataset_names, load_dataset
from gtn_core.data.digits import read_digits
from gtn_core.errors import DatasetError, UnknownNameError


def write_npz(
    path: Path, images: np.ndarray, labels: np.ndarray | None = None, *, classes: int = 2
) -> DatasetSpec:
    if labels is None:
        labels = np.arange(len(images)) % classes
    np.savez(path / "data.npz", images=images, labels=labels)
    return DatasetSpec(name="npz", path=str(path / "data.npz"))


def numbered_images(count: int) -> np.ndarray:
    """Images [N, 2, 2] in float32 of which each can be told from its first pixel."""
    return np.arange(count, dtype=np.float32)[:, None, None] + np.array([[0, 0.25], [0.5, 0.75]], np.float32)


def first_pixels(splits: DatasetSplits, name: str) -> list[float]:
    """The first pixels of a split as they were before normalisation."""
    mean, std = splits.normalization.mean[0], splits.normalization.std[0]
    return (getattr(splits, name).images[:, 0, 0, 0].double() * std + mean).round(decimals=2).tolist()


def test_digits_are_three_stratified_splits() -> None:
    splits = load_dataset("digits", seed=0)
    assert splits.image_shape == (1, 8, 8)
    assert splits.num_classes == 10
    assert splits.class_names == tuple("0123456789")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1151, 287, 359]
    for part in (splits.train, splits.validation, splits.test):
        assert part.images.dtype == torch.float32
        assert part.images.shape == (len(part.labels), 1, 8, 8)
        assert part.labels.dtype == torch.int64
    # 174 to 183 examples of each digit: a fifth is test, a fifth of the rest validation.
    assert set(splits.test.labels.bincount().tolist()) <= {35, 36, 37}
    assert set(splits.validation.labels.bincount().tolist()) <= {27, 28, 29, 30}


def test_digits_are_those_of_scikit_learn_wherever_it_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    here = read_digits(Path())
    bunch = load_digits()
    assert (here.train.images[:, 0] * 16 == bunch.images).all()
    assert (here.train.labels == bunch.target).all()
    assert here.class_names == tuple(str(name) for name in bunch.target_names)
    monkeypatch.setattr("gtn_core.data.digits.find_spec", lambda _: None)
    asked = read_digits(Path())
    assert (asked.train.images == here.train.images).all()
    assert (asked.train.labels == here.train.labels).all()


def test_every_image_is_in_exactly_one_split(tmp_path: Path) -> None:
    splits = load_dataset(write_npz(tmp_path, numbered_images(40)), seed=3)
    pixels = [first_pixels(splits, name) for name in ("train", "validation", "test")]
    assert [len(part) for part in pixels] == [26, 6, 8]
    assert sorted(chain(*pixels)) == [float(number) for number in range(40)]


def test_labels_stay_with_their_images(tmp_path: Path) -> None:
    splits = load_dataset(write_npz(tmp_path, numbered_images(40), classes=4), seed=1)
    for name in ("train", "validation", "test"):
        expected = [int(pixel) % 4 for pixel in first_pixels(splits, name)]
        assert getattr(splits, name).labels.tolist() == expected


def test_smallest_class_has_one_example_in_each_split(tmp_path: Path) -> None:
    labels = np.array([0] * 20 + [1] * 3)
    splits = load_dataset(write_npz(tmp_path, numbered_images(23), labels))
    assert [part.labels.bincount()[1].item() for part in (splits.train, splits.validation, splits.test)] == [
        1,
        1,
        1,
    ]


def test_same_seed_gives_the_same_splits_also_in_a_fresh_process() -> None:
    here = load_dataset("digits", seed=7)
    script = "from gtn_core.data import load_dataset; print(load_dataset('digits', seed=7).fingerprint)"
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here.fingerprint
    assert torch.equal(load_dataset("digits", seed=7).train.images, here.train.images)


def test_fingerprint_tells_seeds_pixels_labels_and_sizes_apart(tmp_path: Path) -> None:
    images, labels = numbered_images(20), np.arange(20) % 2
    original = load_dataset(write_npz(tmp_path, images, labels)).fingerprint
    assert load_dataset(write_npz(tmp_path, images, labels)).fingerprint == original
    assert load_dataset(write_npz(tmp_path, images, labels), seed=1).fingerprint != original
    assert load_dataset(write_npz(tmp_path, images, 1 - labels)).fingerprint != original
    spec = write_npz(tmp_path, images, labels)
    assert load_dataset(spec.model_copy(update={"image_size": 1})).fingerprint != original
    images[5, 1, 1] += 1
    assert load_dataset(write_npz(tmp_path, images, labels)).fingerprint != original


def test_normalisation_is_of_the_training_split_alone(tmp_path: Path) -> None:
    """Train is [0, 1], [2, 3]: mean 1.5, variance 1.25; the wild test pixels change nothing."""
    file = tmp_path / "data.npz"
    train = np.tile(np.array([[[0.0, 1.0]], [[2.0, 3.0]]], np.float32), (5, 1, 1))
    labels = np.array([0, 1] * 5)
    np.savez(file, x_train=train, y_train=labels, x_test=train[:2] + 1000, y_test=labels[:2])
    splits = load_dataset(f"npz:{file}")
    assert splits.normalization.mean == pytest.approx((1.5,))
    assert splits.normalization.std == pytest.approx((1.25**0.5,))
    assert splits.train.images.mean().item() == pytest.approx(0, abs=1e-6)
    assert splits.train.images.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert splits.test.images[0].flatten().tolist() == pytest.approx([998.5 / 1.25**0.5, 999.5 / 1.25**0.5])


def test_it_does_not_matter_how_many_images_are_taken_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).normal(size=(50, 3, 4, 4)).astype(np.float32)
    spec = write_npz(tmp_path, images).model_copy(update={"image_size": 2})
    whole = load_dataset(spec)
    monkeypatch.setattr("gtn_core.data.splits._CHUNK", 7)
    in_parts = load_dataset(spec)
    assert in_parts.fingerprint == whole.fingerprint
    assert in_parts.normalization.mean == pytest.approx(whole.normalization.mean)
    assert in_parts.normalization.std == pytest.approx(whole.normalization.std)
    torch.testing.assert_close(in_parts.test.images, whole.test.images)


def test_normalisation_is_per_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal([[[[5.0]], [[-3.0]], [[0.0]]]], [[[[1.0]], [[10.0]], [[0.1]]]], size=(100, 3, 4, 4))
    splits = load_dataset(write_npz(tmp_path, images))
    assert splits.normalization.mean == pytest.approx((5, -3, 0), abs=1)
    assert splits.train.images.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert splits.train.images.std(dim=(0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-3)


def test_unsigned_integers_are_scaled_to_one(tmp_path: Path) -> None:
    images = np.full((20, 1, 2), 0, np.uint8)
    images[:, 0, 1] = 255
    assert load_dataset(write_npz(tmp_path, images)).normalization.mean == pytest.approx((0.5,))


def test_image_size_averages_areas(tmp_path: Path) -> None:
    """Each 2x2 block becomes its mean: block means 1, 2 / 3, 4."""
    image = np.array([[0, 2, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 0, 8]], np.float32)
    spec = write_npz(tmp_path, np.tile(image, (20, 1, 1)))
    splits = load_dataset(spec.model_copy(update={"image_size": 2}))
    assert splits.image_shape == (1, 2, 2)
    mean, std = splits.normalization.mean[0], splits.normalization.std[0]
    assert (splits.train.images[0].flatten() * std + mean).tolist() == pytest.approx([1, 2, 3, 4])


@pytest.mark.parametrize(("height", "width", "size"), [(4, 4, 5), (4, 6, 2)])
def test_image_size_that_cannot_be_reached(tmp_path: Path, height: int, width: int, size: int) -> None:
    images = np.random.default_rng(0).random((20, height, width), np.float32)
    spec = write_npz(tmp_path, images).model_copy(update={"image_size": size})
    with pytest.raises(DatasetError, match=f"images are {height}x{width}; image_size {size} needs square"):
        load_dataset(spec)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_pixels(tmp_path: Path, value: float) -> None:
    images = numbered_images(20)
    images[13, 1, 0] = value
    with pytest.raises(DatasetError, match=r"1 training image\(s\) have non-finite pixels, .* number 13"):
        load_dataset(write_npz(tmp_path, images))


def test_channel_without_variance(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((20, 3, 4, 4), np.float32)
    images[:, 1] = 0.1
    with pytest.raises(DatasetError, match="channel 1 has zero variance"):
        load_dataset(write_npz(tmp_path, images))


def test_class_with_too_few_examples(tmp_path: Path) -> None:
    labels = np.array([0] * 10 + [4] * 2)
    with pytest.raises(DatasetError, match=r"class '4' has 2 training example\(s\); .* at least 3"):
        load_dataset(write_npz(tmp_path, numbered_images(12), labels))


def test_one_class_alone(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"found 1 class\(es\); classification needs at least 2"):
        load_dataset(write_npz(tmp_path, numbered_images(12), np.zeros(12, np.int64)))


def test_images_and_labels_of_different_number(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="12 training images but 11 labels"):
        load_dataset(write_npz(tmp_path, numbered_images(12), np.arange(11) % 2))


def test_names_and_paths_that_are_wrong() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown data set 'mnst'; known: cifar10, cifar100, digits, folder"
    ):
        load_dataset("mnst")
    with pytest.raises(DatasetError, match="'mnist' needs a path; write mnist:PATH"):
        load_dataset("mnist")
    with pytest.raises(DatasetError, match="'digits' is bundled and takes no path"):
        load_dataset("digits:/data")
    with pytest.raises(DatasetError, match="seed -1 is negative"):
        load_dataset("digits", seed=-1)


def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_npz(tmp_path, numbered_images(20))
    assert len(load_dataset("npz:~/data.npz").train) > 0


def test_registry_lists_every_format() -> None:
    listed = dataset_names()
    assert set(listed) == {"digits", "mnist", "idx", "cifar10", "cifar100", "npz", "folder"}
    assert [name for name, entry in listed.items() if not entry.needs_path] == ["digits"]
    assert all(entry.name == name and entry.description for name, entry in listed.items())


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("digits", DatasetSpec(name="digits")),
        ("mnist:/data/mnist", DatasetSpec(name="mnist", path="/data/mnist")),
        ("cifar10@16:/data/a:b@c", DatasetSpec(name="cifar10", path="/data/a:b@c", image_size=16)),
        ("digits@4", DatasetSpec(name="digits", image_size=4)),
    ],
)
def test_spec_text_round_trips(text: str, spec: DatasetSpec) -> None:
    assert DatasetSpec.parse(text) == spec
    assert str(spec) == text


@pytest.mark.parametrize("text", ["", ":path", "mnist:", "cifar10@0:/data", "cifar10@x:/data"])
def test_spec_text_of_another_form(text: str) -> None:
    with pytest.raises(DatasetError, match="cannot read data set"):
        DatasetSpec.parse(text)


def test_every_image_has_its_part_in_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtn_core.data.splits._CHUNK", 7)
    labels = np.arange(30) % 2
    file = tmp_path / "data.npz"

    def fingerprint(images: np.ndarray) -> str:
        np.savez(file, x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
        return load_dataset(f"npz:{file}").fingerprint

    one_changed = [numbered_images(30) for _ in range(31)]
    for number, images in enumerate(one_changed[:-1]):
        images[number, 1, 1] += 1
    assert len({fingerprint(images) for images in one_changed}) == 31


def test_the_fingerprint_of_the_first_versions_is_known() -> None:
    digits = load_dataset("digits", seed=0)
    recorded = "5c7b2b80abac221a3896e4d03e132657981fdf8a1a2be529a4f102eb477f8c1e"
    assert digits.earlier_fingerprint == recorded
    assert digits.current(recorded) == digits.current(digits.fingerprint) == digits.fingerprint
    assert digits.current("another") == "another"


def test_the_fingerprint_does_not_ask_for_the_test_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    train = {"x_train": rng.integers(0, 255, (60, 4, 4), dtype=np.uint8), "y_train": labels}
    fingerprints = set()
    for count in (6, 12):
        test = {"x_test": rng.integers(0, 255, (count, 4, 4), dtype=np.uint8), "y_test": labels[:count]}
        np.savez(tmp_path / "data.npz", **train, **test)
        fingerprints.add(load_dataset(f"npz:{tmp_path / 'data.npz'}").fingerprint)
    assert len(fingerprints) == 1
