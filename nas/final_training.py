"""Final training: one architecture on the real training split, and the one look at the test split."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from gtn_core.augmentation import Augmentation
from gtn_core.data import DatasetSplits, Split
from gtn_core.errors import FinalTrainingDiverged
from gtn_core.evaluation import evaluate
from gtn_core.precision import require_device
from gtn_core.randomness import derive_seed, seeded_noise, torch_generator
from nas.architecture import Architecture
from nas.augmentation import augmentation, cutout
from nas.final_training_config import FinalTrainingConfig
from nas.final_training_state import (
    EpochReport,
    FinalTrainingState,
    TrainingIdentity,
    restore_state,
    save_state,
)
from nas.memory_format import channels_first, channels_last_if_it_runs
from nas.regularization import RegularizedNetwork
from nas.search_spaces import with_options
from nas.search_spaces.base import SearchSpace

__all__ = ["EpochReport", "FinalTraining", "FinalTrainingConfig", "final_train"]


@dataclass(frozen=True, slots=True)
class FinalTraining:
    """A trained network (on the CPU, in eval mode) and its accuracies."""

    network: nn.Module
    validation_accuracy: float
    test_accuracy: float
    test_loss: float
    history: tuple[EpochReport, ...]
    config: FinalTrainingConfig
    seconds: float


@torch.inference_mode(False)  # whatever the caller's is: inside, gradients are taken
def final_train(
    space: SearchSpace,
    architecture: Architecture,
    splits: DatasetSplits,
    config: FinalTrainingConfig,
    *,
    seed: int,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_batch: Callable[[], None] = lambda: None,
    state_path: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> FinalTraining:
    """Train `architecture` on `splits.train`, follow it on validation, and open the test split once, last.

    The seed fixes initial weights, batch order, augmentation and what the network draws in `forward`. An
    exception from `on_batch`, called before every step, or from `on_epoch` stops the training and passes
    through. With a `state_path` every epoch is saved there before it is reported: a training that is started
    again goes on after the last one, and ends in the same weights as one that was never stopped.

    Raises:
        FinalTrainingDiverged: the loss is no longer finite.
        CheckpointError: the file at `state_path` is corrupt, or of another training.
        DeviceError: there is no such device.
    """
    require_device(device)
    state_path = None if state_path is None else Path(state_path)
    space = with_options(space, config.space_options)
    network = space.build(
        architecture, image_shape=splits.image_shape, num_classes=splits.num_classes, seed=seed
    )
    if torch.device(device).type == "cpu":
        network = channels_last_if_it_runs(network, splits.image_shape)
    regularized = RegularizedNetwork(
        network,
        splits.image_shape,
        splits.num_classes,
        drop_path=config.drop_path,
        auxiliary_weight=config.auxiliary_weight,
        seed=seed,
    ).to(device)
    state = _initial_state(regularized, config, _steps(splits.train, config) * config.epochs)
    identity = TrainingIdentity(
        space, architecture, config, seed, splits.fingerprint, splits.earlier_fingerprint
    )
    if state_path is not None:
        restore_state(state, identity, state_path)
    for report in _epochs(state, splits, config, seed, on_batch, device):
        if state_path is not None:
            save_state(state, identity, state_path)
        if on_epoch is not None:
            on_epoch(report)
    start, history = perf_counter(), state.history
    channels_first(regularized)  # as it is handed on
    with seeded_noise(derive_seed(seed, "test"), device):
        test = evaluate(regularized, splits.test.to(device))
    return FinalTraining(
        network=regularized.release(),
        validation_accuracy=history[-1].validation_accuracy,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        history=tuple(history),
        config=config,
        seconds=sum(report.seconds for report in history) + perf_counter() - start,
    )


def _initial_state(
    network: RegularizedNetwork, config: FinalTrainingConfig, steps: int
) -> FinalTrainingState:
    """The state before the first of `steps` steps."""
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
        weight_decay=config.weight_decay,
    )
    return FinalTrainingState(network, optimizer, CosineAnnealingLR(optimizer, T_max=steps))


def _epochs(
    state: FinalTrainingState,
    splits: DatasetSplits,
    config: FinalTrainingConfig,
    seed: int,
    on_batch: Callable[[], None],
    device: str | torch.device,
) -> Iterator[EpochReport]:
    """Train what the state holds in place, one epoch per report, from the epoch after its last."""
    train, validation = splits.train.to(device), splits.validation.to(device)
    augment = augmentation(config.augment, splits.dataset)
    for epoch in range(len(state.history) + 1, config.epochs + 1):
        start, learning_rate = perf_counter(), float(state.schedule.get_last_lr()[0])
        generator = torch_generator(seed, "final training", epoch)
        with seeded_noise(derive_seed(seed, "final training", epoch), device):
            train_loss = _train_epoch(state, train, augment, generator, config, on_batch)
            measured = evaluate(state.network, validation)
        if not math.isfinite(train_loss + measured.loss):
            raise FinalTrainingDiverged(
                f"epoch {epoch} of {config.epochs}: training loss {train_loss}, validation loss "
                f"{measured.loss}",
                remedy=f"try a learning_rate below {config.learning_rate}",
            )
        report = EpochReport(
            epoch=epoch,
            epochs=config.epochs,
            learning_rate=learning_rate,
            train_loss=train_loss,
            validation_loss=measured.loss,
            validation_accuracy=measured.accuracy,
            seconds=perf_counter() - start,
        )
        state.history.append(report)
        yield report


def _train_epoch(
    state: FinalTrainingState,
    train: Split,
    augment: Augmentation,
    generator: torch.Generator,
    config: FinalTrainingConfig,
    on_batch: Callable[[], None],
) -> float:
    """One pass over `train` in a drawn order; returns the mean loss."""
    state.network.train()
    order = torch.randperm(len(train), generator=generator).to(train.labels.device)
    total = torch.zeros((), device=train.images.device)
    # Batches of nearly equal size: no last one of a few images.
    for batch in order.tensor_split(_steps(train, config)):
        on_batch()
        images = augment(train.images[batch], generator)
        if config.cutout:
            images = cutout(images, generator, config.cutout)
        loss = state.network.training_loss(
            images,
            train.labels[batch],
            label_smoothing=config.label_smoothing,
            generator=generator,
            progress=state.schedule.last_epoch / (_steps(train, config) * config.epochs),
        )
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        state.optimizer.step()
        state.schedule.step()
        total += loss.detach() * len(batch)
    return total.item() / len(train)


def _steps(train: Split, config: FinalTrainingConfig) -> int:
    """Steps per epoch, none of them with a single image: batch norm has no statistics for that."""
    return max(1, min(math.ceil(len(train) / config.batch_size), len(train) // 2))
