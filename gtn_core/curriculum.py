"""What learners are trained on: batches made by the generator, and the inner optimizer's learned schedule."""

import math
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gtn_core.config import InnerOptimizerName, MetaTrainingConfig
from gtn_core.data import Split
from gtn_core.errors import DatasetError
from gtn_core.generator import Generator
from gtn_core.inner_optimizer import InnerSchedule

FIRST_SOFT_LABEL = 0.9
"""What a soft label gives its image's class before meta-training; the other classes share the rest."""


@dataclass(frozen=True)
class SyntheticCurriculum:
    """T batches of B synthetic images, in training order, and how to step on each of them."""

    images: Tensor  # float32 [T, B, C, H, W]
    labels: Tensor  # float32 [T, B, K], one-hot or soft
    learning_rates: Tensor  # float32 [T]
    momenta: Tensor  # float32 [T], in [0, 1)
    inner_optimizer: InnerOptimizerName = "sgd"

    def __post_init__(self) -> None:
        steps = len(self.images)
        expected = {"labels": steps, "learning_rates": steps, "momenta": steps}
        found = {name: len(getattr(self, name)) for name in expected}
        if found != expected or self.images.shape[:2] != self.labels.shape[:2]:
            raise ValueError(
                f"a curriculum's tensors must agree in steps and batch size, not images "
                f"{tuple(self.images.shape)}, labels {tuple(self.labels.shape)}, learning rates "
                f"{tuple(self.learning_rates.shape)}, momenta {tuple(self.momenta.shape)}"
            )

    @classmethod
    def of_real(
        cls,
        split: Split,
        index: Tensor,
        *,
        num_classes: int,
        learning_rate: float,
        momentum: float,
        inner_optimizer: InnerOptimizerName = "sgd",
    ) -> "SyntheticCurriculum":
        """Batches of real images, those of `index` [T, B], at constant rates."""
        images, rates = split.images[index], split.images.new_ones(len(index))
        labels = F.one_hot(split.labels[index], num_classes).to(images.dtype)
        return cls(images, labels, learning_rate * rates, momentum * rates, inner_optimizer)

    def __len__(self) -> int:
        """T, the number of inner steps."""
        return len(self.images)

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> "SyntheticCurriculum":
        """The same curriculum on `device`, in `dtype` if given."""
        return replace(
            self,
            images=self.images.to(device, dtype),
            labels=self.labels.to(device, dtype),
            learning_rates=self.learning_rates.to(device, dtype),
            momenta=self.momenta.to(device, dtype),
        )

    def first(self, steps: int) -> "SyntheticCurriculum":
        """Its first `steps` inner steps."""
        return replace(
            self,
            images=self.images[:steps],
            labels=self.labels[:steps],
            learning_rates=self.learning_rates[:steps],
            momenta=self.momenta[:steps],
        )

    def repeated(self, passes: int) -> "SyntheticCurriculum":
        """All its steps `passes` times over; itself when that is once."""
        if passes == 1:
            return self
        return replace(
            self,
            images=self.images.repeat(passes, 1, 1, 1, 1),
            labels=self.labels.repeat(passes, 1, 1),
            learning_rates=self.learning_rates.repeat(passes),
            momenta=self.momenta.repeat(passes),
        )

    def followed_by(self, other: "SyntheticCurriculum") -> "SyntheticCurriculum":
        """These steps, then those of `other`, all with this one's inner optimizer.

        Raises ValueError when batches are not of one shape.
        """
        if self.images.shape[1:] != other.images.shape[1:] or self.labels.shape[1:] != other.labels.shape[1:]:
            raise ValueError(
                f"a curriculum of images {tuple(self.images.shape)} cannot be followed by one of "
                f"{tuple(other.images.shape)}: batches and classes must agree"
            )
        return replace(
            self,
            images=torch.cat([self.images, other.images]),
            labels=torch.cat([self.labels, other.labels]),
            learning_rates=torch.cat([self.learning_rates, other.learning_rates]),
            momenta=torch.cat([self.momenta, other.momenta]),
        )

    def detach_as_leaves(self) -> "SyntheticCurriculum":
        """The same values as leaves in which gradients add up, for `backward_from`."""
        return replace(
            self,
            images=self.images.detach().requires_grad_(),
            labels=self.labels.detach().requires_grad_(self.labels.requires_grad),
            learning_rates=self.learning_rates.detach().requires_grad_(),
            momenta=self.momenta.detach().requires_grad_(),
        )

    def gradient_norm(self) -> float:
        """Norm of the gradient that has arrived in the images of these leaves so far."""
        gradient = self.images.grad
        return 0.0 if gradient is None else gradient.norm().item()

    def backward_from(self, leaves: "SyntheticCurriculum") -> None:
        """Carry the gradients that arrived in `leaves` back to what this curriculum was made from."""
        names = ("images", "labels", "learning_rates", "momenta")
        pairs = [(getattr(self, name), getattr(leaves, name).grad) for name in names]
        reached = [(tensor, each) for tensor, each in pairs if each is not None and tensor.requires_grad]
        tensors, gradients = zip(*reached, strict=True)
        torch.autograd.backward(tensors, gradients)


class LearnedCurriculum(nn.Module):
    """All that meta-training learns: what makes the images, soft labels, and the inner schedule."""

    latents: nn.Parameter  # [T, B, Z]; not there when the curriculum is "none" or "pixels"
    pixels: nn.Parameter  # [T, B, C, H, W]; there when the curriculum is "pixels", in the generator's place
    label_logits: nn.Parameter  # [T, B, K]; there when labels are soft
    labels: Tensor  # [T, B, K], fixed and balanced: the classes of the images

    def __init__(
        self, config: MetaTrainingConfig, *, image_shape: tuple[int, int, int], num_classes: int
    ) -> None:
        super().__init__()
        self.kind = config.curriculum
        self.image_shape, self.num_classes = image_shape, num_classes
        self.latent_scale = config.latent_scale
        batches = (config.inner_steps, config.batch_size)
        self.latent_shape = (*batches, config.latent_size)
        if self.kind == "pixels":
            self.pixels = nn.Parameter(torch.randn(*batches, *image_shape))
        else:
            self.generator = Generator(
                image_shape=image_shape,
                num_classes=num_classes,
                latent_size=config.latent_size,
                hidden=config.generator_hidden,
                channels=config.generator_channels,
                weight_normalization=config.generator_weight_normalization,
            )
        if self.kind not in ("none", "pixels"):
            self.latents = nn.Parameter(self._noise(None))
        self.register_buffer("labels", _balanced_labels(config, num_classes))
        if config.labels == "soft":
            rest = (1 - FIRST_SOFT_LABEL) / (num_classes - 1)
            self.label_logits = nn.Parameter(self.labels * math.log(FIRST_SOFT_LABEL / rest))
        self.schedule = InnerSchedule(config)

    def forward(
        self,
        rng: torch.Generator,
        *,
        shuffle: bool = True,
        recompute: bool = False,
        learned: range | None = None,
    ) -> SyntheticCurriculum:
        """The curriculum as one learner meets it, differentiable in every parameter.

        `rng` draws what the variants leave to chance: the noise of "none" and the order of the shuffled
        ones. Without `shuffle` their batches come in the order in which they are stored. With `recompute`
        the generator's activations are computed again going backward, one batch at a time. Given the inner
        steps that are `learned`, the curriculum ends with the last of them and the images before the first
        are constants, so that the generator does no more than a truncated unroll needs.
        """
        learned = range(len(self.labels)) if learned is None else learned
        classes = self.labels
        targets = self.label_logits.softmax(dim=2) if hasattr(self, "label_logits") else classes
        learning_rates, momenta = self.schedule()
        if self.kind == "pixels":
            images = self.pixels.clone()  # not the leaf, which asks for a gradient even under no_grad
        else:
            latents = self._noise(rng).to(classes) if self.kind == "none" else self.latents
            if shuffle and self.kind in ("shuffled_batches", "all_shuffled"):
                latents, classes, targets = self._shuffled(rng, latents, classes, targets)
            # The generator draws nothing that would have to be drawn again.
            recomputed = partial(checkpoint, self.generator, use_reentrant=False, preserve_rng_state=False)
            generate = recomputed if recompute else self.generator
            batches = list(zip(latents, classes, strict=True))
            with torch.no_grad():
                constant = [self.generator(*batch) for batch in batches[: learned.start]]
            made = [generate(*batch) for batch in batches[learned.start : learned.stop]]
            images = torch.stack([*constant, *made])
        end = learned.stop
        return SyntheticCurriculum(
            images[:end],
            targets[:end],
            learning_rates[:end],
            momenta[:end],
            self.schedule.inner_optimizer,
        )

    def _shuffled(self, rng: torch.Generator, *parts: Tensor) -> list[Tensor]:
        """The parts [T, B, ...] in one random order; whole batches are shuffled, or single samples."""
        flat = 0 if self.kind == "shuffled_batches" else 1
        order = torch.randperm(len(parts[0].flatten(0, flat)), generator=rng).to(parts[0].device)
        return [part.flatten(0, flat)[order].view_as(part) for part in parts]

    def _noise(self, rng: torch.Generator | None) -> Tensor:
        return self.latent_scale * torch.randn(self.latent_shape, generator=rng, dtype=torch.float32)


def require_every_class(config: MetaTrainingConfig, num_classes: int) -> None:
    """Raise DatasetError where labels are fixed and there are classes that no image would have."""
    images = config.inner_steps * config.batch_size
    if config.labels == "fixed" and images < num_classes:
        raise DatasetError(
            f"inner_steps ({config.inner_steps}) times batch_size ({config.batch_size}) are {images} images "
            f"for {num_classes} classes, of which learners would never meet {num_classes - images}",
            remedy='raise either, or set labels to "soft"',
        )


def _balanced_labels(config: MetaTrainingConfig, num_classes: int) -> Tensor:
    """One-hot [T, B, K]: classes take turns, so that no two differ by more than one image in any prefix."""
    turns = torch.arange(config.inner_steps * config.batch_size).view(config.inner_steps, config.batch_size)
    return F.one_hot(turns % num_classes, num_classes).float()
