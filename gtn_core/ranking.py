"""Teaching for ranking: learners of architectures whose order is known should end in that order."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtn_core.config import MetaGradientForm, MetaTrainingConfig, RankingLoss
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import Split
from gtn_core.divergence import require_finite
from gtn_core.errors import DatasetError
from gtn_core.learners import ImageShape
from gtn_core.outer_loss import final_loss
from gtn_core.randomness import derive_seed, seeded_noise, torch_generator
from gtn_core.ranks import ALONE, Rank
from gtn_core.real_steps import outer_batch, with_real_steps
from gtn_core.windows import draw_window


class BuildsReference(Protocol):
    """Builds a learner of one architecture of a reference."""

    def __call__(self, index: int, *, image_shape: ImageShape, num_classes: int, seed: int) -> nn.Module:
        """A freshly initialised network of architecture `index`, images [B, C, H, W] -> logits [B, K]."""
        ...


@dataclass(frozen=True)
class RankingReference:
    """A calibration set: architectures, what each is worth, and how to build learners of them.

    Raises DatasetError when the scores order nothing.
    """

    name: str  # what the scores are, as manifests and errors have it
    scores: tuple[float, ...]  # of each architecture, more is better; only their order counts
    build: BuildsReference

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.scores)) or len(set(self.scores)) < 2:
            raise DatasetError(
                f"ranking reference {self.name}: {len(self.scores)} scores, {len(set(self.scores))} of them "
                "different; it needs at least two different and finite ones"
            )

    def __str__(self) -> str:
        digest = hashlib.sha256(np.array(self.scores).tobytes()).hexdigest()[:12]
        return f"{self.name}, {len(self.scores)} architectures, scores {digest}"

    def draw(self, number: int, rng: torch.Generator) -> list[int]:
        """Indices of `number` different architectures, or of all where there are fewer."""
        return torch.randperm(len(self.scores), generator=rng)[:number].tolist()


def backward_ranking_loss(
    leaves: SyntheticCurriculum,
    train: Split,
    reference: RankingReference,
    config: MetaTrainingConfig,
    *,
    seed: int,
    step: int,
    form: MetaGradientForm = "graph",
    rank: Rank = ALONE,
) -> float:
    """Add the gradient of the weighted ranking loss of one group to `leaves`; returns the loss, unweighted.

    All of the group meet the same window and real batches, so that architecture and initialisation alone
    tell them apart. The loss needs their final losses together, yet their graphs need not be held together:
    a first pass without graphs finds the losses, and with them d loss / d final loss of each; a second pass
    goes back through one learner at a time with that weight. Raises MetaTrainingDiverged.
    """
    members = reference.draw(config.ranking_learners, torch_generator(seed, "ranking group", step))
    real = outer_batch(train, config, torch_generator(seed, "ranking real", step))
    window = draw_window(config, step, torch_generator(seed, "ranking window", step))
    taught, window = with_real_steps(
        leaves, window, train, config, torch_generator(seed, "ranking real steps", step)
    )
    image_shape: ImageShape = (leaves.images.shape[2], leaves.images.shape[3], leaves.images.shape[4])

    def loss_of(number: int, form: MetaGradientForm) -> Tensor:
        learner_seed = derive_seed(seed, "ranking learner", step, number)
        learner = reference.build(
            members[number], image_shape=image_shape, num_classes=leaves.labels.shape[2], seed=learner_seed
        ).to(train.labels.device)
        with seeded_noise(learner_seed, train.labels.device):  # equal in both passes
            loss = final_loss(learner, taught, real, config, form=form, window=window)
        name = f"architecture {members[number]} of {reference.name} (seed {learner_seed})"
        require_finite(loss.item(), "loss in the ranking group", name, step, config)
        return loss

    own = rank.share(len(members))
    losses = torch.zeros(len(members), dtype=torch.float64)
    with torch.no_grad():
        for number in own:
            losses[number] = loss_of(number, "recompute")  # no graph without a gradient
    rank.add_up(losses)
    losses.requires_grad_()
    scores = torch.tensor([reference.scores[member] for member in members], dtype=torch.float64)
    loss = RANKING_LOSSES[config.ranking_loss](losses, scores, config.ranking_temperature)
    (weights,) = torch.autograd.grad(loss, losses)
    for number in own:
        taught_loss = loss_of(number, form)
        torch.autograd.backward(taught_loss, config.ranking_weight * weights[number].to(taught_loss))
    return loss.item()


def pairwise_loss(losses: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """Mean logistic loss over the pairs that differ in score (Burges et al., "Learning to Rank", 2005).

    `losses` and `scores` are [G]; the learner of the higher score should have the lower loss.
    """
    better = scores[:, None] > scores[None, :]
    excess = (losses[:, None] - losses[None, :]) / temperature  # of the better one's loss
    return (F.softplus(excess) * better).sum() / better.sum().clamp(min=1)


def soft_rank_loss(losses: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """1 - Pearson correlation of smoothed ranks with the true ones, a differentiable Spearman's rho.

    A rank is the number of learners that are better, each comparison a logistic step (Qin, Liu and Li, "A
    General Approximation Framework for Direct Optimization of Information Retrieval Measures", 2010).
    """
    smooth = torch.sigmoid((losses[:, None] - losses[None, :]) / temperature).sum(dim=1)
    true = (torch.sign(scores[None, :] - scores[:, None]).sum(dim=1)).to(losses)
    smooth, true = smooth - smooth.mean(), true - true.mean()
    spread = (smooth.square().sum() * true.square().sum()).clamp(min=1e-12).sqrt()
    return 1 - (smooth * true).sum() / spread


RANKING_LOSSES: dict[RankingLoss, Callable[[Tensor, Tensor, float], Tensor]] = {
    "pairwise": pairwise_loss,
    "soft_rank": soft_rank_loss,
}
