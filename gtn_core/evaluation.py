"""Accuracy and loss of a network on the split that the caller names."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from gtn_core.data import Split
from gtn_core.layers import batch_statistics as using_batch_statistics
from gtn_core.layers import evaluation_mode


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a network gets right on a split."""

    accuracy: float  # in [0, 1]
    loss: float  # mean cross-entropy, nats


@torch.no_grad()
def evaluate(
    network: nn.Module, split: Split, *, batch_size: int = 512, batch_statistics: bool = False
) -> Evaluation:
    """Measure `network` on `split`, on the device of the split; modes and running buffers stay as they were.

    With `batch_statistics` batch and instance norm use the statistics of the batch at hand: that is how
    candidates and learners are measured, since a running mean gathered over a dozen synthetic batches
    describes nothing. Without, they use their running statistics, as a network in use does.
    """
    # Batches of nearly equal size: a last batch of one image would have no statistics.
    batches = -(-len(split.labels) // batch_size)
    correct, loss = 0.0, 0.0
    statistics = using_batch_statistics(network) if batch_statistics else nullcontext()
    with evaluation_mode(network), statistics:
        for images, labels in zip(
            split.images.tensor_split(batches), split.labels.tensor_split(batches), strict=True
        ):
            logits = network(images).float()  # a network under autocast may answer in another type
            correct += (logits.argmax(dim=1) == labels).sum().item()
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
    return Evaluation(correct / len(split.labels), loss / len(split.labels))
