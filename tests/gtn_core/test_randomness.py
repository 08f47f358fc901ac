import pytest
import torch

from gtn_core.randomness import seeded_initialisation


def test_a_seeded_initialisation_leaves_every_devices_global_generator_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeded: list[int] = []
    monkeypatch.setattr("torch.cuda.manual_seed_all", seeded.append)
    before = torch.random.get_rng_state()
    drawn = []
    for _ in range(2):
        with seeded_initialisation(5):
            drawn.append(torch.nn.Linear(2, 3).weight)
    assert torch.equal(*drawn)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert seeded == []
