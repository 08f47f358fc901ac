from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from gtn_core import DatasetSplits, LearnedCurriculum, MetaStepReport, MetaTrainingConfig, meta_train
from gtn_core.first_images import start_from_real_images
from gtn_core.randomness import seeded_initialisation


def curriculum_of(config: MetaTrainingConfig, digits: DatasetSplits) -> LearnedCurriculum:
    with seeded_initialisation(0):
        return LearnedCurriculum(config, image_shape=digits.image_shape, num_classes=digits.num_classes)


def test_pixels_start_as_training_images_of_their_classes_and_no_image_twice(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    curriculum = curriculum_of(tiny_config.model_copy(update={"curriculum": "pixels"}), digits)
    start_from_real_images(curriculum, digits.train, passes=1, seed=0)
    known = {image.numpy().tobytes(): label for image, label in zip(*train_images(digits), strict=True)}
    found = [image.numpy().tobytes() for image in curriculum.pixels.detach().flatten(0, 1)]
    classes = curriculum.labels.argmax(dim=2).flatten().tolist()
    assert [known[image] for image in found] == classes
    assert len(set(found)) == len(found)


def train_images(digits: DatasetSplits) -> tuple[torch.Tensor, list[int]]:
    return digits.train.images, digits.train.labels.tolist()


def test_a_class_with_too_few_images_lends_them_again(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    few = type(digits.train)(digits.train.images[:40], torch.arange(40) % 10)  # four of each, and five asked
    config = tiny_config.model_copy(update={"curriculum": "pixels", "inner_steps": 5})
    curriculum = curriculum_of(config, digits)
    start_from_real_images(curriculum, few, passes=1, seed=0)
    zeros = curriculum.pixels.detach()[curriculum.labels.argmax(dim=2) == 0]
    assert len(zeros.flatten(1).unique(dim=0)) == 4


def test_a_generator_comes_nearer_to_real_images_with_more_passes(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    def distance(passes: int) -> float:
        curriculum = curriculum_of(tiny_config, digits)
        latents = curriculum.latents.detach().clone()
        start_from_real_images(curriculum, digits.train, passes=passes, seed=0)
        assert not torch.equal(curriculum.latents, latents)
        with torch.no_grad():
            images = curriculum(torch.Generator(), shuffle=False).images
        means = torch.stack([digits.train.images[digits.train.labels == k].mean(dim=0) for k in range(10)])
        return F.mse_loss(images, means[curriculum.labels.argmax(dim=2)]).item()

    assert distance(40) < 0.7 * distance(1)


def test_a_run_that_starts_from_real_images_can_be_resumed(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    config = tiny_config.model_copy(update={"first_images": "real", "fit_passes": 2})
    state = tmp_path / "state"

    def interrupt(report: MetaStepReport) -> None:
        if report.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meta_train(digits, config, on_step=interrupt, state_path=state)
    assert meta_train(digits, config, state_path=state).id == meta_train(digits, config).id
    assert meta_train(digits, config).id != meta_train(digits, tiny_config).id


def test_fresh_noise_at_every_step_cannot_start_from_images() -> None:
    with pytest.raises(ValidationError, match="first_images 'real' needs something that is learned"):
        MetaTrainingConfig(curriculum="none", first_images="real")


def test_fewer_images_than_classes_start_from_those_that_there_are(digits: DatasetSplits) -> None:
    config = MetaTrainingConfig(
        curriculum="pixels", first_images="real", inner_steps=1, batch_size=4, meta_steps=1
    )
    curriculum = LearnedCurriculum(config, image_shape=(1, 8, 8), num_classes=10)
    start_from_real_images(curriculum, digits.train, passes=1, seed=0)
    known = {tuple(image.flatten().tolist()) for image in digits.train.images}
    assert all(tuple(image.flatten().tolist()) in known for image in curriculum.pixels[0])
