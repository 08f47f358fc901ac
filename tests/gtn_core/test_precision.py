from typing import get_args

import pytest
import torch
from torch import nn

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    MetaStepReport,
    MetaTrainingConfig,
    Split,
    SyntheticCurriculum,
    meta_train,
)
from gtn_core.config import MetaGradientForm, Precision
from gtn_core.errors import DeviceError
from gtn_core.inner_loop import unroll
from gtn_core.outer_loss import final_loss, outer_loss, real_loss
from gtn_core.precision import arithmetic


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
    loss = outer_loss(learner, leaves, digits.validation, config, form=form).loss
    torch.autograd.backward(loss)
    assert leaves.images.grad is not None
    return leaves.images.grad.flatten()


def test_on_a_gpu_convolutions_are_as_exact_as_products_of_matrices_unless_asked_otherwise() -> None:
    """PyTorch itself computes convolutions in TensorFloat-32 there. The settings are there without a GPU."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    for precision, expected in (("float32", False), ("bf16", False), ("tf32", True)):
        with arithmetic(precision, "cuda"):  # type: ignore[arg-type]  # literals in a loop
            assert (matmul.allow_tf32, cudnn.allow_tf32) == (expected, expected)
        assert (matmul.allow_tf32, cudnn.allow_tf32) == before


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


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
def test_on_colour_images_the_layout_of_weights_changes_no_gradient(form: MetaGradientForm) -> None:
    config = MetaTrainingConfig(inner_steps=2, learner_channels=(6,), learner="strided")
    rng = torch.Generator().manual_seed(0)
    real = Split(torch.randn(20, 3, 6, 6, generator=rng, dtype=torch.float64), torch.arange(20) % 10)
    curriculum = SyntheticCurriculum(
        images=torch.randn(2, 20, 3, 6, 6, generator=rng, dtype=torch.float64),
        labels=torch.eye(10, dtype=torch.float64)[torch.arange(40) % 10].view(2, 20, 10),
        learning_rates=torch.full((2,), 0.1, dtype=torch.float64),
        momenta=torch.full((2,), 0.5, dtype=torch.float64),
    )

    def learner() -> nn.Module:
        return ConvNetSampler(config)(image_shape=(3, 6, 6), num_classes=10, seed=0).double()

    prepared_learner = learner()
    ours, plain = curriculum.detach_as_leaves(), curriculum.detach_as_leaves()
    torch.autograd.backward(final_loss(prepared_learner, ours, real, config, form=form))
    end = unroll(network := learner(), plain)[-1]
    torch.autograd.backward(real_loss(network, end, real)[0])
    weight = next(each for each in prepared_learner.parameters() if each.dim() == 4)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours.images.grad, plain.images.grad, rtol=1e-9, atol=1e-14)
