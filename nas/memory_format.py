"""How a network's weights lie in memory: its features follow them, and one way is faster on CPUs."""

import copy

import torch
from torch import nn

from gtn_core.layers import channels_last, evaluation_mode
from gtn_core.randomness import seeded_noise
from nas.search_spaces.base import ImageShape


def channels_first(network: nn.Module) -> nn.Module:
    """The network, its weights moved in place to where they lie unless somebody moves them."""
    moved: nn.Module = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return moved


def channels_last_if_it_runs(network: nn.Module, image_shape: ImageShape) -> nn.Module:
    """The network, on a CPU, with its channels last, or as it was where its `forward` cannot do with that.

    So a candidate takes 0.44 to 0.86 of the time, least where it is large (`bench_memory_format.py`).
    Whoever takes a `view` of features may count on channels that come first.
    """
    trial, images = channels_last(copy.deepcopy(network)), torch.zeros(2, *image_shape)
    try:
        with seeded_noise(0, "cpu"):
            with torch.no_grad(), evaluation_mode(trial):
                trial(images)
            with torch.enable_grad():  # in training it may take another way
                trial.train()(images).sum().backward()
    except RuntimeError:
        return network
    return channels_last(network)
