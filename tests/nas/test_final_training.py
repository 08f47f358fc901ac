"""Final training on real data: what it reaches, that its seed decides, and when it stops."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gtn_core.data import DatasetSplits, Split, load_dataset
from gtn_core.errors import CheckpointError, DeviceError, FinalTrainingDiverged
from gtn_core.evaluation import evaluate
from gtn_core.randomness import torch_generator
from nas import final_training
from nas.final_training import EpochReport, FinalTraining, FinalTrainingConfig, final_train
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace

SPACE = get_search_space("nasbench201", channels=4, cells_per_stage=1)
ARCHITECTURE = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|")


@pytest.fixture(scope="module")
def digits() -> DatasetSplits:
    return load_dataset("digits", seed=0)


@pytest.fixture(scope="module")
def few_digits(digits: DatasetSplits) -> DatasetSplits:
    return replace(
        digits,
        train=Split(digits.train.images[:97], digits.train.labels[:97]),
        validation=Split(digits.validation.images[:50], digits.validation.labels[:50]),
    )


def train(splits: DatasetSplits, *, seed: int = 0, **config: object) -> FinalTraining:
    return final_train(SPACE, ARCHITECTURE, splits, FinalTrainingConfig.model_validate(config), seed=seed)


def test_a_few_epochs_learn_the_digits(digits: DatasetSplits) -> None:
    result = train(digits, epochs=8)
    assert result.validation_accuracy > 0.9
    assert result.test_accuracy > 0.9
    # With running statistics, as the network is used: image by image gives the same.
    assert not any(module.training for module in result.network.modules())
    alone = torch.cat([result.network(image[None]) for image in digits.test.images[:20]])
    assert torch.allclose(alone, result.network(digits.test.images[:20]), atol=1e-4)
    measured = evaluate(result.network, digits.test)
    assert (measured.accuracy, measured.loss) == (result.test_accuracy, result.test_loss)
    assert all(weight.is_contiguous() for weight in result.network.parameters())


def test_every_epoch_is_reported(few_digits: DatasetSplits) -> None:
    reports: list[EpochReport] = []
    config = FinalTrainingConfig(epochs=3, batch_size=16)
    result = final_train(SPACE, ARCHITECTURE, few_digits, config, seed=0, on_epoch=reports.append)
    assert tuple(reports) == result.history
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert {report.epochs for report in reports} == {3}
    assert reports[-1].validation_accuracy == result.validation_accuracy
    # Seven steps an epoch, and a cosine over the 21 of them.
    expected = [0.1 * (1 + math.cos(math.pi * step / 21)) / 2 for step in (0, 7, 14)]
    assert [report.learning_rate for report in reports] == pytest.approx(expected)


def test_a_step_is_nesterovs_with_weight_decay_on_a_cosine(few_digits: DatasetSplits) -> None:
    """Against the update written out, over the batches in the order of the seed."""
    config = {"epochs": 2, "batch_size": 40, "learning_rate": 0.05, "momentum": 0.8, "weight_decay": 0.01}
    trained = train(few_digits, seed=3, augment="none", label_smoothing=0.1, **config)

    network = SPACE.build(ARCHITECTURE, image_shape=(1, 8, 8), num_classes=10, seed=3).train()
    weights, step = list(network.parameters()), 0
    velocities = [torch.zeros_like(weight) for weight in weights]
    for epoch in (1, 2):
        order, total = torch.randperm(97, generator=torch_generator(3, "final training", epoch)), 0.0
        for batch in order.tensor_split(3):
            logits, labels = network(few_digits.train.images[batch]), few_digits.train.labels[batch]
            loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
            gradients = torch.autograd.grad(loss, weights)
            rate = 0.05 * (1 + math.cos(math.pi * step / 6)) / 2
            with torch.no_grad():
                for weight, gradient, velocity in zip(weights, gradients, velocities, strict=True):
                    decayed = gradient + 0.01 * weight
                    velocity.mul_(0.8).add_(decayed)
                    weight -= rate * (decayed + 0.8 * velocity)
            total, step = total + loss.item() * len(batch), step + 1
        assert trained.history[epoch - 1].train_loss == pytest.approx(total / 97, rel=1e-4)
    torch.testing.assert_close(
        dict(trained.network.state_dict()), dict(network.state_dict()), rtol=1e-3, atol=1e-4
    )


def test_the_seed_alone_decides(few_digits: DatasetSplits) -> None:
    def weights(seed: int) -> torch.Tensor:
        network = train(few_digits, seed=seed, epochs=1, augment="crop_flip").network
        return torch.cat([parameter.flatten() for parameter in network.parameters()])

    torch.manual_seed(1)
    first = weights(3)
    torch.manual_seed(2)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


def test_the_test_split_is_opened_only_at_the_end(few_digits: DatasetSplits) -> None:
    class StopError(Exception):
        pass

    def stop(report: EpochReport) -> None:
        raise StopError

    images = few_digits.test.images.to("meta")  # a shape and nothing in it
    sealed = replace(few_digits, test=replace(few_digits.test, images=images))
    with pytest.raises(StopError):
        final_train(SPACE, ARCHITECTURE, sealed, FinalTrainingConfig(epochs=2), seed=0, on_epoch=stop)
    with pytest.raises(NotImplementedError, match="no data"):
        final_train(SPACE, ARCHITECTURE, sealed, FinalTrainingConfig(epochs=2), seed=0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_no_gradients_are_kept_it_trains_all_the_same(
    mode: Callable[[], AbstractContextManager[None]], few_digits: DatasetSplits, tmp_path: Path
) -> None:
    """And a path may be text."""
    config, path = FinalTrainingConfig(epochs=1), tmp_path / "state.pt"
    with mode():
        found = final_train(SPACE, ARCHITECTURE, few_digits, config, seed=0, state_path=str(path))
    assert found.test_loss == final_train(SPACE, ARCHITECTURE, few_digits, config, seed=0).test_loss
    assert path.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_cuda_device_that_is_not_there(few_digits: DatasetSplits) -> None:
    with pytest.raises(DeviceError, match=r'device "cuda:1" needs a GPU and a PyTorch that finds it'):
        final_train(SPACE, ARCHITECTURE, few_digits, FinalTrainingConfig(), seed=0, device="cuda:1")


def test_a_loss_that_is_not_finite_ends_training(few_digits: DatasetSplits) -> None:
    train_split = Split(few_digits.train.images.clone(), few_digits.train.labels)
    poisoned = replace(few_digits, train=train_split)
    train_split.images.mul_(float("inf"))  # what passed the check
    with pytest.raises(FinalTrainingDiverged, match=r"epoch 1 of 2: .* learning_rate below 0\.1"):
        train(poisoned, epochs=2)


def test_a_last_batch_of_one_image_is_not_a_batch(few_digits: DatasetSplits) -> None:
    """On images that come down to one pixel, batch norm would have a single value per channel."""
    assert len(few_digits.train) % 16 == 1
    pixels = Split(few_digits.train.images[:, :, 3:5, 3:5], few_digits.train.labels)
    tiny = replace(few_digits, train=pixels, validation=pixels, test=pixels)
    assert math.isfinite(train(tiny, epochs=1, batch_size=16).test_loss)


def test_of_an_odd_number_of_images_no_batch_of_two_leaves_one_alone(few_digits: DatasetSplits) -> None:
    images, labels = few_digits.train.images, few_digits.train.labels
    for number, batch_size, steps in ((5, 2, 2), (4, 2, 2), (7, 4, 2), (1, 2, 1), (9, 3, 3)):
        split = Split(images[:number], labels[:number])
        assert final_training._steps(split, FinalTrainingConfig(batch_size=batch_size)) == steps


@pytest.mark.parametrize(
    "option", [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": -0.1}, {"augment": "mixup"}, {"epoch": 3}]
)
def test_bad_options_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        FinalTrainingConfig.model_validate(option)


class CutOffError(Exception):
    pass


@pytest.mark.parametrize("dropout", [False, True])
def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(
    dropout: bool, few_digits: DatasetSplits, space_with_dropout: SearchSpace, tmp_path: Path
) -> None:
    space = space_with_dropout if dropout else SPACE
    config, path = FinalTrainingConfig(epochs=3, batch_size=16, augment="crop_flip"), tmp_path / "state"
    whole = final_train(space, ARCHITECTURE, few_digits, config, seed=5)
    batches = iter(range(18))  # seven an epoch: it ends in the middle of the third

    def cut_off() -> None:
        if next(batches) == 17:
            raise CutOffError

    with pytest.raises(CutOffError):
        final_train(space, ARCHITECTURE, few_digits, config, seed=5, on_batch=cut_off, state_path=path)
    reports: list[EpochReport] = []
    resumed = final_train(
        space, ARCHITECTURE, few_digits, config, seed=5, on_epoch=reports.append, state_path=path
    )
    assert [report.epoch for report in reports] == [3]
    assert [report.epoch for report in resumed.history] == [1, 2, 3]
    expected = whole.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.network.state_dict().items())
    assert resumed.test_loss == whole.test_loss
    # A state from after the last epoch leaves the test split to be opened, and nothing to be trained.
    again = final_train(space, ARCHITECTURE, few_digits, config, seed=5, on_batch=cut_off, state_path=path)
    assert again.test_loss == whole.test_loss


def test_a_process_that_was_suspended_leaves_the_state_of_its_successor(
    few_digits: DatasetSplits, tmp_path: Path
) -> None:
    config, path = FinalTrainingConfig(epochs=3), tmp_path / "state"

    def go_on_after_the_successor() -> None:
        final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, state_path=path)

    def stop(_report: EpochReport) -> None:
        raise CutOffError

    with pytest.raises(CutOffError):
        final_train(
            SPACE,
            ARCHITECTURE,
            few_digits,
            config,
            seed=5,
            on_batch=go_on_after_the_successor,
            on_epoch=stop,
            state_path=path,
        )
    repeated: list[EpochReport] = []
    final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, on_epoch=repeated.append, state_path=path)
    assert repeated == []


def test_the_state_of_another_training_is_refused(few_digits: DatasetSplits, tmp_path: Path) -> None:
    config, path = FinalTrainingConfig(epochs=1), tmp_path / "state"
    final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, state_path=path)
    with pytest.raises(CheckpointError, match=r"another final training \(seed 5 there and 6 here\)"):
        final_train(SPACE, ARCHITECTURE, few_digits, config, seed=6, state_path=path)
    wider = {"channels": SPACE.config.channels + 1}
    for changed, told in (
        ({"epochs": 2}, "config.epochs 1 there and 2 here"),
        ({"space_options": wider}, "space.channels 4 there and 5 here"),
    ):
        other = FinalTrainingConfig.model_validate({"epochs": 1} | changed)
        with pytest.raises(CheckpointError, match=told):
            final_train(SPACE, ARCHITECTURE, few_digits, other, seed=5, state_path=path)
    path.write_bytes(b"half a st")
    with pytest.raises(CheckpointError, match="delete it to start again"):
        final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, state_path=path)


def test_a_training_goes_on_after_options_have_come_that_change_nothing(
    few_digits: DatasetSplits, tmp_path: Path
) -> None:
    config, path = FinalTrainingConfig(epochs=1), tmp_path / "state"
    final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, state_path=path)
    state = torch.load(path, weights_only=True)
    for later in ("config.cutout", "config.space_options", "space.cells_per_stage"):
        del state["identity"][later]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"space\.cells_per_stage 5 there and 1 here"):
        final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, state_path=path)
    state["identity"]["space.cells_per_stage"] = "1"
    torch.save(state, path)
    repeated: list[EpochReport] = []
    final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, on_epoch=repeated.append, state_path=path)
    assert repeated == []

    plain = {name: value for name, value in state["identity"].items() if "." not in name}
    as_at_first = {
        "config": config.model_dump_json(),
        "space": repr((SPACE.name, SPACE.config)),
        "dataset fingerprint": few_digits.earlier_fingerprint,
    }
    torch.save(state | {"identity": plain | as_at_first}, path)
    final_train(SPACE, ARCHITECTURE, few_digits, config, seed=5, on_epoch=repeated.append, state_path=path)
    assert repeated == []


NASNET = get_search_space("nasnet_micro", channels=4)
ALL = {"cutout": 3, "drop_path": 0.3, "auxiliary_weight": 0.4, "label_smoothing": 0.1, "epochs": 2}


def train_nasnet(splits: DatasetSplits, **config: object) -> FinalTraining:
    architecture = NASNET.sample(np.random.default_rng(0))
    return final_train(NASNET, architecture, splits, FinalTrainingConfig.model_validate(config), seed=0)


def test_the_whole_recipe_leaves_a_plain_network(few_digits: DatasetSplits) -> None:
    trained, again = (train_nasnet(few_digits, **ALL) for _ in range(2))
    architecture = NASNET.sample(np.random.default_rng(0))
    plain = NASNET.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=0)
    plain.load_state_dict(trained.network.state_dict())
    images = few_digits.test.images[:5]
    assert torch.equal(plain.eval()(images), trained.network(images))
    assert not any(module._forward_hooks for module in trained.network.modules())
    assert all(
        torch.equal(one, other)
        for one, other in zip(trained.network.parameters(), again.network.parameters(), strict=True)
    ), "the seed decides what is dropped, too"


@pytest.mark.parametrize("part", ["cutout", "drop_path", "auxiliary_weight", "label_smoothing"])
def test_each_part_of_the_recipe_changes_the_training(few_digits: DatasetSplits, part: str) -> None:
    plain, changed = (
        train_nasnet(few_digits, epochs=2),
        train_nasnet(few_digits, epochs=2, **{part: ALL[part]}),
    )
    assert changed.history[-1].train_loss != plain.history[-1].train_loss


def test_winners_can_be_trained_wider_than_they_were_searched(few_digits: DatasetSplits) -> None:
    wide = train_nasnet(few_digits, epochs=1, space_options={"channels": 8, "cells_per_stage": 2})
    narrow = train_nasnet(few_digits, epochs=1)
    sizes = [sum(weight.numel() for weight in each.network.parameters()) for each in (wide, narrow)]
    assert sizes[0] > 3 * sizes[1]
