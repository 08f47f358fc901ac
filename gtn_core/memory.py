"""What a meta step will hold in memory, estimated before it starts, and the form that suits it.

The bytes that autograd saves for one inner step are counted, not guessed: one learner takes one step, and one
forward pass on real images. Both see a few images, so that counting needs little of the memory it guards.
The rest follows from shapes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gtn_core.available_memory import available_bytes
from gtn_core.config import MetaGradientForm, MetaTrainingConfig
from gtn_core.curriculum import LearnedCurriculum
from gtn_core.errors import MemoryLimitError
from gtn_core.inner_optimizer import get_inner_optimizer
from gtn_core.inner_steps import InnerSteps
from gtn_core.layers import batch_statistics, evaluation_mode
from gtn_core.learners import ImageShape, LearnerSampler, require_logits
from gtn_core.randomness import seeded_initialisation, seeded_noise
from gtn_core.ranking import RankingReference

SMALL_GRAPH_BYTES = 2**30
"""Below this "auto" keeps the graph, which is fastest. A constant: a run must not depend on its machine."""

SAMPLED_LEARNERS = 4
"""Learners of a sampler that are looked at; the largest one counts."""

COUNTED_IMAGES = 32
"""Images of the largest batch that is computed to see what it saves."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of a meta step by what holds them."""

    curriculum: int  # weights with gradient and Adam's moments
    images: int  # synthetic images and their gradients, as leaves and as the generator's output; an expert's
    generator: int  # activations: of one batch where they are recomputed, else of all
    states: int  # of the learner between inner steps
    activations: int  # of inner steps whose graph is held at one time
    real: int  # of a forward pass on real images

    @property
    def total(self) -> int:
        """The peak: going backward, what the graph holds is joined by about as many adjoints of one step."""
        return self.curriculum + self.images + self.states + max(self.real, self.activations) + self.generator


def suitable_form(
    config: MetaTrainingConfig,
    sampler: LearnerSampler,
    image_shape: ImageShape,
    num_classes: int,
    reference: RankingReference | None = None,
) -> tuple[MetaGradientForm, MemoryEstimate]:
    """The configuration's form and its memory; for "auto" the graph while it is small, else recomputation."""
    estimate = partial(estimate_memory, config, sampler, image_shape, num_classes, reference=reference)
    if config.meta_gradient != "auto":
        return config.meta_gradient, estimate(config.meta_gradient)
    if not config.recompute_block:
        graph = estimate("graph")
        if graph.total <= SMALL_GRAPH_BYTES:
            return "graph", graph
    return "recompute", estimate("recompute")


def estimate_memory(
    config: MetaTrainingConfig,
    sampler: LearnerSampler,
    image_shape: ImageShape,
    num_classes: int,
    form: MetaGradientForm,
    *,
    reference: RankingReference | None = None,
) -> MemoryEstimate:
    """Peak memory of a meta step in that form, from one inner step of a few learners, on the CPU.

    Raises ValueError where a learner does not answer with logits [B, K] or changes its buffers.
    """
    learners = _learners(sampler, image_shape, num_classes, reference)
    count = partial(_counted, config=config, image_shape=image_shape, num_classes=num_classes)
    with seeded_noise(0, "cpu"):  # only to leave the global generator alone
        per_step, real, parameters = map(max, zip(*map(count, learners), strict=True))
    tensors_per_state = {"sgd": 2, "adam": 3}[config.inner_optimizer] + (form == "hessian_vector")
    window = config.window or config.inner_steps
    walked = window + config.real_steps  # by the meta-gradient: no other steps leave anything behind
    held_steps = {"graph": walked, "recompute": config.recompute_block or 1, "hessian_vector": 1}
    # The windows of several learners may lie anywhere, and then cover all steps together.
    generated = window if config.learners_per_meta_step == 1 and reference is None else config.inner_steps
    weights, per_batch = _generator(config, image_shape, num_classes)
    steps = config.inner_steps + config.real_steps
    snapshots = -(-walked // config.outer_loss_every)
    expert_steps = config.trajectory_steps if config.trajectory_weight else 0
    expert_states = 2 if expert_steps else 0  # its last weights, and how far the learner's are from them
    return MemoryEstimate(
        curriculum=4 * 4 * weights,
        images=4 * (4 * steps + expert_steps) * config.batch_size * _count(image_shape),
        generator=per_batch * (generated if form == "graph" else 2),
        states=4 * parameters * (tensors_per_state * walked + snapshots + expert_states),
        activations=per_step * (held_steps[form] + 1),
        real=2 * real + (per_step * held_steps[form] if form == "graph" else 0),
    )


def require_memory(estimate: MemoryEstimate, config: MetaTrainingConfig, device: str | torch.device) -> None:
    """Raise MemoryLimitError when the estimate is more than the device has to give."""
    available = available_bytes(device)
    if available is None or estimate.total <= available:
        return
    raise MemoryLimitError(
        f"a meta step needs about {_readable(estimate.total)} of memory and {device} has "
        f"{_readable(available)} to give (inner steps {_readable(estimate.activations)}, states "
        f"{_readable(estimate.states)}, real images {_readable(estimate.real)}, generator "
        f"{_readable(estimate.generator)}, synthetic images {_readable(estimate.images)})",
        remedy='set meta_gradient to "recompute" or lower '
        f"inner_steps ({config.inner_steps}), batch_size ({config.batch_size}), "
        f"outer_batch_size ({config.outer_batch_size}) or the learners' size",
    )


def _learners(
    sampler: LearnerSampler,
    image_shape: ImageShape,
    num_classes: int,
    reference: RankingReference | None,
) -> Iterator[nn.Module]:
    """Those that are looked at, each built when its turn comes: they may be large."""
    for seed in range(SAMPLED_LEARNERS):
        yield sampler(image_shape=image_shape, num_classes=num_classes, seed=seed)
    if reference is not None:  # the best are seldom small
        best = sorted(range(len(reference.scores)), key=lambda index: -reference.scores[index])
        for index in best[:SAMPLED_LEARNERS]:
            yield reference.build(index, image_shape=image_shape, num_classes=num_classes, seed=0)


def _counted(
    learner: nn.Module, *, config: MetaTrainingConfig, image_shape: ImageShape, num_classes: int
) -> tuple[int, int, int]:
    """Bytes that a learner saves in an inner step and in a pass on real images, and its trained numbers."""
    require_logits(learner, image_shape, num_classes)
    return (
        _saved_by_a_step(learner, config, image_shape, num_classes),
        _saved_by_a_pass(learner, config, image_shape),
        sum(each.numel() for each in learner.parameters() if each.requires_grad),
    )


class _Saved:
    """Counts the distinct storages that autograd keeps; holds them, so that no address counts twice."""

    def __init__(self, outside: list[Tensor]) -> None:
        self.outside = {each.untyped_storage().data_ptr() for each in outside}
        self.held: dict[int, Tensor] = {}

    def pack(self, tensor: Tensor) -> Tensor:
        saved = tensor.detach()  # its graph would hold these hooks, and they the graph, for ever
        address = saved.untyped_storage().data_ptr()
        if address not in self.outside:
            self.held[address] = saved
        return saved

    @property
    def bytes(self) -> int:
        return sum(each.untyped_storage().nbytes() for each in self.held.values())


def _saved_by_a_step(
    learner: nn.Module, config: MetaTrainingConfig, image_shape: ImageShape, num_classes: int
) -> int:
    steps = InnerSteps(learner.train(), get_inner_optimizer(config.inner_optimizer))
    rates = [torch.tensor(0.1, requires_grad=True), torch.tensor(0.5, requires_grad=True)]

    def saved_with(batch_size: int) -> int:
        images = torch.zeros(batch_size, *image_shape).requires_grad_()
        labels = torch.full((batch_size, num_classes), 1 / num_classes)
        saved = _Saved([*learner.parameters(), *steps.initial_state, images])
        with saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            outputs = steps([*steps.initial_state, images, labels, *rates], create_graph=True)
        del outputs
        return saved.bytes

    return _extended(saved_with, config.batch_size)


def _saved_by_a_pass(learner: nn.Module, config: MetaTrainingConfig, image_shape: ImageShape) -> int:
    def saved_with(batch_size: int) -> int:
        saved = _Saved(list(learner.parameters()))
        images, hooks = torch.zeros(batch_size, *image_shape), saved_tensors_hooks(saved.pack, lambda x: x)
        with hooks, evaluation_mode(learner), batch_statistics(learner):
            logits = learner(images)
        del logits
        return saved.bytes

    return _extended(saved_with, config.outer_batch_size)


def _extended(count: Callable[[int], int], images: int) -> int:
    """The count of so many images, from those of a few: each further image adds the same."""
    if images <= COUNTED_IMAGES:
        return count(images)
    few, more = count(COUNTED_IMAGES // 2), count(COUNTED_IMAGES)
    return more + (more - few) * (images - COUNTED_IMAGES) // (COUNTED_IMAGES - COUNTED_IMAGES // 2)


def _generator(config: MetaTrainingConfig, image_shape: ImageShape, num_classes: int) -> tuple[int, int]:
    """Weights of the curriculum, and bytes that generating one batch saves."""
    one_step = config.model_copy(update={"inner_steps": 1})
    with seeded_initialisation(0):
        curriculum = LearnedCurriculum(one_step, image_shape=image_shape, num_classes=num_classes)
    weights = sum(each.numel() for each in curriculum.parameters())
    by_step = {"latents", "pixels", "label_logits"}
    per_step = sum(each.numel() for name, each in curriculum.named_parameters() if name in by_step)
    saved = _Saved(list(curriculum.parameters()))
    with saved_tensors_hooks(saved.pack, lambda tensor: tensor):
        synthetic = curriculum(torch.Generator())
    del synthetic
    return weights + (config.inner_steps - 1) * per_step, saved.bytes


def _count(shape: ImageShape) -> int:
    channels, height, width = shape
    return channels * height * width


def _readable(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
