"""Real digits and the smallest meta-training that has every part."""

import pytest

from gtn_core import DatasetSplits, MetaTrainingConfig, load_dataset


@pytest.fixture(scope="session")
def digits() -> DatasetSplits:
    return load_dataset("digits", seed=0)


@pytest.fixture(scope="session")
def tiny_config() -> MetaTrainingConfig:
    return MetaTrainingConfig(
        inner_steps=3,
        batch_size=10,
        latent_size=4,
        generator_hidden=8,
        generator_channels=(4, 3),
        learner_channels=(3,),
        learner_hidden=8,
        meta_steps=6,
        outer_batch_size=20,
        clip_factor=0.9,  # so that most meta-gradients are clipped
        validate_every=4,
        save_every=2,
    )
