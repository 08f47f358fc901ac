"""Meta-training: from real data to a frozen generator with its curriculum."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import torch

from gtn_core.checkpoint import FrozenCheckpoint, freeze, require_freezable
from gtn_core.config import MetaTrainingConfig
from gtn_core.curriculum import LearnedCurriculum, require_every_class
from gtn_core.data import DatasetSplits, Split
from gtn_core.errors import DIVERGED_AT, CheckpointError, DatasetError, MetaTrainingDiverged
from gtn_core.evaluation import evaluate
from gtn_core.first_images import start_from_real_images
from gtn_core.inner_loop import train_on_curriculum
from gtn_core.learners import ConvNetSampler, LearnerSampler, learner_name
from gtn_core.memory import require_memory, suitable_form
from gtn_core.meta_gradient import add_meta_gradient
from gtn_core.meta_step import MetaStepOutcome, meta_step
from gtn_core.meta_training_state import (
    MetaTrainingState,
    RunIdentity,
    initial_state,
    restore_state,
    save_state,
)
from gtn_core.precision import arithmetic, require_device
from gtn_core.randomness import derive_seed, seeded_noise, torch_generator
from gtn_core.ranking import RankingReference
from gtn_core.ranks import ALONE, Rank
from gtn_core.recorded_meta_gradient import RecordedMetaGradient, can_be_recorded

VALIDATION_LEARNERS = 4
"""Fresh learners behind a validation accuracy, which is their mean."""


@dataclass(frozen=True, slots=True)
class MetaStepReport:
    """One meta step: what its learners reached on real training images, and what it took."""

    step: int  # meta steps done, from 1
    total: int
    loss: float  # outer loss, nats
    accuracy: float  # of the trained learners, in [0, 1]
    gradient_norm: float  # of the meta-gradient, before clipping
    seconds: float
    validation_accuracy: float | None  # every `validate_every` meta steps
    ranking_loss: float | None = None  # of the group that was compared, where one was
    trajectory_loss: float | None = None  # distance from the experts, where there were any


@torch.inference_mode(False)  # whatever the caller's is: inside, gradients are taken
def meta_train(
    splits: DatasetSplits,
    config: MetaTrainingConfig,
    *,
    seed: int = 0,
    on_step: Callable[[MetaStepReport], None] | None = None,
    learner_sampler: LearnerSampler | None = None,
    ranking_reference: RankingReference | None = None,
    state_path: str | Path | None = None,
    device: str | torch.device = "cpu",
    rank: Rank = ALONE,
) -> FrozenCheckpoint:
    """Meta-train a generator and its curriculum on `splits.train`, and freeze them.

    Outer losses come from training data and reports from validation data; test data are not touched. All that
    is random in a meta step is drawn from (`seed`, step): a run that resumes from `state_path` ends in the
    same checkpoint as one that was never stopped. `on_step` may raise to stop; the state is saved first.
    A configuration with a `ranking_weight` needs a `ranking_reference`, whose order the learners are to
    take. Of several ranks each calls this with a `state_path` that holds the same state; the first one saves.

    Raises:
        DatasetError: the configuration asks for a ranking reference and there is none, or for fewer synthetic
            images than there are classes.
        DeviceError: there is no such device, or it lacks what the configuration asks for.
        MemoryLimitError: a meta step would need more memory than there is.
        MetaTrainingDiverged: a loss or the meta-gradient is not finite; its `checkpoint` has what was learned
            until then, if anything was, and the saved state is from before.
        CheckpointError: the file at `state_path` is corrupt, or of another run; or what is meta-trained
            could not be frozen.
        ValueError: there are more ranks than learners in a meta step, the seed is not in [0, 2**64), the
            default type of PyTorch is not float32, or a learner is of no use: it does not answer with logits
            [B, K], or has what a meta-gradient cannot go through.
    """
    rank.require_share(config.learners_per_meta_step)
    state_path = None if state_path is None else Path(state_path)
    _require_usable(seed, state_path, device)
    sampler = learner_sampler or ConvNetSampler(config)
    reference = _required(ranking_reference, config)
    learner = learner_name(sampler)
    taught = learner if reference is None else f"{learner}; taught for the order of {reference}"
    require_every_class(config, splits.num_classes)
    require_freezable(splits, config=config, seed=seed, learner=taught)
    train, validation = splits.train.to(device), splits.validation.to(device)
    form, estimate = suitable_form(config, sampler, splits.image_shape, splits.num_classes, reference)
    require_memory(estimate, config, device)
    compared = "none" if reference is None else str(reference)
    run = RunIdentity(config, seed, splits.fingerprint, learner, compared, splits.earlier_fingerprint)
    state = initial_state(config, splits, seed=seed, device=device)
    saves_to = state_path if rank.index == 0 else None
    if state_path is not None and state_path.exists():
        restore_state(state, run, state_path)
    if state.step == 0 and config.first_images == "real":
        start_from_real_images(state.curriculum, train, passes=config.fit_passes, seed=seed)
        # Each has fitted by itself, and not all devices add up in one order.
        rank.take_from_first(state.curriculum.parameters())
    records = config.cuda_graphs and torch.device(device).type == "cuda" and can_be_recorded(config, sampler)
    frozen = partial(_frozen, state, splits, validation, sampler, config=config, seed=seed, learner=taught)
    one_step = partial(
        meta_step,
        state,
        train,
        sampler,
        config,
        seed=seed,
        form=form,
        reference=reference,
        rank=rank,
        meta_gradient=RecordedMetaGradient() if records else add_meta_gradient,
    )

    outcome: MetaStepOutcome | None = None
    while state.step < config.meta_steps:
        started = time.perf_counter()
        with _divergence_told(state, outcome, frozen), arithmetic(config.precision, device):
            outcome = one_step()
        seconds = time.perf_counter() - started
        accuracies = []
        if config.validate_every and state.step % config.validate_every == 0:
            accuracies = validate(state.to_freeze, validation, sampler, seed=seed)
        try:
            if on_step is not None:
                on_step(_report(state, config, outcome, seconds, accuracies))
        except BaseException:
            _save(state, run, saves_to)
            raise
        if state.step % config.save_every == 0 or state.step == config.meta_steps:
            _save(state, run, saves_to)
    return frozen()


def _require_usable(seed: int, state_path: Path | None, device: str | torch.device) -> None:
    """Raise ValueError, CheckpointError or DeviceError for what no run could use."""
    if not 0 <= seed < 2**64:
        raise ValueError(f"the seed is {seed}; give one of at least 0 and below 2**64")
    if state_path is not None and state_path.is_dir():
        raise CheckpointError(
            f"the state is kept in one file, and {state_path} is a folder; name a file in it"
        )
    require_device(device)
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"PyTorch's default type is {torch.get_default_dtype()}, and checkpoints are float32; call "
            "torch.set_default_dtype(torch.float32)"
        )


@contextmanager
def _divergence_told(
    state: MetaTrainingState, last: MetaStepOutcome | None, frozen: Callable[..., FrozenCheckpoint]
) -> Iterator[None]:
    """Adds to a divergence what was before it: the last meta-gradient's norm, and what was learned."""
    try:
        yield
    except MetaTrainingDiverged as error:
        error.last_norm = None if last is None else last.gradient_norm
        if state.step:
            with suppress(CheckpointError):  # weights that are not finite
                error.checkpoint = frozen(**{DIVERGED_AT: float(error.meta_step)})
        raise


def _frozen(
    state: MetaTrainingState,
    splits: DatasetSplits,
    validation: Split,
    sampler: LearnerSampler,
    *,
    config: MetaTrainingConfig,
    seed: int,
    learner: str,
    **more: float,
) -> FrozenCheckpoint:
    """What was learned until now, with its validation accuracy and `more` as metrics."""
    accuracies = validate(state.to_freeze, validation, sampler, seed=seed)
    metrics = {
        "validation_accuracy": mean(accuracies),
        "validation_accuracy_std": stdev(accuracies),
        "validation_learners": float(len(accuracies)),
    }
    return freeze(state.to_freeze, splits, config=config, seed=seed, learner=learner, metrics=metrics | more)


def _report(
    state: MetaTrainingState,
    config: MetaTrainingConfig,
    outcome: MetaStepOutcome,
    seconds: float,
    accuracies: list[float],
) -> MetaStepReport:
    return MetaStepReport(
        step=state.step,
        total=config.meta_steps,
        loss=outcome.loss,
        accuracy=outcome.accuracy,
        gradient_norm=outcome.gradient_norm,
        seconds=seconds,
        validation_accuracy=mean(accuracies) if accuracies else None,
        ranking_loss=outcome.ranking_loss,
        trajectory_loss=outcome.trajectory_loss,
    )


@torch.no_grad()
def validate(
    curriculum: LearnedCurriculum, validation: Split, sampler: LearnerSampler, *, seed: int
) -> list[float]:
    """Validation accuracies of fresh learners, each trained once on the curriculum as it is now."""
    synthetic = curriculum(torch_generator(seed, "validation noise"), shuffle=False)
    accuracies = []
    for index in range(VALIDATION_LEARNERS):
        learner_seed = derive_seed(seed, "validation learner", index)
        learner = sampler(
            image_shape=curriculum.image_shape, num_classes=curriculum.num_classes, seed=learner_seed
        ).to(validation.labels.device)
        with seeded_noise(learner_seed, validation.labels.device):
            with torch.enable_grad():
                train_on_curriculum(learner, synthetic)
            accuracies.append(evaluate(learner, validation, batch_statistics=True).accuracy)
    return accuracies


def _required(reference: RankingReference | None, config: MetaTrainingConfig) -> RankingReference | None:
    """The reference where the configuration wants one."""
    if not config.ranking_weight:
        return None
    if reference is None:
        raise DatasetError(
            f"ranking_weight is {config.ranking_weight:g} and there is no ranking reference to take the "
            "order of architectures from",
            remedy="give one, or set ranking_weight to 0",
        )
    return reference


def _save(state: MetaTrainingState, run: RunIdentity, path: Path | None) -> None:
    if path is not None:
        save_state(state, run, path)
