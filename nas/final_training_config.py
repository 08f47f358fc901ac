"""What a final training can be told; apart from the training itself, whose module needs PyTorch."""

from typing import Any, Literal

from pydantic import Field

from gtn_core.strict_model import StrictModel

AugmentPolicy = Literal["auto", "none", "crop", "crop_flip"]


class FinalTrainingConfig(StrictModel):
    """SGD with Nesterov momentum and a cosine schedule; the only place with its defaults."""

    epochs: int = Field(30, ge=1, le=10_000, description="Passes over the training split.")
    batch_size: int = Field(64, ge=2, le=65_536, description="Images per step.")
    learning_rate: float = Field(
        0.1, gt=0, le=10, description="Of the first step; falls to zero by a cosine."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Nesterov momentum; 0 is plain SGD.")
    weight_decay: float = Field(5e-4, ge=0, le=1, description="L2 penalty on every weight.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each label spread over the classes."
    )
    cutout: int = Field(
        0, ge=0, le=1024, description="Side of a square that is blanked in each image, pixels; the paper: 16."
    )
    drop_path: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Odds that an operation of the last cell is silenced for an image at the end of "
        "training; less before, and nearer to the images. Where the space has it; the paper: 0.2.",
    )
    auxiliary_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of an auxiliary classifier's loss, where the space has a place for one "
        "(nasnet_micro); it is not part of the trained network. The paper: 0.4.",
    )
    space_options: dict[str, Any] = Field(
        default_factory=dict,
        description='Options of the search space that differ from the search, such as {"channels": 64}: '
        "winners are trained wider and deeper than they were searched.",
    )
    augment: AugmentPolicy = Field(
        "auto",
        description="Random crops and flips. auto: crop_flip for photographs known to survive a mirror "
        "(cifar10, cifar100), crop for the rest.",
    )
