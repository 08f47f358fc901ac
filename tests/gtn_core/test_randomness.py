import pytest
import torch

from gtn_core.randomness import derive_seed, seeded_initialisation


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


def test_every_path_is_a_branch_of_its_own_and_stays_what_it_was() -> None:
    """Runs that are resumed, and checkpoints without latents, draw again what an earlier version drew."""
    paths: list[tuple[int | str, ...]] = [
        (),
        (1, 2),
        (2, 1),
        ("ab",),
        ("ba",),
        ("a", "b"),
        ("a", 1),
        (1, "a"),
        ("learner", 0),
        ("learner", 1),
    ]
    seeds = [derive_seed(seed, *path) for seed in (0, 1) for path in paths]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "learner", 1) == 2375766978410388054
