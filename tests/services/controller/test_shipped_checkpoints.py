"""Checkpoints that come with the package: registered once, searched without meta-training, found by name."""

from pathlib import Path

import pytest

from gtn_core import DatasetError, DatasetSplits, FrozenCheckpoint, load_dataset
from gtn_core.data import DatasetSpec
from gtn_core.presets import shipped_checkpoints
from services.artifacts import ArtifactStore
from services.checkpoints import load_checkpoint, load_checkpoint_data, located
from services.controller.shipped_checkpoints import register_shipped_checkpoints, shipped_ids
from services.settings import Settings
from services.store import Store


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


def test_a_second_start_adds_nothing_and_an_old_database_gets_them(
    store: Store, artifacts: ArtifactStore
) -> None:
    store.add_checkpoint("from an older version", {}, 1)
    register_shipped_checkpoints(store, artifacts)
    register_shipped_checkpoints(store, artifacts)
    names = {record.id: record.name for record in store.list_checkpoints().items}
    assert names.keys() == {"from an older version", *shipped_ids()}
    assert {names[checkpoint_id] for checkpoint_id in shipped_ids()} == {"digits", "cifar10"}
    for checkpoint_id in shipped_ids():
        assert load_checkpoint(artifacts, checkpoint_id).id == checkpoint_id


def test_the_digits_one_fits_the_bundled_digits(tmp_path: Path) -> None:
    checkpoint = FrozenCheckpoint.from_bytes(shipped_checkpoints()["digits"])
    splits: DatasetSplits = load_checkpoint_data(checkpoint, Settings(data_dir=tmp_path))
    assert splits.fingerprint == load_dataset("digits").fingerprint


def test_data_without_a_path_are_found_by_name_in_the_folders_of_data_sets(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    asked = DatasetSpec(name="cifar10", image_size=16)
    with pytest.raises(DatasetError, match=r"'cifar10' is not here; put it, .*datasets/cifar10") as told:
        located(asked, settings)
    assert told.value.detail == "data set 'cifar10' is not here"
    (tmp_path / "datasets" / "cifar10").mkdir(parents=True)
    assert located(asked, settings).path == str(tmp_path / "datasets" / "cifar10")
    other = Settings(data_dir=tmp_path, dataset_roots=(tmp_path / "datasets",))
    assert located(asked, other).path == str(tmp_path / "datasets" / "cifar10")


def test_a_path_that_is_known_is_kept_and_bundled_data_need_none(tmp_path: Path) -> None:
    for given in (DatasetSpec(name="mnist", path="/data/mnist"), DatasetSpec(name="digits")):
        assert located(given, Settings(data_dir=tmp_path)) == given
