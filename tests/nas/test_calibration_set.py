"""Architectures trained for real, once, whose order meta-training can teach."""

import math
import pickle
from dataclasses import replace

import pytest
import torch

from gtn_core import DatasetError, DatasetSplits, Split, load_dataset
from nas.calibration_set import draw_calibration_set, ranking_reference, train_calibration_set
from nas.estimators.panel import sample
from nas.fidelity_spec import FidelitySpec
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import TrueAccuracy, draw_candidates


@pytest.fixture(scope="module")
def digits() -> DatasetSplits:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return get_search_space("nasbench201", channels=2, cells_per_stage=1)


def test_real_training_orders_architectures_without_test_data(
    digits: DatasetSplits, space: SearchSpace
) -> None:
    told: dict[str, float] = {}
    closed = replace(digits, test=Split(digits.test.images * torch.nan, digits.test.labels * 0))
    entries = train_calibration_set(space, closed, architectures=3, steps=4, on_trained=told.__setitem__)
    assert [entry.architecture.encoding for entry in entries] == list(told)
    assert [entry.accuracy for entry in entries] == list(told.values())
    assert len({space.canonical_hash(entry.architecture) for entry in entries}) == 3
    assert all(0 < entry.accuracy < 1 for entry in entries)


def test_what_is_known_is_not_trained_again_and_failures_are_left_out(
    digits: DatasetSplits, space: SearchSpace
) -> None:
    first: dict[str, float] = {}
    train_calibration_set(space, digits, architectures=2, steps=1, on_trained=first.__setitem__)
    known = dict(zip(first, (0.5, math.nan), strict=True))
    again: dict[str, float] = {}
    entries = train_calibration_set(
        space, digits, architectures=3, steps=1, known=known, on_trained=again.__setitem__
    )
    assert len(again) == 1
    assert [entry.accuracy for entry in entries] == [0.5, *again.values()]


def test_a_reference_builds_its_architectures_here_and_elsewhere(
    digits: DatasetSplits, space: SearchSpace
) -> None:
    entries = train_calibration_set(space, digits, architectures=3, steps=1)
    reference = ranking_reference(space, entries, "three cells")
    shape = {"image_shape": digits.image_shape, "num_classes": 10, "seed": 7}
    expected = space.build(entries[1].architecture, **shape)
    images = digits.train.images[:4]
    for each in (reference, pickle.loads(pickle.dumps(reference))):
        assert torch.equal(each.build(1, **shape)(images), expected(images))
    assert str(reference).startswith("three cells (nasbench201")
    with pytest.raises(DatasetError, match="at least two different"):
        ranking_reference(space, entries[:1], "one cell")


def test_a_fidelity_report_compares_other_architectures_than_those_that_were_taught(
    digits: DatasetSplits, space: SearchSpace
) -> None:
    """By the seeds that both have where none is given."""
    taught = {each.architecture for each in train_calibration_set(space, digits, architectures=8, steps=1)}
    assert not taught & set(sample(space, 8, FidelitySpec().seed))
    table = [TrueAccuracy(each, number) for number, each in enumerate(sample(space, 400, 1))]
    drawn = draw_calibration_set(table, space, architectures=10, seed=0)
    compared = draw_candidates(table, space, number=10, population="unique", seed=0)
    assert len({each.accuracy for each in drawn} & {each.accuracy for each in compared}) <= 2
