"""Log-rank aggregation by hand, and the two estimators built on it."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from nas.architecture import Architecture
from nas.estimators import CandidateFailed, EstimatorData, estimator_config, make_estimator
from nas.estimators.base import CandidateScore
from nas.estimators.calibrated import LogRankProcess
from nas.estimators.ensemble import EnsembleConfig
from nas.estimators.log_rank import log_rank, normal_scores, relative_ranks
from nas.estimators.measurements import OwnMeasurements
from nas.estimators.panel import Panel
from nas.estimators.zero_cost import ZeroCost
from nas.ranking import spearman
from nas.search_spaces import sample
from nas.search_spaces.base import SearchSpace

TWO = [
    {"name": "gtn", "readouts": ["sum_training_loss"], "validation_limit": 50},
    {"name": "zero_cost", "readouts": ["synflow", "flops"], "proxies": ["synflow"]},
]


def recorded(ask: Callable[..., Any], asked: list[Architecture]) -> Callable[..., Any]:
    def recording(panel: Panel, space: SearchSpace, architecture: Architecture, *, seed: int) -> Any:
        asked.append(architecture)
        return ask(panel, space, architecture, seed=seed)

    return recording


class TestLogRank:
    def test_far_from_every_value_the_smoothed_rank_is_the_count_below(self) -> None:
        reference = np.array([[0.0], [1.0], [2.0], [3.0]])
        ranks = relative_ranks(reference, np.array([[-100.0], [1.5], [100.0]]))[:, 0]
        assert ranks == pytest.approx([0.5 / 5, 0.5, 4.5 / 5])

    def test_the_counts_are_smoothed_by_silverman_s_bandwidth(self) -> None:
        """Two values: standard deviation 1, interquartile range 1, of which the smaller spread counts."""
        reference = np.array([[-1.0], [1.0]])
        bandwidth = 0.9 * (1 / 1.349) * 2**-0.2
        below = stats.norm.cdf(2 / bandwidth) + 0.5  # the lower one is 2 away, the upper one is the value
        assert relative_ranks(reference, np.array([[1.0]])) == pytest.approx((below + 0.5) / 3)

        # Seven of eight are equal: no interquartile range, and the deviation, sqrt(7) / 8, takes its place.
        reference = np.array([[0.0]] * 7 + [[1.0]])
        below = 7 * stats.norm.cdf(1 / (0.9 * (7**0.5 / 8) * 8**-0.2)) + 0.5
        assert relative_ranks(reference, np.array([[1.0]])) == pytest.approx((below + 0.5) / 9)

    def test_no_two_values_tie_and_outliers_do_not_blur_the_others(self) -> None:
        reference = np.array([[0.0], [1.0], [2.0], [3.0], [-1e6]])
        ranks = relative_ranks(reference, np.array([[1.2], [1.4], [3.1], [3.3]]))[:, 0]
        assert (np.diff(ranks) > 0.005).all()

    def test_a_readout_that_is_always_equal_decides_nothing(self) -> None:
        reference = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
        scores = log_rank(reference, np.array([[1.0, 5.0], [3.0, 5.0]]))
        without = log_rank(reference[:, :1], np.array([[1.0], [3.0]]))
        assert scores - without == pytest.approx([math.log(0.5)] * 2)

    def test_columns_are_added_as_logarithms(self) -> None:
        reference = np.random.default_rng(0).normal(size=(20, 2))
        values = np.array([[0.3, -1.0]])
        ranks = relative_ranks(reference, values)[0]
        assert log_rank(reference, values) == pytest.approx([math.log(ranks[0]) + math.log(ranks[1])])

    def test_normal_scores(self) -> None:
        assert normal_scores(np.array([0.5, stats.norm.cdf(1.5)])) == pytest.approx([0, 1.5])


class TestEnsemble:
    def test_is_the_log_rank_of_its_members_among_the_reference(
        self, data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        estimator = make_estimator("ensemble", data, members=TWO, reference_size=8, reference_seed=1)
        score = estimator.estimate(space, architectures[0], seed=2)
        gtn = make_estimator("gtn", data, validation_limit=50)
        proxies = make_estimator("zero_cost", data, proxies=["synflow"])

        def readouts(architecture: Architecture) -> list[float]:
            trained, untrained = (each.estimate(space, architecture, seed=2) for each in (gtn, proxies))
            return [-trained.extra["sum_training_loss"], untrained.extra["synflow"], untrained.flops]

        reference = np.array([readouts(each) for each in sample(space, 8, seed=1)])
        expected = log_rank(reference, np.array([readouts(architectures[0])]))[0]
        assert score.score == score.extra["log_rank"] == pytest.approx(expected)
        trained = gtn.estimate(space, architectures[0], seed=2)
        assert (score.accuracy, score.loss_curve) == (trained.accuracy, trained.loss_curve)
        assert score.extra["gtn.sum_training_loss"] == trained.extra["sum_training_loss"]

    def test_a_readout_that_is_no_number_fails_its_candidate_alone(
        self,
        data: EstimatorData,
        space: SearchSpace,
        architectures: list[Architecture],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ensemble = make_estimator("ensemble", data, members=[TWO[1]], reference_size=8, reference_seed=1)
        (broken, *_), ask = sample(space, 8, seed=1), ZeroCost.estimate

        def sometimes_no_number(self: ZeroCost, *arguments: Any, **options: Any) -> CandidateScore:
            score = ask(self, *arguments, **options)
            if arguments[1] in (broken, architectures[1]):
                score.extra["synflow"] = float("nan")
            return score

        monkeypatch.setattr(ZeroCost, "estimate", sometimes_no_number)
        assert np.isfinite(ensemble.estimate(space, architectures[0], seed=0).score)
        with pytest.raises(CandidateFailed, match="non-finite"):
            ensemble.estimate(space, architectures[1], seed=0)

    def test_does_not_depend_on_what_else_it_has_scored(
        self, data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        first, second = (make_estimator("ensemble", data, reference_size=8) for _ in range(2))
        for architecture in architectures[:3]:
            first.estimate(space, architecture, seed=0)
        scores = [each.estimate(space, architectures[3], seed=0).score for each in (first, second)]
        assert scores[0] == scores[1]

    def test_workers_of_a_search_share_the_reference(
        self, data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        alone = make_estimator("ensemble", data, reference_size=8)
        expected = alone.estimate(space, architectures[0], seed=0).score
        shared = OwnMeasurements()
        first, second = (
            make_estimator("ensemble", replace(data, measurements=shared), reference_size=8) for _ in range(2)
        )
        first.estimate(space, architectures[1], seed=0)
        with pytest.MonkeyPatch.context() as patch:
            asked: list[Architecture] = []
            patch.setattr(Panel, "ask", recorded(Panel.ask, asked))
            assert second.estimate(space, architectures[0], seed=0).score == expected
            assert asked == architectures[:1]
            second.estimate(space, architectures[0], seed=1)
            assert len(asked) == 1 + 8 + 1  # another seed, another reference

    def test_a_reference_that_cannot_be_scored_says_why_in_every_worker(
        self, data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        broken = replace(
            data, validation_images=data.validation_images * np.nan, measurements=OwnMeasurements()
        )
        for _ in range(2):
            estimator = make_estimator("ensemble", broken, members=TWO[:1], reference_size=8)
            with pytest.raises(CandidateFailed, match="non-finite"):
                estimator.estimate(space, architectures[0], seed=0)

    def test_one_of_the_reference_that_cannot_be_built_spoils_nobody_else(
        self, data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        first, bad, *rest = sample(space, 8, seed=0)
        build = type(space).build

        def sometimes(self: SearchSpace, architecture: Architecture, **shape: Any) -> torch.nn.Module:
            assert architecture != bad, "no such network"
            return build(self, architecture, **shape)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(space), "build", sometimes)
            estimator = make_estimator("ensemble", data, members=TWO[1:], reference_size=8)
            score = estimator.estimate(space, architectures[0], seed=0)
        proxies = make_estimator("zero_cost", data, proxies=["synflow"])
        values = [proxies.estimate(space, each, seed=0) for each in (first, *rest, architectures[0])]
        readouts = np.array([[value.extra["synflow"], value.flops] for value in values])
        assert score.score == pytest.approx(log_rank(readouts[:-1], readouts[-1:])[0])

    def test_the_reference_holds_no_architecture_twice(self, space: SearchSpace) -> None:
        drawn = sample(space, 200, seed=0)
        assert len({space.canonical_hash(each) for each in drawn}) == len(drawn) == 200
        assert sample(space, 200, seed=0) == drawn

    @pytest.mark.parametrize(
        ("member", "reason"),
        [
            ({"name": "gtn", "readouts": ["synflow"]}, "gtn has no readout 'synflow'; it has accuracy"),
            ({"name": "nothing"}, "'nothing'"),
            (
                {"name": "zero_cost", "proxies": ["naswot"], "readouts": ["synflow"]},
                "no readout 'synflow'; it has params, flops, naswot",
            ),
            ({"name": "gtn", "passes": 0}, "passes"),
            (
                {"name": "ensemble", "members": [{"name": "ensemble", "members": [{"name": "gtn"}]}]},
                "ensemble has members that have members; name those beside each other",
            ),
            ({"name": "zero_cost", "readouts": ["naswot"] * 65}, "at most 64 items"),
            ({"name": "zero_cost", "proxies": ["naswot"] * 65}, "at most 64 items"),
        ],
    )
    def test_a_bad_member_is_refused_at_once(
        self, member: dict[str, object], reason: str, data: EstimatorData
    ) -> None:
        with pytest.raises((ValidationError, ValueError), match=reason):
            make_estimator("ensemble", data, members=[member])

    def test_there_are_as_many_members_as_can_be_checked_at_once(self) -> None:
        for count, few in ((16, True), (17, False), (60_000, False)):
            with nullcontext() if few else pytest.raises(ValidationError, match="at most 16 items"):
                EnsembleConfig.model_validate({"members": [{"name": "zero_cost"}] * count})

    def test_of_many_bad_members_the_first_is_told(self) -> None:
        with pytest.raises(ValidationError) as caught:
            EnsembleConfig.model_validate({"members": [{"name": "gtn"}, *[{"nam": "gtn"}] * 100_000]})
        places = {error["loc"][1] for error in caught.value.errors() if error["type"] == "missing"}
        assert places == {1}


class TestLogRankProcess:
    @staticmethod
    def predictor(truth: Callable[[np.ndarray], np.ndarray], n: int) -> tuple[float, float]:
        """Agreement with a truth of what the process predicts after n labels, and of the aggregate alone."""
        rng = np.random.default_rng(0)
        readouts, features = rng.normal(size=(400, 2)), rng.integers(2, size=(400, 3)).astype(float)
        accuracies = truth(np.hstack([readouts, features]))
        process = LogRankProcess(readouts[-100:], readouts[:n], features[:n], accuracies[:n])
        predicted, aggregate = process.predict(readouts[n:300], features[n:300])
        return spearman(predicted, accuracies[n:300]), spearman(aggregate, accuracies[n:300])

    def test_labels_correct_the_ensemble_where_it_is_wrong(self) -> None:
        predicted, aggregate = self.predictor(lambda x: x[:, 0] + x[:, 1] + 3 * x[:, 2], 50)
        assert predicted > 0.95
        assert aggregate < 0.8

    def test_few_labels_do_not_spoil_an_ensemble_that_is_right(self) -> None:
        predicted, aggregate = self.predictor(lambda x: x[:, 0] + x[:, 1], 5)
        assert aggregate > 0.9
        assert predicted > 0.8

    def test_readouts_that_mislead_are_not_followed(self) -> None:
        predicted, aggregate = self.predictor(lambda x: -x[:, 0] - x[:, 1], 50)
        assert aggregate < -0.9
        assert predicted > 0.8

    def test_far_from_every_label_the_score_is_the_ensemble_s_unless_that_misleads(self) -> None:
        rng = np.random.default_rng(0)
        readouts, features = rng.normal(size=(60, 2)), rng.integers(2, size=(60, 3)).astype(float)
        for sign in (1, -1):
            accuracies = sign * readouts[:30].sum(axis=1)
            process = LogRankProcess(readouts, readouts[:30], features[:30], accuracies)
            predicted, aggregate = process.predict(readouts[30:], features[30:] + 1000)
            if sign > 0:
                assert spearman(predicted, aggregate) == pytest.approx(1)
            else:
                assert np.ptp(predicted) < 1e-6, "nobody knows"


class TestCalibrated:
    def test_scores_with_labels_of_real_trainings(
        self, data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        """Labels that grow as SynFlow falls turn the order of the ensemble around."""
        options = {"members": [TWO[1]], "reference_size": 16}
        ensemble = make_estimator("ensemble", data, **options)
        aggregates = [ensemble.estimate(space, each, seed=0).score for each in architectures]
        labels = [
            {"architecture": each.encoding, "accuracy": -aggregate}
            for each, aggregate in zip(architectures, aggregates, strict=True)
        ]
        calibrated = make_estimator("calibrated", data, labels=labels, **options)
        scores = [calibrated.estimate(space, each, seed=0) for each in architectures]
        assert [score.extra["log_rank"] for score in scores] == pytest.approx(aggregates)
        assert spearman([score.score for score in scores], aggregates) < -0.8

    def test_workers_of_a_search_share_the_labels(
        self, data: EstimatorData, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        labels = [
            {"architecture": each.encoding, "accuracy": float(number)}
            for number, each in enumerate(architectures[:6])
        ]
        shared = replace(data, measurements=OwnMeasurements())
        options = {"members": [TWO[1]], "reference_size": 8, "labels": labels}
        scores = [make_estimator("calibrated", data, **options).estimate(space, architectures[7], seed=0)]
        make_estimator("calibrated", shared, **options).estimate(space, architectures[6], seed=0)
        with pytest.MonkeyPatch.context() as patch:
            asked: list[Architecture] = []
            patch.setattr(Panel, "ask", recorded(Panel.ask, asked))
            second = make_estimator("calibrated", shared, **options)
            scores.append(second.estimate(space, architectures[7], seed=0))
        assert scores[0].score == scores[1].score
        assert asked == architectures[7:8]

    def test_labels_that_order_nothing_teach_nothing(
        self, data: EstimatorData, architectures: list[Architecture]
    ) -> None:
        labels = [{"architecture": each.encoding, "accuracy": 0.5} for each in architectures[:5]]
        with pytest.raises(ValidationError, match="no order can be learned"):
            make_estimator("calibrated", data, labels=labels)

    def test_needs_labels(self, data: EstimatorData) -> None:
        with pytest.raises(ValidationError, match="labels"):
            make_estimator("calibrated", data)


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ([{"name": "zero_cost"}], False),
        ([{"name": "zero_cost"}, {"name": "gtn"}], False),
        ([{"name": "zero_cost"}, {"name": "real_data", "steps": 3}], True),
        ([{"name": "ensemble", "members": [{"name": "real_data", "steps": 3}]}], True),
    ],
)
@pytest.mark.parametrize("name", ["ensemble", "calibrated"])
def test_training_data_are_shipped_to_a_panel_only_for_a_member_that_needs_them(
    name: str, members: list[dict[str, Any]], needs: bool
) -> None:
    options: dict[str, Any] = {"members": members}
    if name == "calibrated":
        options["labels"] = [{"architecture": str(number), "accuracy": number} for number in range(5)]
    assert estimator_config(name, **options).needs_train_data is needs
