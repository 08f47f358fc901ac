import pytest
import torch
import torch.nn.functional as F

from gtn_core import Generator


def make(image_shape: tuple[int, int, int]) -> Generator:
    torch.manual_seed(0)
    return Generator(
        image_shape=image_shape,
        num_classes=5,
        latent_size=6,
        hidden=16,
        channels=(8, 4),
        weight_normalization=True,
    )


@pytest.mark.parametrize(
    "image_shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 14), (2, 4, 4), (1, 3, 5), (1, 1, 1)]
)
def test_images_have_the_asked_shape_and_range(image_shape: tuple[int, int, int]) -> None:
    images = make(image_shape)(torch.randn(7, 6), F.one_hot(torch.arange(7) % 5, 5).float())
    assert images.shape == (7, *image_shape)
    assert images.abs().max() <= 2
    assert images.std() > 0


def test_a_class_changes_the_image_and_may_be_soft() -> None:
    generator, latents = make((1, 8, 8)), torch.randn(4, 6)
    hard = generator(latents, F.one_hot(torch.tensor([0, 1, 2, 3]), 5).float())
    soft = generator(latents, torch.full((4, 5), 0.2))
    assert not torch.allclose(hard, soft)


def test_it_is_the_same_function_when_it_is_frozen() -> None:
    generator = make((1, 8, 8))
    latents, labels = torch.randn(4, 6), torch.eye(5)[:4]
    assert torch.equal(generator.train()(latents, labels), generator.eval()(latents, labels))


def test_every_weight_takes_part() -> None:
    generator = make((1, 8, 8))
    (generator(torch.randn(4, 6), torch.eye(5)[:4]) ** 2).sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
