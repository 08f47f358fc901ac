import pytest
from pydantic import ValidationError

from gtn_core import MetaTrainingConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inner_steps", 0),
        ("inner_steps", 1025),
        ("batch_size", 1),
        ("meta_steps", 0),
        ("latent_size", 0),
        ("generator_channels", [8]),
        ("generator_channels", [8, 0]),
        ("initial_learning_rate", 0.0),
        ("initial_momentum", 1.0),
        ("initial_learning_rate", float("nan")),
        ("learner_channels", []),
        ("learner_channels", [16, -1]),
        ("learner", "transformer"),
        ("curriculum", "random"),
        ("inner_optimizer", "lamb"),
        ("outer_betas", [0.9, 1.0]),
        ("outer_batch_size", 1),
        ("intermediate_loss_weight", 1.5),
        ("clip_factor", 0),
        ("recompute_block", -1),
        ("save_every", 0),
        ("latent", 8),
        ("labels", "noisy"),
        ("learner_pool_size", 4),
        ("learner_width_range", [0, 1]),
        ("learner_depth_range", [0, 2]),
        ("augment", "flip"),
        ("precision", "int8"),
        ("meta_gradient", "forward"),
        ("trajectory_weight", -1),
        ("trajectory_steps", 0),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        MetaTrainingConfig.model_validate({name: value})
    assert caught.value.errors()[0]["loc"][0] == name


def test_it_survives_json() -> None:
    config = MetaTrainingConfig(inner_steps=7, generator_channels=(5, 4), outer_betas=(0.4, 0.8))
    assert MetaTrainingConfig.model_validate_json(config.model_dump_json()) == config


def test_every_field_is_described() -> None:
    described = {name for name, field in MetaTrainingConfig.model_fields.items() if field.description}
    assert described == set(MetaTrainingConfig.model_fields)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learner_width_range": (2, 1)}, r"learner_width_range \[2.0, 1.0\] ends before it starts"),
        ({"learner_depth_range": (3, 2)}, r"learner_depth_range \[3, 2\] ends before it starts"),
        (
            {"meta_steps": 4, "warmup_meta_steps": 5},
            r"warmup_meta_steps \(5\) is more than meta_steps \(4\).* lower it, or raise meta_steps",
        ),
        ({"inner_steps": 4, "window": 5}, r"window \(5\) is longer than inner_steps \(4\)"),
    ],
)
def test_values_that_contradict_each_other_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MetaTrainingConfig.model_validate(options)


def test_a_warm_up_may_take_all_meta_steps() -> None:
    assert MetaTrainingConfig(meta_steps=4, warmup_meta_steps=4).warmup_meta_steps == 4
