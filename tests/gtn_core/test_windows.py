import torch

from gtn_core import MetaTrainingConfig
from gtn_core.inner_loop import Window
from gtn_core.windows import draw_window


def draws(meta_step: int = 0, **options: int) -> list[Window]:
    config = MetaTrainingConfig.model_validate({"inner_steps": 10, **options})
    return [draw_window(config, meta_step, torch.Generator().manual_seed(seed)) for seed in range(200)]


def test_by_default_the_gradient_goes_back_through_every_step() -> None:
    assert set(draws()) == {Window(0, 10)}


def test_a_window_ends_anywhere_and_keeps_its_length() -> None:
    assert set(draws(window=4)) == {Window(stop - 4, stop) for stop in range(4, 11)}


def test_warm_up_lengthens_the_unroll_step_by_step() -> None:
    stops = [draws(meta_step, warmup_meta_steps=4)[0] for meta_step in range(6)]
    assert stops == [Window(0, stop) for stop in (3, 5, 8, 10, 10, 10)]


def test_a_window_waits_until_warm_up_has_made_room_for_it() -> None:
    assert set(draws(0, warmup_meta_steps=5, window=6)) == {Window(0, 2)}
    assert set(draws(4, warmup_meta_steps=5, window=9)) == {Window(0, 9), Window(1, 10)}
