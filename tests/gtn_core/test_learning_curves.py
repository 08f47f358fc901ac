from dataclasses import replace
from statistics import mean

import pytest
import torch

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    FrozenCheckpoint,
    MetaTrainingConfig,
    evaluate,
    meta_train,
    train_on_curriculum,
    with_learning_curves,
)
from gtn_core.learning_curves import first_images, learning_curve, real_curriculum
from gtn_core.randomness import derive_seed


@pytest.fixture(scope="module")
def taught(digits: DatasetSplits) -> FrozenCheckpoint:
    """Learned pixels that start as real images teach from the first meta step on."""
    config = MetaTrainingConfig(
        curriculum="pixels", first_images="real", inner_steps=6, batch_size=40, meta_steps=2
    )
    return meta_train(digits, config, seed=2)


def test_curves_are_those_of_fresh_learners_after_each_step(
    taught: FrozenCheckpoint, digits: DatasetSplits
) -> None:
    measured = with_learning_curves(taught, digits, learners=2, images=200)

    curves = measured.manifest.learning_curves
    assert {name: len(curve) for name, curve in curves.items()} == {"gtn": 6, "real": 6, "noise": 6}
    few, finals = first_images(digits.validation, 200), []
    for number in range(2):
        learner = ConvNetSampler(taught.manifest.config)(
            image_shape=(1, 8, 8), num_classes=10, seed=derive_seed(2, "learning curve", number)
        )
        train_on_curriculum(learner, taught.synthesize())
        finals.append(evaluate(learner, few, batch_statistics=True).accuracy)
    assert curves["gtn"][-1] == round(mean(finals), 4)
    assert curves["noise"][-1] < 0.3 < min(curves["gtn"][-1], curves["real"][-1])


def test_nothing_else_of_the_checkpoint_changes(taught: FrozenCheckpoint, digits: DatasetSplits) -> None:
    one, again = (with_learning_curves(taught, digits, learners=1, images=50) for _ in range(2))

    assert one.id == again.id != taught.id
    assert one.synthesize().images.equal(taught.synthesize().images)
    curves = {"learning_curves": taught.manifest.learning_curves}
    assert one.manifest.model_copy(update=curves) == taught.manifest


def test_real_data_are_measured_at_the_best_setting_of_the_grid(
    taught: FrozenCheckpoint, digits: DatasetSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_best = with_learning_curves(taught, digits, learners=1, images=200)
    monkeypatch.setattr("gtn_core.learning_curves.REAL_LEARNING_RATES", (1e-6,))
    at_the_worst = with_learning_curves(taught, digits, learners=1, images=200)

    one, other = (each.manifest.learning_curves for each in (at_the_best, at_the_worst))
    assert one["gtn"] == other["gtn"]
    assert one["real"][-1] > other["real"][-1] + 0.2


def test_whoever_is_called_after_each_learner_may_stop(
    taught: FrozenCheckpoint, digits: DatasetSplits
) -> None:
    class StopHereError(Exception):
        pass

    def stop() -> None:
        raise StopHereError

    with pytest.raises(StopHereError):
        with_learning_curves(taught, digits, learners=1, images=50, on_learner=stop)


def test_real_batches_repeat_no_image_while_they_last(digits: DatasetSplits) -> None:
    train = replace(digits.train, images=digits.train.images[:60], labels=digits.train.labels[:60])
    few = replace(digits, train=train)
    batches = real_curriculum(
        few,
        steps=4,
        batch_size=20,
        learning_rate=0.25,
        momentum=0.5,
        rng=torch.Generator().manual_seed(0),
    )

    first_epoch = batches.images[:3].reshape(60, -1)
    assert first_epoch.sort(dim=0).values.equal(train.images.reshape(60, -1).sort(dim=0).values)
    assert batches.labels.sum(dim=2).eq(1).all()
    assert batches.learning_rates.tolist() == [0.25] * 4
    assert batches.momenta.tolist() == [0.5] * 4


def test_a_curve_can_be_of_some_steps_alone(taught: FrozenCheckpoint, digits: DatasetSplits) -> None:
    few, curves = first_images(digits.validation, 100), []
    for steps in (None, [2, 6]):
        learner = ConvNetSampler(taught.manifest.config)(image_shape=(1, 8, 8), num_classes=10, seed=0)
        curves.append(learning_curve(learner, taught.synthesize(), few, steps))
    assert curves[1] == [curves[0][1], curves[0][5]]
