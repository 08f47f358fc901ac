"""What a report may be asked, and what its estimators are called."""

import pytest
from pydantic import ValidationError

from gtn_core.errors import UnknownNameError
from nas.fidelity_spec import FidelitySpec, estimator_labels, validate_fidelity_spec
from nas.search_spec import NamedConfig


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
    with pytest.raises(ValidationError, match="labels"):
        validate_fidelity_spec(FidelitySpec(estimators=calibrated))
    validate_fidelity_spec(FidelitySpec(estimators=calibrated, labels=5))
    with pytest.raises(ValidationError, match="labels is 3; calibrated needs at least 5"):
        FidelitySpec(estimators=calibrated, labels=3)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'nothing'"):
        validate_fidelity_spec(FidelitySpec(estimators=(NamedConfig(name="nothing"),)))
