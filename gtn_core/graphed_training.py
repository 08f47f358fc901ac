"""The inner loop as one recorded step that is replayed."""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtn_core.cuda_graphs import WARM_UP_RUNS, Computation, record, warm_up_stream
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.inner_optimizer import get_inner_optimizer
from gtn_core.precision import autocast


def train_graphed(network: nn.Module, curriculum: SyntheticCurriculum, *, bfloat16: bool = False) -> Tensor:
    """What `train_on_curriculum` does, with the same result; on the CPU the step is repeated, not recorded.

    The same result is promised for networks that draw nothing in `forward`: what a replayed step draws is
    up to CUDA graphs.

    Returns:
        The loss before each inner step, [T].
    """
    step = _Step(network, curriculum, bfloat16=bfloat16)
    losses = torch.empty(len(curriculum), device=curriculum.images.device)
    device, on_cuda = curriculum.images.device, curriculum.images.is_cuda
    warm_up = min(WARM_UP_RUNS, len(curriculum)) if on_cuda else len(curriculum)
    with warm_up_stream(device) if on_cuda else nullcontext():
        _take(step, step, curriculum, losses, range(warm_up))
    if warm_up < len(curriculum):
        _take(step, record(step, device), curriculum, losses, range(warm_up, len(curriculum)))
    return losses


def _take(
    step: "_Step", run: Computation, curriculum: SyntheticCurriculum, losses: Tensor, numbers: range
) -> None:
    for number in numbers:
        step.load(curriculum, number)
        run()
        losses[number].copy_(step.loss)


class _Step:
    """One inner step on tensors that keep their place in memory: batch, rates, weights, optimizer, loss."""

    def __init__(self, network: nn.Module, curriculum: SyntheticCurriculum, *, bfloat16: bool) -> None:
        self._network, self._bfloat16 = network.train(), bfloat16
        self._optimizer = get_inner_optimizer(curriculum.inner_optimizer)
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        # Some of an optimizer's tensors may be one and the same to begin with.
        self._state = [tensor.clone() for tensor in self._optimizer.init(self._parameters)]
        self._images = torch.empty_like(curriculum.images[0])
        self._labels = torch.empty_like(curriculum.labels[0])
        self._rate = torch.empty_like(curriculum.learning_rates[0])
        self._momentum = torch.empty_like(curriculum.momenta[0])
        self.loss = torch.empty((), device=curriculum.images.device)

    def load(self, curriculum: SyntheticCurriculum, number: int) -> None:
        self._images.copy_(curriculum.images[number])
        self._labels.copy_(curriculum.labels[number])
        self._rate.copy_(curriculum.learning_rates[number])
        self._momentum.copy_(curriculum.momenta[number])

    def __call__(self) -> None:
        with autocast(self._images.device, bfloat16=self._bfloat16):
            loss = F.cross_entropy(self._network(self._images), self._labels)
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            updated, state = self._optimizer.update(
                self._parameters,
                gradients,
                self._state,
                learning_rate=self._rate,
                momentum=self._momentum,
            )
            for kept, value in zip([*self._parameters, *self._state], [*updated, *state], strict=True):
                kept.copy_(value)
            self.loss.copy_(loss)
