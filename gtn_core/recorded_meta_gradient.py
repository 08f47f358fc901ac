"""The meta-gradient as one recorded computation that is replayed: the whole unroll and its derivative.

A meta step of T inner steps launches some hundred kernels for each; on a CUDA device most of its time may go
into launching them. Learners and real images are copied to where the recording reads them.
"""

import torch
from torch import nn

from gtn_core.config import MetaGradientForm, MetaTrainingConfig
from gtn_core.cuda_graphs import WARM_UP_RUNS, record, warm_up_stream
from gtn_core.curriculum import LearnedCurriculum
from gtn_core.data import Split
from gtn_core.divergence import require_finite
from gtn_core.learners import ConvNetSampler, LearnerSampler
from gtn_core.meta_gradient import MetaStepInputs, Taught, draw_learner
from gtn_core.outer_loss import outer_loss


def can_be_recorded(config: MetaTrainingConfig, sampler: LearnerSampler) -> bool:
    """Whether all meta steps are one computation: learners of one shape, and nothing else that is drawn."""
    return (
        isinstance(sampler, ConvNetSampler)
        and sampler.draws_one_shape
        and config.curriculum in ("full", "pixels")
        and config.window in (0, config.inner_steps)
        and not (config.warmup_meta_steps or config.real_steps)
        and not (config.ranking_weight or config.trajectory_weight)
    )


class RecordedMetaGradient:
    """`add_meta_gradient` for configurations that can be recorded; for the curriculum of its first call."""

    def __init__(self) -> None:
        self._recording: Recording | None = None

    def __call__(self, inputs: MetaStepInputs) -> Taught:
        """Add the gradient; the recording is made of the first learner."""
        config, learners = inputs.config, inputs.config.learners_per_meta_step
        totals = torch.zeros(2, dtype=torch.float64)
        for index in inputs.rank.share(learners):
            drawn = draw_learner(inputs, index)
            if self._recording is None:
                self._recording = Recording(inputs.curriculum, drawn.learner, drawn.real, config, inputs.form)
            recording = self._recording
            recording.replay(drawn.learner, drawn.real)
            require_finite(recording.loss.item(), "outer loss", drawn.name, inputs.step, config)
            recording.add_gradient(1 / learners)
            totals += torch.tensor([recording.loss.item(), recording.accuracy.item()])
        inputs.rank.add_up(totals)
        loss, accuracy = (totals / learners).tolist()
        return Taught(loss, accuracy)


class Recording:
    """One learner's outer loss and its gradient in what is learned, on tensors that keep their place."""

    def __init__(
        self,
        curriculum: LearnedCurriculum,
        learner: nn.Module,
        real: Split,
        config: MetaTrainingConfig,
        form: MetaGradientForm,
    ) -> None:
        self._curriculum, self._config, self._form = curriculum, config, form
        self._learner, self._real = learner, Split(real.images.clone(), real.labels.clone())
        self._learned = [each for each in curriculum.parameters() if each.requires_grad]
        self._gradients = [torch.zeros_like(each) for each in self._learned]
        self.loss, self.accuracy = real.images.new_zeros(()), real.images.new_zeros(())
        self._run = self._compute
        if real.images.is_cuda:
            with warm_up_stream(real.images.device):
                for _ in range(WARM_UP_RUNS):
                    self._compute()
            self._run = record(self._compute, real.images.device)

    def replay(self, learner: nn.Module, real: Split) -> None:
        """Compute `loss`, `accuracy` and the gradient for another learner, of the same shape."""
        self._real.images.copy_(real.images)
        self._real.labels.copy_(real.labels)
        kept = self._learner.state_dict()
        for name, value in learner.state_dict().items():
            kept[name].copy_(value)
        self._run()

    def add_gradient(self, weight: float) -> None:
        """Add the last replay's gradient, times `weight`, to the `.grad` of what is learned."""
        for parameter, gradient in zip(self._learned, self._gradients, strict=True):
            part = weight * gradient
            parameter.grad = part if parameter.grad is None else parameter.grad + part

    def _compute(self) -> None:
        synthetic = self._curriculum(torch.Generator(), recompute=self._form != "graph")
        found = outer_loss(self._learner, synthetic, self._real, self._config, form=self._form)
        gradients = torch.autograd.grad(found.loss, self._learned, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            for kept, gradient in zip(self._gradients, gradients, strict=True):
                kept.copy_(gradient)
            self.loss.copy_(found.loss)
            self.accuracy.copy_(found.accuracy)
