"""What a report may be asked, and what its estimators are called."""

from typing import Any

import pytest
from pydantic import ValidationError
from torch import nn

from gtn_core.errors import DatasetError, UnknownNameError
from nas.architecture import Architecture
from nas.estimators import EstimatorData
from nas.fidelity import FidelityProgress
from nas.fidelity_spec import (
    TRUTH,
    FidelitySpec,
    estimator_labels,
    make_fidelity_report,
    validate_fidelity_spec,
)
from nas.named_config import NamedConfig
from nas.search_spaces import get_search_space, sample
from nas.search_spaces.base import SearchSpace


def test_options_stand_behind_a_name_only_where_it_comes_twice() -> None:
    estimators = [
        NamedConfig(name="real_data", steps=10),
        NamedConfig(name="gtn"),
        NamedConfig(name="gtn", passes=4, readout="accuracy"),
        NamedConfig(name="gtn"),
    ]
    assert estimator_labels(estimators) == ["real_data", "gtn", "gtn:passes=4,readout=accuracy", "gtn'"]


def test_without_a_table_the_truth_has_to_be_trained_too() -> None:
    spec = FidelitySpec(candidates=10, labels=5, estimators=(NamedConfig(name="gtn"),) * 3)
    assert spec.evaluations(with_table=True) == 30
    assert spec.evaluations(with_table=False) == 45


def test_the_space_s_options_are_filled_in() -> None:
    spec = validate_fidelity_spec(FidelitySpec(search_space=NamedConfig(name="nasbench201", channels=4)))
    assert spec.search_space.options == {"channels": 4, "cells_per_stage": 5}


def test_calibrated_needs_labels_of_its_own_or_of_the_report() -> None:
    calibrated = (NamedConfig(name="calibrated"),)
    with pytest.raises(ValidationError, match="ask for at least 5, or leave it out") as refused:
        validate_fidelity_spec(FidelitySpec(estimators=calibrated))
    assert refused.value.errors()[0]["loc"] == ("labels",)
    validate_fidelity_spec(FidelitySpec(estimators=calibrated, labels=5))
    with pytest.raises(ValidationError, match="labels is 3; calibrated needs at least 5"):
        FidelitySpec(estimators=calibrated, labels=3)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'nothing'"):
        validate_fidelity_spec(FidelitySpec(estimators=(NamedConfig(name="nothing"),)))


def test_what_a_space_or_an_estimator_refuses_is_told_where_it_stands() -> None:
    wide = NamedConfig(name="zero_cost", network={"chanels": 3})
    cases = (
        (FidelitySpec(estimators=(NamedConfig(name="gtn"), wide)), ("estimators", "1", "network", "chanels")),
        (
            FidelitySpec(search_space=NamedConfig(name="nasbench201", channels=-1)),
            ("search_space", "channels"),
        ),
    )
    for spec, place in cases:
        with pytest.raises(ValidationError) as refused:
            validate_fidelity_spec(spec)
        assert refused.value.errors()[0]["loc"] == place


class TestWithoutATable:
    SPACE = NamedConfig(name="nasbench201", channels=2, cells_per_stage=1)
    FEW = NamedConfig(
        name="macro", description={"stem_channels": 2, "stages": [{"width": [2, 4], "depth": [1, 2]}]}
    )

    def test_the_truth_has_weights_and_batches_of_its_own(self, data: EstimatorData) -> None:
        """Estimators that train would otherwise be compared with themselves."""
        asked = FidelitySpec(
            search_space=self.SPACE,
            estimators=(NamedConfig(name="real_data", steps=2),),
            candidates=4,
            truth_steps=2,
        )
        told: dict[str, list[float]] = {}

        def keep(progress: FidelityProgress) -> None:
            told.setdefault(progress.estimator, []).append(progress.outcome.score)

        report = make_fidelity_report(asked, data, None, on_candidate=keep)
        assert not set(told[TRUTH]) & set(told["real_data"])
        assert report.population == "unique"

    def test_a_space_that_is_too_small_is_told_before_any_training(self, data: EstimatorData) -> None:
        asked = FidelitySpec(search_space=self.FEW, candidates=3, labels=5)
        with pytest.raises(DatasetError, match="needs 8 different architectures, and 4 were found in macro"):
            make_fidelity_report(asked, data, None, on_candidate=pytest.fail)

    def test_labels_are_kept_where_some_trainings_fail(
        self, data: EstimatorData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        space = get_search_space(self.SPACE.name, **self.SPACE.options)
        bad, build = sample(space, 7, 0)[0], type(space).build

        def sometimes(self: SearchSpace, architecture: Architecture, **shape: Any) -> nn.Module:
            assert architecture != bad, "no such network"
            return build(self, architecture, **shape)

        monkeypatch.setattr(type(space), "build", sometimes)
        members = [{"name": "zero_cost", "proxies": ["naswot"], "readouts": ["naswot"]}]
        calibrated = NamedConfig(name="calibrated", members=members, reference_size=8)
        asked = FidelitySpec(
            search_space=self.SPACE, estimators=(calibrated,), candidates=3, labels=5, truth_steps=1
        )
        counts: list[tuple[int, int]] = []
        report = make_fidelity_report(
            asked, data, None, on_candidate=lambda told: counts.append((told.done, told.total))
        )
        assert report.n == 2
        assert counts == [(done, 11) for done in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11)]
        assert report.estimators[0].failed == 0
