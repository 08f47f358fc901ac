"""Numbers that are not finite end a run, with what and who it was and what to lower."""

import math

from gtn_core.config import MetaTrainingConfig
from gtn_core.errors import MetaTrainingDiverged


def require_finite(value: float, what: str, learner: str, step: int, config: MetaTrainingConfig) -> None:
    """Raise MetaTrainingDiverged unless `value` is finite; `step` counts meta steps done before this one."""
    if math.isfinite(value):
        return
    raise MetaTrainingDiverged(
        f"meta step {step + 1}: the {what} is {value} for {learner}",
        meta_step=step + 1,
        learner=learner,
        value=value,
        remedy=_remedy(config),
    )


def _remedy(config: MetaTrainingConfig) -> str:
    outer = f"outer_learning_rate ({config.outer_learning_rate:g})"
    initial = f"initial_learning_rate ({config.initial_learning_rate:g})"
    if config.gradient_clipping:
        return f"lower {outer}, clip_factor ({config.clip_factor:g}) or {initial}"
    return f"turn gradient_clipping on, or lower {outer} or {initial}"
