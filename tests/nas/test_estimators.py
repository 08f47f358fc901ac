"""The contract of every estimator that trains, then what each of them measures, by other means."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from statistics import fmean
from typing import Any, ClassVar, cast, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import DatasetSplits, load_dataset
from gtn_core.errors import DatasetError, DeviceError
from gtn_core.inner_loop import train_on_curriculum
from gtn_core.randomness import derive_seed
from nas import get_search_space, network_cost
from nas.architecture import Architecture
from nas.candidates import CandidateResult, Failure, Proposal
from nas.estimators import (
    ESTIMATORS,
    CandidateFailed,
    CandidateScore,
    Estimator,
    EstimatorData,
    estimator_data,
    make_estimator,
    score_candidate,
)
from nas.estimators.readouts import TrainingReadout
from nas.estimators.real_batches import RATES, RealBatches, RealBatchesConfig
from nas.estimators.resident_data import synthetic_curriculum
from nas.evaluation import evaluate, evaluation_plan
from nas.search_spaces.base import SearchSpace
from nas.search_spec import SearchSpec

STEPS, BATCH_SIZE = 4, 16
TRAINING = {"gtn": STEPS, "gtn_then_real": 2 * STEPS, "real_data": STEPS}
"""The estimators that train, and the steps that each takes by default."""

ENCODING = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|"


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return load_dataset("digits", seed=0)


@pytest.fixture(scope="module")
def curriculum(splits: DatasetSplits) -> SyntheticCurriculum:
    """Real digits in a curriculum's shape, with rates and soft labels that differ from step to step."""
    images = splits.train.images[: STEPS * BATCH_SIZE].view(STEPS, BATCH_SIZE, 1, 8, 8)
    labels = F.one_hot(splits.train.labels[: STEPS * BATCH_SIZE], 10).float().view(STEPS, BATCH_SIZE, 10)
    return SyntheticCurriculum(
        images,
        0.9 * labels + 0.01,
        learning_rates=torch.linspace(0.1, 0.04, STEPS),
        momenta=torch.linspace(0.5, 0.9, STEPS),
    )


@pytest.fixture(scope="module")
def data(curriculum: SyntheticCurriculum, splits: DatasetSplits) -> EstimatorData:
    return estimator_data(curriculum, splits)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return get_search_space("nasbench201", channels=4, cells_per_stage=1)


@pytest.fixture(scope="module")
def architecture(space: SearchSpace) -> Architecture:
    return space.parse(ENCODING)


def same_but_for_the_time(a: CandidateScore, b: CandidateScore) -> bool:
    return replace(a, seconds=0.0) == replace(b, seconds=0.0)


@pytest.mark.parametrize("name", TRAINING)
class TestEveryTrainingEstimator:
    def test_describes_itself(self, name: str, data: EstimatorData) -> None:
        estimator = make_estimator(name, data)
        assert isinstance(estimator, Estimator)
        assert estimator.name == name
        assert ESTIMATORS.description(name)
        assert ESTIMATORS.schema(name)["additionalProperties"] is False

    def test_gives_a_finite_score_with_every_field(
        self, name: str, data: EstimatorData, space: SearchSpace, architecture: Architecture
    ) -> None:
        score = make_estimator(name, data).estimate(space, architecture, seed=0)
        cost = network_cost(
            lambda: space.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=0), (1, 8, 8)
        )
        assert 0 <= score.accuracy <= 1
        assert math.isfinite(score.loss)
        assert len(score.loss_curve) == TRAINING[name]
        assert all(math.isfinite(loss) for loss in score.loss_curve)
        assert (score.params, score.flops) == (cost.params, cost.flops)
        assert score.seconds > 0
        assert score.extra["sum_training_loss"] == pytest.approx(sum(score.loss_curve))
        late = score.loss_curve[TRAINING[name] // 2 :]
        assert score.extra["sum_training_loss_late"] == pytest.approx(sum(late))

    @pytest.mark.parametrize("readout", get_args(TrainingReadout))
    def test_the_readout_alone_decides_what_the_score_is(
        self, name: str, readout: str, data: EstimatorData, space: SearchSpace, architecture: Architecture
    ) -> None:
        score = make_estimator(name, data, readout=readout).estimate(space, architecture, seed=0)
        default = make_estimator(name, data).estimate(space, architecture, seed=0)
        expected = {
            "accuracy": default.accuracy,
            "validation_loss": -default.loss,
            "sum_training_loss": -default.extra["sum_training_loss"],
            "sum_training_loss_late": -default.extra["sum_training_loss_late"],
        }
        assert score.score == score.extra["score"] == expected[readout]
        assert default.score == default.accuracy
        assert (score.accuracy, score.loss, score.loss_curve) == (
            default.accuracy,
            default.loss,
            default.loss_curve,
        )

    def test_is_deterministic_in_the_seed_and_only_in_it(
        self, name: str, data: EstimatorData, space: SearchSpace, architecture: Architecture
    ) -> None:
        first, second = make_estimator(name, data), make_estimator(name, data)
        score = first.estimate(space, architecture, seed=3)
        torch.manual_seed(99)
        first.estimate(space, architecture, seed=4)
        assert same_but_for_the_time(first.estimate(space, architecture, seed=3), score)
        assert same_but_for_the_time(second.estimate(space, architecture, seed=3), score)
        assert first.estimate(space, architecture, seed=4).loss_curve != score.loss_curve

    def test_seeds_what_networks_draw_in_forward(
        self, name: str, data: EstimatorData, space_with_dropout: SearchSpace, architecture: Architecture
    ) -> None:
        estimator = make_estimator(name, data, initialisations=2)
        before = torch.random.get_rng_state()
        score = estimator.estimate(space_with_dropout, architecture, seed=3)
        assert torch.equal(torch.random.get_rng_state(), before), "the global generator has moved"
        torch.manual_seed(99)
        again = estimator.estimate(space_with_dropout, architecture, seed=3)
        assert same_but_for_the_time(again, score)

    def test_leaves_its_data_as_they_are(
        self, name: str, data: EstimatorData, space: SearchSpace, architecture: Architecture
    ) -> None:
        """Ray hands every worker of a node the same read-only memory."""
        frozen = EstimatorData(**{field: _read_only(getattr(data, field)) for field in data.__slots__})
        make_estimator(name, frozen).estimate(space, architecture, seed=0)
        for field in data.__slots__:
            np.testing.assert_array_equal(getattr(frozen, field), getattr(data, field))

    def test_averages_over_initialisations(
        self, name: str, data: EstimatorData, space: SearchSpace, architecture: Architecture
    ) -> None:
        one = make_estimator(name, data).estimate(space, architecture, seed=0)
        three = make_estimator(name, data, initialisations=3).estimate(space, architecture, seed=0)
        assert three.loss != one.loss
        assert three.params == one.params
        # The first of the three is the one: the other two make up the difference, within [0, 1] each.
        assert 0 <= 3 * three.accuracy - one.accuracy <= 2

    def test_measures_on_a_part_of_the_validation_data_where_told(
        self, name: str, data: EstimatorData, space: SearchSpace, architecture: Architecture
    ) -> None:
        limited = make_estimator(name, data, validation_limit=50)
        score = limited.estimate(space, architecture, seed=0)
        assert score.accuracy * 50 == pytest.approx(round(score.accuracy * 50))
        assert same_but_for_the_time(limited.estimate(space, architecture, seed=0), score)

    def test_tells_at_which_step_a_candidate_diverged(
        self, name: str, data: EstimatorData, space: SearchSpace, architecture: Architecture
    ) -> None:
        broken = replace(
            data,
            curriculum_images=_with_nan_in(data.curriculum_images, step=2),
            train_images=np.full_like(data.train_images, np.nan),
        )
        with pytest.raises(
            CandidateFailed, match=rf"non-finite: training loss is nan at step [02] of {TRAINING[name]}"
        ):
            make_estimator(name, broken).estimate(space, architecture, seed=0)


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
    return value


def _with_nan_in(images: np.ndarray, step: int) -> np.ndarray:
    images = images.copy()
    images[step, 0] = np.nan
    return images


def test_gtn_is_a_plain_training_loop_over_the_curriculum(
    data: EstimatorData,
    space: SearchSpace,
    architecture: Architecture,
    curriculum: SyntheticCurriculum,
    splits: DatasetSplits,
) -> None:
    network = space.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=5)
    curve = []
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"], group["momentum"] = (
                float(curriculum.learning_rates[step]),
                float(curriculum.momenta[step]),
            )
        log_probabilities = network(curriculum.images[step]).log_softmax(dim=1)
        loss = -(curriculum.labels[step] * log_probabilities).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    with torch.no_grad():
        logits = network(splits.validation.images)  # one batch, in train mode: its own statistics

    score = make_estimator("gtn", data).estimate(space, architecture, seed=5)
    assert score.loss_curve == pytest.approx(curve, rel=1e-4)
    assert score.loss == pytest.approx(F.cross_entropy(logits, splits.validation.labels).item(), rel=1e-3)
    accuracy = (logits.argmax(dim=1) == splits.validation.labels).float().mean().item()
    assert score.accuracy == pytest.approx(accuracy, abs=2 / len(splits.validation))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_no_gradients_are_kept_candidates_are_scored_all_the_same(
    mode: Callable[[], AbstractContextManager[None]],
    space: SearchSpace,
    curriculum: SyntheticCurriculum,
    splits: DatasetSplits,
) -> None:
    architecture = space.parse(ENCODING)
    with mode():
        found = score_candidate(space, architecture, curriculum, splits.validation)
    assert found.loss == score_candidate(space, architecture, curriculum, splits.validation).loss


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_cuda_device_that_is_not_there(data: EstimatorData) -> None:
    with pytest.raises(DeviceError, match=r'device "cuda" needs a GPU and a PyTorch that finds it'):
        make_estimator("gtn", data, device="cuda")


@pytest.mark.parametrize(("images", "classes"), [((1, 8, 7), 10), ((3, 8, 8), 10), ((1, 8, 8), 3)])
def test_a_curriculum_of_other_data_is_refused(
    images: tuple[int, int, int], classes: int, splits: DatasetSplits
) -> None:
    rates = torch.full((2,), 0.1)
    other = SyntheticCurriculum(torch.zeros(2, 3, *images), torch.zeros(2, 3, classes), rates, rates)
    with pytest.raises(DatasetError, match=rf"of {classes} classes and digits .*\(1, 8, 8\) of 10 classes"):
        estimator_data(other, splits)


def test_score_candidate_is_the_gtn_estimator(
    data: EstimatorData,
    space: SearchSpace,
    architecture: Architecture,
    curriculum: SyntheticCurriculum,
    splits: DatasetSplits,
) -> None:
    score = score_candidate(space, architecture, curriculum, splits.validation, seed=5)
    assert same_but_for_the_time(score, make_estimator("gtn", data).estimate(space, architecture, seed=5))


def test_real_data_trains_on_seeded_batches_of_the_training_split(
    data: EstimatorData,
    space: SearchSpace,
    architecture: Architecture,
    curriculum: SyntheticCurriculum,
    splits: DatasetSplits,
) -> None:
    """It does not see the curriculum, and is the GTN score of those batches made a curriculum."""
    other = replace(data, curriculum_images=np.zeros_like(data.curriculum_images))
    score = make_estimator("real_data", other, learning_rate=0.05, momentum=0.8).estimate(
        space, architecture, seed=1
    )
    order = np.random.default_rng(1).permutation(len(splits.train))[: STEPS * BATCH_SIZE]
    batches = replace(
        curriculum,
        images=splits.train.images[order].view(STEPS, BATCH_SIZE, 1, 8, 8),
        labels=F.one_hot(splits.train.labels[order], 10).float().view(STEPS, BATCH_SIZE, 10),
        learning_rates=torch.full((STEPS,), 0.05),
        momenta=torch.full((STEPS,), 0.8),
    )
    expected = score_candidate(space, architecture, batches, splits.validation, seed=1)
    assert same_but_for_the_time(score, expected)


def test_passes_repeat_the_curriculum_with_its_rates(
    data: EstimatorData, space: SearchSpace, architecture: Architecture
) -> None:
    once, twice = (
        make_estimator("gtn", data, passes=passes).estimate(space, architecture, seed=5) for passes in (1, 2)
    )
    assert twice.loss_curve[:STEPS] == once.loss_curve
    network = space.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=5)
    curriculum = synthetic_curriculum(data, torch.device("cpu"))
    doubled = replace(
        curriculum,
        images=torch.cat([curriculum.images] * 2),
        labels=torch.cat([curriculum.labels] * 2),
        learning_rates=torch.cat([curriculum.learning_rates] * 2),
        momenta=torch.cat([curriculum.momenta] * 2),
    )
    assert twice.loss_curve == pytest.approx(train_on_curriculum(network, doubled).tolist())


def test_gtn_then_real_goes_on_with_the_batches_of_real_data(
    data: EstimatorData,
    space: SearchSpace,
    architecture: Architecture,
    curriculum: SyntheticCurriculum,
    splits: DatasetSplits,
) -> None:
    score = make_estimator(
        "gtn_then_real", data, passes=2, steps=3, learning_rate=0.05, momentum=0.8
    ).estimate(space, architecture, seed=1)
    order = np.random.default_rng(1).permutation(len(splits.train))[: 3 * BATCH_SIZE]
    images = splits.train.images[order].view(3, BATCH_SIZE, 1, 8, 8)
    labels = F.one_hot(splits.train.labels[order], 10).float().view(3, BATCH_SIZE, 10)
    both = SyntheticCurriculum(
        images=torch.cat([curriculum.images, curriculum.images, images]),
        labels=torch.cat([curriculum.labels, curriculum.labels, labels]),
        learning_rates=torch.cat([*[curriculum.learning_rates] * 2, torch.full((3,), 0.05)]),
        momenta=torch.cat([*[curriculum.momenta] * 2, torch.full((3,), 0.8)]),
    )
    assert same_but_for_the_time(score, score_candidate(space, architecture, both, splits.validation, seed=1))


def test_real_data_takes_as_many_steps_as_it_is_told(
    data: EstimatorData, space: SearchSpace, architecture: Architecture
) -> None:
    curves = [
        make_estimator("real_data", data, steps=steps).estimate(space, architecture, seed=0).loss_curve
        for steps in (STEPS, 7)
    ]
    assert (len(curves[0]), len(curves[1])) == (STEPS, 7)
    assert curves[1][:STEPS] == curves[0]


def test_a_rate_is_found_once_per_space_among_those_that_do_not_diverge(
    data: EstimatorData, space: SearchSpace, architecture: Architecture
) -> None:
    batches = RealBatches(data, RealBatchesConfig(learning_rate=None, steps=8), torch.device("cpu"))
    rate = batches.tuned_rate(space)
    assert rate in RATES["sgd"]
    tuned = make_estimator("real_data", data, learning_rate=None, steps=8)
    fixed = make_estimator("real_data", data, learning_rate=rate, steps=8)
    assert same_but_for_the_time(
        tuned.estimate(space, architecture, seed=3), fixed.estimate(space, architecture, seed=3)
    )
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(4)]
    means = {
        each: sum(
            make_estimator("real_data", data, learning_rate=each, steps=8)
            .estimate(space, drawn, seed=0)
            .accuracy
            for drawn in architectures
        )
        for each in RATES["sgd"]
    }
    assert means[rate] == max(means.values())


def test_architectures_that_cannot_be_trained_have_no_say_in_the_rate(
    data: EstimatorData, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, build = np.random.default_rng(0), type(space).build
    bad = [space.sample(rng) for _ in range(2)]
    built = 0

    def sometimes(self: SearchSpace, architecture: Architecture, **shape: Any) -> nn.Module:
        nonlocal built
        built += 1
        assert architecture not in bad, "no such network"
        return build(self, architecture, **shape)

    monkeypatch.setattr(type(space), "build", sometimes)
    batches = RealBatches(data, RealBatchesConfig(learning_rate=None, steps=1), torch.device("cpu"))
    assert batches.tuned_rate(space) in RATES["sgd"]
    monkeypatch.setattr("nas.estimators.real_batches.TUNING_DRAWS", 2)
    only_bad = RealBatches(data, RealBatchesConfig(learning_rate=None, steps=1), torch.device("cpu"))
    for _ in range(2):
        with pytest.raises(CandidateFailed, match="AssertionError: no such network"):
            only_bad.tuned_rate(space)
        tried, built = built, 0
    assert (tried, built) == (0, 0)  # the second time it was known


def test_the_usual_rate_is_that_of_the_optimizer(data: EstimatorData, space: SearchSpace) -> None:
    for optimizer, rate in (("sgd", 0.1), ("adam", 0.01)):
        batches = RealBatches(data, RealBatchesConfig(), torch.device("cpu"), cast(Any, optimizer))
        assert batches.curriculum(0, space).learning_rates[0].item() == pytest.approx(rate)
    with pytest.raises(ValidationError, match="learning_rate"):
        RealBatchesConfig(learning_rate=0)


def test_real_steps_after_synthetic_ones_are_tuned_with_the_optimizer_that_takes_them(
    data: EstimatorData, space: SearchSpace
) -> None:
    device = torch.device("cpu")
    batches = RealBatches(data, RealBatchesConfig(learning_rate=None, steps=8), device, "adam")
    rate = batches.tuned_rate(space)
    assert rate in RATES["adam"]
    curriculum = batches.curriculum(0, space)
    assert curriculum.inner_optimizer == "adam"
    assert curriculum.learning_rates.tolist() == pytest.approx([rate] * 8)


def test_real_data_goes_through_a_small_training_split_again_and_again(
    data: EstimatorData, space: SearchSpace, architecture: Architecture
) -> None:
    few = replace(data, train_images=data.train_images[:20], train_labels=data.train_labels[:20])
    score = make_estimator("real_data", few).estimate(space, architecture, seed=0)
    assert len(score.loss_curve) == STEPS
    config = RealBatchesConfig(steps=-(-40 // BATCH_SIZE))
    batches = RealBatches(few, config, torch.device("cpu")).curriculum(0, space)
    first, second = batches.images.flatten(0, 1).flatten(1)[:40].split(20)
    assert (
        sorted(first.tolist()) == sorted(second.tolist()) == sorted(few.train_images.reshape(20, -1).tolist())
    )
    assert not torch.equal(first, second), "each pass has an order of its own"


def test_a_score_in_part_is_that_of_the_first_steps(
    data: EstimatorData, space: SearchSpace, architecture: Architecture
) -> None:
    """Of 5 steps, 0.7 are 3.5, which is 4; hardly any is one."""
    estimator = make_estimator("real_data", data, steps=5)
    whole = estimator.estimate(space, architecture, seed=2)
    for share, steps in ((0.7, 4), (0.5, 2), (0.01, 1), (1.0, 5)):
        part = estimator.estimate_in_part(space, architecture, seed=2, share=share)
        assert part.loss_curve == whole.loss_curve[:steps]
    assert same_but_for_the_time(part, whole)


def test_several_initialisations_are_the_mean_of_single_ones(
    data: EstimatorData, space: SearchSpace, architecture: Architecture
) -> None:
    seeds = [7, *(derive_seed(7, "initialisation", number) for number in (1, 2))]
    single = [make_estimator("gtn", data).estimate(space, architecture, seed=seed) for seed in seeds]
    mean = make_estimator("gtn", data, initialisations=3).estimate(space, architecture, seed=7)
    assert mean.accuracy == pytest.approx(fmean(score.accuracy for score in single))
    assert mean.loss == pytest.approx(fmean(score.loss for score in single))
    curves = zip(*(score.loss_curve for score in single), strict=True)
    assert mean.loss_curve == pytest.approx([fmean(losses) for losses in curves])
    assert mean.score == mean.accuracy


class FaultySpace:
    """One architecture per fault of its network."""

    name: ClassVar[str] = "faulty"

    def build(self, architecture: Architecture, **_: Any) -> nn.Module:
        return {
            "shape": nn.Sequential(nn.Flatten(), nn.Linear(63, 10)),
            "memory": nn.Sequential(nn.Flatten(), Hungry(), nn.Linear(64, 10)),
            "exploding": nn.Sequential(nn.Flatten(), nn.Linear(64, 10), Exploding()),
            "bug": nn.Sequential(nn.Flatten(), Buggy(), nn.Linear(64, 10)),
        }[architecture.encoding]


class Hungry(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + images.new_zeros(2**48).sum()  # a petabyte, free of charge on the meta device


class Exploding(nn.Module):
    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits if self.training or not len(logits) else logits * math.inf


class Buggy(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.device.type != "meta":
            raise ZeroDivisionError("of this candidate's own")
        return images


class ForeignEstimator:
    """One of another package, which answers with numpy's numbers."""

    name, config = "foreign", None

    def __init__(self, **changed: Any) -> None:
        self.changed = changed

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        numbers: dict[str, Any] = {
            "accuracy": np.float32(0.5),
            "loss": np.float64(1.5),
            "loss_curve": np.array([2.0, 1.0], np.float32),
            "params": np.int64(7),
            "flops": np.int32(9),
            "seconds": 0.25,
            "extra": {"own": np.float16(0.125)},
        }
        return CandidateScore(**numbers | self.changed)


def scored_by(estimator: Any, data: EstimatorData) -> CandidateResult:
    proposal, space = Proposal(0, Architecture("any", "any"), "any", seed=0), cast("Any", None)
    (result,) = evaluate(space, estimator, proposal, evaluation_plan(SearchSpec(), (1.0,), data))
    return result


def test_numbers_of_other_packages_become_plain_ones(data: EstimatorData) -> None:
    score = scored_by(ForeignEstimator(), data).score
    assert score == CandidateScore(0.5, 1.5, (2.0, 1.0), 7, 9, 0.25, {"own": 0.125, "score": 0.5})
    numbers = (score.accuracy, score.loss, *score.loss_curve, score.params, score.flops, score.extra["own"])
    assert [type(number) for number in numbers] == [float, float, float, float, int, int, float]


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"accuracy": math.nan}, "accuracy is nan"),
        ({"loss_curve": (1.0, math.inf)}, "loss_curve[1] is inf"),
        ({"extra": {"score": np.float32("nan")}}, "score is nan"),
    ],
)
def test_a_number_that_is_none_fails_its_candidate_alone(
    changed: dict[str, Any], detail: str, data: EstimatorData
) -> None:
    result = scored_by(ForeignEstimator(**changed), data)
    assert (result.score, result.failure) == (None, Failure("non-finite", detail))


@pytest.mark.parametrize(
    ("fault", "reason", "detail"),
    [
        ("shape", "bad shape", "64"),
        ("memory", "out of memory", "memory"),
        ("exploding", "non-finite", "validation loss is nan after"),
        ("bug", "error", "ZeroDivisionError: of this candidate's own (in forward, test_estimators.py:"),
    ],
)
@pytest.mark.parametrize("name", TRAINING)
def test_what_is_wrong_with_a_candidate_is_its_failure(
    name: str, fault: str, reason: str, detail: str, data: EstimatorData
) -> None:
    proposal = Proposal(0, Architecture("faulty", fault), fault, seed=0)
    space: Any = FaultySpace()
    plan = evaluation_plan(SearchSpec(), (1.0,), data)
    (result,) = evaluate(space, make_estimator(name, data), proposal, plan)
    assert result.score is None
    assert result.failure is not None
    assert result.failure.reason == reason
    assert detail in result.failure.detail


def test_what_one_score_meets_is_told_as_in_a_search(
    curriculum: SyntheticCurriculum, splits: DatasetSplits
) -> None:
    space: Any = FaultySpace()
    for fault, reason in {"memory": "out of memory", "bug": "error"}.items():
        with pytest.raises(CandidateFailed, match=reason):
            score_candidate(space, Architecture("faulty", fault), curriculum, splits.validation)
