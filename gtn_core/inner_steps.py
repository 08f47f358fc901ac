"""Inner steps as functions of tensors, and three equal ways to take their meta-gradient.

graph           keeps every step's graph: fastest while it fits; memory grows with T times the activations
recompute       keeps the states between blocks of steps and builds a block's graph again going backward
hessian_vector  keeps the states; goes back through a step by the products that its derivative needs,
                forward over reverse (Kemaev et al., "MixFlow-MG", 2025)

What a learner draws in `forward`, as dropout does, is drawn again where a step is computed again.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm

from gtn_core.inner_optimizer import InnerOptimizer, Tensors
from gtn_core.layers import batch_statistics
from gtn_core.randomness import remembered_noise

Parameters = dict[str, Tensor]
StepsFunction = Callable[["InnerSteps", Sequence[Tensor]], Sequence[Tensor]]


class InnerSteps:
    """A few inner steps as a function of tensors alone: state and batches -> state.

    The state is the learner's parameters, without frozen ones, then the optimizer's own tensors; a batch is
    images, labels, learning rate and momentum. Batch and instance norm leave running statistics alone: a step
    that is computed twice must not count twice. A learner that changes its buffers otherwise is refused.

    Raises ValueError for a learner that has nothing to train, or a layer whose second derivative is wrong.
    """

    def __init__(self, network: nn.Module, optimizer: InnerOptimizer) -> None:
        _require_exact(network)
        self.network, self.optimizer = network, optimizer
        trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
        if not trained:
            raise ValueError(f"a learner, {type(network).__name__}, has no parameters that are trained")
        self.names = list(trained)
        self._buffers = _buffers(network)
        parameters = [parameter.detach().requires_grad_() for parameter in trained.values()]
        self.initial_state: Tensors = [*parameters, *optimizer.init(parameters)]

    def __call__(self, tensors: Sequence[Tensor], *, create_graph: bool) -> Tensors:
        """The state after the steps."""
        parameters, state, batches = self.split(tensors)
        for images, labels, learning_rate, momentum in batches:
            parameters = [
                parameter if create_graph and parameter.requires_grad else parameter.detach().requires_grad_()
                for parameter in parameters
            ]
            gradients = self.gradients(parameters, images, labels, create_graph=create_graph)
            parameters, state = self.optimizer.update(
                parameters, gradients, state, learning_rate=learning_rate, momentum=momentum
            )
        return [*parameters, *state]

    def gradients(
        self, parameters: Tensors, images: Tensor, labels: Tensor, *, create_graph: bool
    ) -> Sequence[Tensor]:
        """The gradient of the inner loss in the parameters; zeros where the loss does not reach."""
        loss = self.loss(parameters, images, labels, second_derivative=create_graph)
        return torch.autograd.grad(
            loss, parameters, create_graph=create_graph, allow_unused=True, materialize_grads=True
        )

    def loss(
        self, parameters: Tensors, images: Tensor, labels: Tensor, *, second_derivative: bool = False
    ) -> Tensor:
        """Cross-entropy of a learner with these parameters. Raises ValueError where it changes a buffer."""
        # Of the kernels of attention only the plain one has a second derivative.
        plain_attention = sdpa_kernel(SDPBackend.MATH)
        norms = batch_statistics(self.network, second_derivative=second_derivative)
        with torch.enable_grad(), plain_attention, norms:
            logits = functional_call(self.network, self.named_parameters(parameters), images)
            loss = F.cross_entropy(logits, labels)
        self._require_same_buffers()
        return loss

    def _require_same_buffers(self) -> None:
        now = _buffers(self.network)
        for name, before in self._buffers.items():
            if now.get(name) != before:
                raise ValueError(
                    f"a learner, {type(self.network).__name__}, changes its buffer {name!r} in training, "
                    "which a meta-gradient would take for a constant; use layers that keep nothing from step "
                    "to step, or batch norm, whose running statistics are left alone"
                )

    def named_parameters(self, state: Sequence[Tensor]) -> Parameters:
        """The parameters at the head of a state, as `functional_call` takes them."""
        return dict(zip(self.names, state, strict=False))

    def split(self, tensors: Sequence[Tensor]) -> tuple[Tensors, Tensors, Iterator[tuple[Tensor, ...]]]:
        """Parameters, the optimizer's tensors, and (images, labels, learning rate, momentum) per step."""
        count, end = len(self.names), len(self.initial_state)
        batches = zip(*(tensors[part::4] for part in range(end, end + 4)), strict=True)
        return list(tensors[:count]), list(tensors[count:end]), batches


def _require_exact(network: nn.Module) -> None:
    """Raise ValueError where the derivative of a step would be wrong: see `gtn_core.layers`."""
    for name, module in network.named_modules():
        hooks = module._forward_pre_hooks.values()
        if isinstance(module, _WeightNorm) or any(isinstance(hook, WeightNorm) for hook in hooks):
            raise ValueError(
                f"a learner, {type(network).__name__}, has PyTorch's weight_norm at {name!r}, whose second "
                "derivative is wrong; use gtn_core.layers.weight_normalised"
            )


def _buffers(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Which tensors the network's buffers are, and how often each was written to."""
    return {name: (id(buffer), buffer._version) for name, buffer in network.named_buffers()}


def steps_without_gradient(steps: InnerSteps, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """The steps alone: nothing that they come to depends on the curriculum."""
    with torch.no_grad():
        return steps(tensors, create_graph=False)


def steps_with_graph(steps: InnerSteps, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """The steps with the graph of their derivative."""
    return steps(tensors, create_graph=True)


def recomputed_steps(steps: InnerSteps, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """The steps, whose graph is built when their gradient is asked for."""
    outputs: Sequence[Tensor] = _RecomputedSteps.apply(steps, *tensors)  # type: ignore[no-untyped-call]  # torch's
    return outputs


def hessian_vector_step(steps: InnerSteps, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """One step, whose derivative is taken by Hessian-vector products."""
    outputs: Sequence[Tensor] = _HessianVectorStep.apply(steps, *tensors)  # type: ignore[no-untyped-call]  # torch's
    return outputs


class _RecomputedSteps(torch.autograd.Function):
    """Inner steps that keep only their inputs, and build their graph when the gradient arrives."""

    @staticmethod
    def forward(ctx: Any, steps: InnerSteps, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.steps, ctx.same_noise = steps, remembered_noise(tensors[0].device)
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return tuple(steps(tensors, create_graph=False))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        with ctx.same_noise():
            return None, *_through_their_graph(ctx.steps, ctx.saved_tensors, gradients)


class _HessianVectorStep(torch.autograd.Function):
    """An inner step that keeps its inputs and its gradient, and never builds a graph of a derivative.

    With a loss L(theta, x, y), g its gradient in theta and u the optimizer's update, the step is
    u(theta, g, state, rate, momentum). An adjoint of its output becomes, through u, an adjoint v of g; and v
    becomes H v in theta and the mixed derivatives times v in x and y. Those three are the derivative of L's
    gradient in (theta, x, y) along (v, 0, 0): one pass of forward over reverse differentiation.
    """

    @staticmethod
    def forward(ctx: Any, steps: InnerSteps, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.steps, ctx.same_noise = steps, remembered_noise(tensors[0].device)
        parameters, state, ((images, labels, learning_rate, momentum),) = steps.split(tensors)
        leaves = [parameter.detach().requires_grad_() for parameter in parameters]
        gradients = steps.gradients(leaves, images, labels, create_graph=False)
        updated, next_state = steps.optimizer.update(
            parameters, gradients, state, learning_rate=learning_rate, momentum=momentum
        )
        ctx.save_for_backward(*tensors, *gradients)
        ctx.set_materialize_grads(False)
        return *updated, *next_state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *adjoints: Tensor | None) -> tuple[Tensor | None, ...]:
        steps: InnerSteps = ctx.steps
        count = len(steps.names)
        tensors, gradients = ctx.saved_tensors[:-count], ctx.saved_tensors[-count:]
        try:
            with ctx.same_noise():
                return None, *_by_hessian_vector_products(steps, tensors, gradients, adjoints)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # an operation of the learner has no forward derivative, or not in this layout
            with ctx.same_noise():
                return None, *_through_their_graph(steps, tensors, adjoints)


def _by_hessian_vector_products(
    steps: InnerSteps,
    tensors: Sequence[Tensor],
    gradients: Sequence[Tensor],
    adjoints: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The adjoints of one step's inputs."""
    count, end = len(steps.names), len(steps.initial_state)
    inputs = [tensor.detach().requires_grad_() for tensor in (*tensors[:end], *tensors[-2:], *gradients)]
    with torch.enable_grad():
        updated, state = steps.optimizer.update(
            inputs[:count],
            inputs[end + 2 :],
            inputs[count:end],
            learning_rate=inputs[end],
            momentum=inputs[end + 1],
        )
    through_update = _adjoints([*updated, *state], inputs, adjoints)
    directions = [
        torch.zeros_like(gradient) if direction is None else direction
        for direction, gradient in zip(through_update[end + 2 :], gradients, strict=True)
    ]
    products = _hessian_vector_products(steps, tensors[:count], tensors[end], tensors[end + 1], directions)
    of_parameters = [
        product if direct is None else direct + product
        for direct, product in zip(through_update[:count], products[:count], strict=True)
    ]
    return [*of_parameters, *through_update[count:end], *products[count:], *through_update[end : end + 2]]


def _hessian_vector_products(
    steps: InnerSteps, parameters: Sequence[Tensor], images: Tensor, labels: Tensor, directions: Tensors
) -> Tensors:
    """Derivatives of the loss's gradient in parameters, images and labels along `directions` of the first."""
    leaves = [tensor.detach().requires_grad_() for tensor in (*parameters, images, labels)]
    with torch.enable_grad(), forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(leaf, direction)  # type: ignore[no-untyped-call]  # torch's
            for leaf, direction in zip(leaves, directions, strict=False)
        ]
        inputs = [*duals, *leaves[-2:]]
        loss = steps.loss(duals, *inputs[-2:])
        found = torch.autograd.grad(loss, inputs, allow_unused=True)
        tangents = [
            None if each is None else forward_ad.unpack_dual(each).tangent  # type: ignore[no-untyped-call]
            for each in found
        ]
    return [
        torch.zeros_like(leaf) if tangent is None else tangent
        for leaf, tangent in zip(leaves, tangents, strict=True)
    ]


def _through_their_graph(
    steps: InnerSteps, tensors: Sequence[Tensor], adjoints: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The adjoints of the inputs of steps whose graph is built here and let go."""
    inputs = [tensor.detach().requires_grad_() for tensor in tensors]
    with torch.enable_grad():
        outputs = steps(inputs, create_graph=True)
    return _adjoints(outputs, inputs, adjoints)


def _adjoints(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], adjoints: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Those of the inputs, from those outputs that an adjoint has reached."""
    reached = [
        (output, adjoint)
        for output, adjoint in zip(outputs, adjoints, strict=False)
        if adjoint is not None and output.requires_grad
    ]
    reached_outputs, reached_adjoints = zip(*reached, strict=True)
    return list(torch.autograd.grad(reached_outputs, inputs, reached_adjoints, allow_unused=True))
