"""How far a learner of meta-training walks, and which part of its way a meta-gradient goes back."""

import torch

from gtn_core.config import MetaTrainingConfig
from gtn_core.inner_loop import Window


def draw_window(config: MetaTrainingConfig, meta_step: int, rng: torch.Generator) -> Window:
    """The window of a learner at `meta_step` (from 0): all T steps, unless warm-up or truncation shorten it.

    During warm-up learners take fewer steps, growing in proportion to the meta step. With a `window` of W a
    learner takes a random number of steps from W to T and the gradient goes back through the last W (Feng et
    al., "Embarrassingly Simple Dataset Distillation", 2024): later steps would see a learner that only
    earlier ones have made.
    """
    steps = config.inner_steps
    if meta_step < config.warmup_meta_steps:
        steps = max(1, -(-steps * (meta_step + 1) // config.warmup_meta_steps))
    if not config.window or config.window >= steps:
        return Window(0, steps)
    stop = int(torch.randint(config.window, steps + 1, (1,), generator=rng))
    return Window(stop - config.window, stop)
