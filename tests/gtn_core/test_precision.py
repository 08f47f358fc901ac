from typing import get_args

import pytest
import torch

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    MetaStepReport,
    MetaTrainingConfig,
    SyntheticCurriculum,
    meta_train,
)
from gtn_core.config import MetaGradientForm, Precision
from gtn_core.errors import DeviceError
from gtn_core.outer_loss import outer_loss


def test_arithmetic_of_a_gpu_is_refused_without_one(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(update={"precision": "tf32"})
    reports: list[MetaStepReport] = []
    with pytest.raises(DeviceError, match=r'"tf32" needs a CUDA device, not cpu; set it to "float32"'):
        meta_train(digits, config, on_step=reports.append)
    assert not reports


def image_gradient(
    digits: DatasetSplits, precision: Precision, form: MetaGradientForm, normalization: str
) -> torch.Tensor:
    config = MetaTrainingConfig.model_validate(
        {
            "inner_steps": 3,
            "learner_channels": (8,),
            "learner_hidden": 16,
            "learner_normalization": normalization,
            "precision": precision,
        }
    )
    leaves = SyntheticCurriculum(
        images=torch.randn(3, 20, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
        labels=torch.eye(10)[torch.arange(60) % 10].view(3, 20, 10),
        learning_rates=torch.full((3,), 0.05),
        momenta=torch.full((3,), 0.5),
    ).detach_as_leaves()
    learner = ConvNetSampler(config)(image_shape=(1, 8, 8), num_classes=10, seed=0)
    loss, _ = outer_loss(learner, leaves, digits.validation, config, form=form)
    torch.autograd.backward(loss)
    assert leaves.images.grad is not None
    return leaves.images.grad.flatten()


@pytest.mark.parametrize("normalization", ["batch", "mean_only"])
@pytest.mark.parametrize("form", get_args(MetaGradientForm))
def test_a_meta_gradient_in_bfloat16_points_where_the_exact_one_does(
    form: MetaGradientForm, normalization: str, digits: DatasetSplits
) -> None:
    exact = image_gradient(digits, "float32", form, normalization)
    rounded = image_gradient(digits, "bf16", form, normalization)
    assert not torch.equal(exact, rounded), "nothing was computed in bfloat16"
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.95
    assert rounded.dtype == torch.float32


def test_meta_training_in_bfloat16_gives_a_checkpoint_in_float32(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(update={"precision": "bf16", "meta_steps": 2})
    curriculum = meta_train(digits, config).synthesize()
    assert curriculum.images.dtype == torch.float32
    assert torch.isfinite(curriculum.images).all()
