"""The estimator around the proxies: what it reports, on which network, from which images."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gtn_core.randomness import torch_generator
from nas import get_search_space, network_cost
from nas.architecture import Architecture
from nas.estimators import CandidateFailed, CandidateScore, EstimatorData, make_estimator
from nas.estimators.proxies import az_nas, naswot, synflow
from nas.estimators.zero_cost import PROXIES
from nas.search_spaces.base import SearchSpace


def without_time(score: CandidateScore) -> CandidateScore:
    return replace(score, seconds=0.0)


def test_reports_every_proxy_of_one_untrained_network(
    data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
) -> None:
    score = make_estimator("zero_cost", data, batch_size=32).estimate(space, architectures[0], seed=3)
    network = space.build(architectures[0], image_shape=(1, 8, 8), num_classes=10, seed=3)
    chosen = np.sort(np.random.default_rng(0).choice(len(data.validation_labels), 32, replace=False))
    images = torch.from_numpy(data.validation_images[chosen])
    assert score.extra["synflow"] == pytest.approx(synflow(network, (1, 8, 8)))
    assert score.extra["naswot"] == pytest.approx(naswot(network, images))
    terms = az_nas(network, (1, 8, 8), batch_size=32, generator=torch_generator(3, "az-nas"))
    assert score.extra["expressivity"] == pytest.approx(terms.expressivity, rel=1e-4)
    assert score.extra["trainability"] == pytest.approx(terms.trainability, rel=1e-3)
    assert set(score.extra) == {*PROXIES, "score"} - {"params", "flops"}
    assert score.loss_curve == ()
    assert score.accuracy < 0.5  # the honest accuracy of a network that has learnt nothing


def test_is_deterministic_in_the_seed(
    data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
) -> None:
    first, second = make_estimator("zero_cost", data), make_estimator("zero_cost", data)
    score = without_time(first.estimate(space, architectures[0], seed=3))
    torch.manual_seed(99)
    assert without_time(second.estimate(space, architectures[0], seed=3)) == score
    assert without_time(first.estimate(space, architectures[0], seed=4)) != score


def test_measures_only_what_is_asked_for(
    data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
) -> None:
    estimator = make_estimator("zero_cost", data, readout="gradient_norm", proxies=["gradient_norm"])
    score = estimator.estimate(space, architectures[0], seed=0)
    assert set(score.extra) == {"gradient_norm", "score"}
    measured = make_estimator("zero_cost", data, proxies=["synflow"]).estimate(
        space, architectures[0], seed=0
    )
    assert set(measured.extra) == {"synflow", "naswot", "score"}  # the readout always is
    assert score.score == score.extra["gradient_norm"] > 0


def test_can_look_at_the_network_of_final_training(
    data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
) -> None:
    wide = get_search_space("nasbench201", channels=6, cells_per_stage=1)
    cost = network_cost(
        lambda: wide.build(architectures[0], image_shape=(1, 8, 8), num_classes=10, seed=0), (1, 8, 8)
    )
    estimator = make_estimator("zero_cost", data, network={"channels": 6}, readout="flops")
    score = estimator.estimate(space, architectures[0], seed=0)
    assert score.score == score.extra["network_flops"] == cost.flops
    expected = make_estimator("zero_cost", data, readout="flops").estimate(wide, architectures[0], seed=0)
    assert score.extra == expected.extra | {"network_params": cost.params, "network_flops": cost.flops}
    own = make_estimator("zero_cost", data).estimate(space, architectures[0], seed=0)
    assert (score.params, score.flops) == (own.params, own.flops)  # what constraints and fronts go by


def test_a_number_that_is_not_finite_is_the_candidate_s_failure(
    data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
) -> None:
    broken: Any = replace(data, validation_images=np.full_like(data.validation_images, np.nan))
    with pytest.raises(CandidateFailed, match=r"non-finite: validation loss of the untrained network is nan"):
        make_estimator("zero_cost", broken).estimate(space, architectures[0], seed=0)
