"""How an untrained network is run: batch norm by the batch at hand, nothing random, nothing changed."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from gtn_core.layers import batch_statistics, evaluation_mode


@contextmanager
def as_in_training(network: nn.Module) -> Iterator[None]:
    """Inside, batch norm uses the batch's statistics, as in training, and no unit is dropped."""
    with evaluation_mode(network), batch_statistics(network):
        yield
