"""What every registered search space promises."""

import hashlib
import json
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gtn_core.errors import InvalidArchitectureError, UnknownNameError
from nas.architecture import Architecture
from nas.drawing import draw_svg, draw_text
from nas.search_spaces import SEARCH_SPACES, get_search_space
from nas.search_spaces.base import ImageShape, SearchSpace

SMALL: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 4, "cells_per_stage": 1},
    "nasnet_micro": {"channels": 4, "cells_per_stage": 1},
    "resnet_macro": {"channels": 4},
    "macro": {
        "description": {
            "stem_channels": 4,
            "stages": [
                {"block": ["plain", "depthwise_separable"], "depth": [1, 2], "width": [4, 8, 12]},
                {
                    "block": ["residual", "bottleneck", "inverted_residual"],
                    "depth": [0, 1, 2, 3],
                    "width": [8, 12, 16],
                    "kernel_size": [3, 5],
                    "stride": [1, 2],
                    "expansion": [2, 3],
                },
            ],
        }
    },
}
"""Options that make a space's networks quick to build."""

GREY: ImageShape = (1, 8, 8)
COLOUR: ImageShape = (3, 32, 32)


@pytest.fixture(params=SEARCH_SPACES.names())
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return get_search_space(request.param, **SMALL.get(request.param, {}))


def draw(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def fingerprint(name: str) -> str:
    """Digest of drawn architectures, their mutations and hashes, and the weights of one network."""
    space = get_search_space(name, **SMALL.get(name, {}))
    rng = np.random.default_rng(7)
    drawn = draw(space, 5)
    lines = [f"{a} {space.canonical_hash(a)} {space.mutate(a, rng)}" for a in drawn]
    network = space.build(drawn[0], image_shape=GREY, num_classes=3, seed=11)
    digest = hashlib.sha256("\n".join(lines).encode())
    for key, tensor in network.state_dict().items():
        digest.update(key.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def test_satisfies_the_protocol(space: SearchSpace) -> None:
    assert isinstance(space, SearchSpace)
    assert space.name in SEARCH_SPACES.names()
    assert SEARCH_SPACES.description(space.name)
    assert space.config.model_config["frozen"]


def test_encodings_round_trip(space: SearchSpace) -> None:
    for architecture in draw(space, 50):
        assert architecture.space == space.name
        assert space.parse(architecture.encoding) == architecture


def test_a_foreign_encoding_is_refused(space: SearchSpace) -> None:
    for encoding in ("", "nonsense", "{}", draw(space, 1)[0].encoding[:-1]):
        with pytest.raises(InvalidArchitectureError, match=r"\S"):
            space.parse(encoding)


def test_sampling_covers_the_space(space: SearchSpace) -> None:
    assert len(set(draw(space, 200))) > 150


def test_neighbours_are_distinct_valid_and_mutual(space: SearchSpace) -> None:
    architecture = draw(space, 1)[0]
    neighbours = list(space.neighbours(architecture))
    assert neighbours == list(space.neighbours(architecture))
    assert len(set(neighbours)) == len(neighbours) > 0
    assert architecture not in neighbours
    for neighbour in neighbours[:10]:
        assert space.parse(neighbour.encoding) == neighbour
        assert architecture in space.neighbours(neighbour)


def test_a_mutation_is_a_neighbour_and_reaches_many(space: SearchSpace) -> None:
    architecture, rng = draw(space, 1)[0], np.random.default_rng(3)
    mutations = {space.mutate(architecture, rng) for _ in range(100)}
    assert mutations <= set(space.neighbours(architecture))
    assert len(mutations) > 5


def test_canonical_hashes_are_stable_and_tell_architectures_apart(space: SearchSpace) -> None:
    drawn = draw(space, 50)
    hashes = [space.canonical_hash(architecture) for architecture in drawn]
    assert hashes == [space.canonical_hash(architecture) for architecture in drawn]
    assert len(set(hashes)) > 25


@pytest.mark.parametrize("image_shape", [GREY, COLOUR])
def test_networks_give_finite_logits_and_gradients(space: SearchSpace, image_shape: ImageShape) -> None:
    images = torch.randn(4, *image_shape, generator=torch.Generator().manual_seed(0))
    for architecture in draw(space, 8):
        network = space.build(architecture, image_shape=image_shape, num_classes=10, seed=0)
        logits = network(images)
        assert logits.shape == (4, 10)
        assert logits.isfinite().all()
        logits.logsumexp(dim=1).sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, f"{architecture}: {name} is not used"
            assert parameter.grad.isfinite().all(), f"{architecture}: {name}"


def test_the_seed_alone_decides_the_weights(space: SearchSpace) -> None:
    architecture = draw(space, 1)[0]

    def weights(seed: int) -> torch.Tensor:
        network = space.build(architecture, image_shape=GREY, num_classes=10, seed=seed)
        return torch.cat([parameter.flatten() for parameter in network.parameters()])

    torch.manual_seed(1)
    first = weights(5)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    assert torch.equal(weights(5), first)
    assert not torch.equal(weights(6), first)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator was disturbed"


def test_a_fresh_process_draws_and_builds_the_same() -> None:
    names = SEARCH_SPACES.names()
    script = f"""
import importlib.util, json
spec = importlib.util.spec_from_file_location("contract", {__file__!r})
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)
print(json.dumps([contract.fingerprint(name) for name in {names!r}]))
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(process.stdout) == [fingerprint(name) for name in names]


def test_a_schema_lists_every_option(space: SearchSpace) -> None:
    properties = SEARCH_SPACES.schema(space.name)["properties"]
    assert set(properties) == set(type(space.config).model_fields)
    assert all("description" in option for option in properties.values())


def test_unknown_names_and_options_are_refused(space: SearchSpace) -> None:
    with pytest.raises(UnknownNameError, match="nasbench201"):
        get_search_space("nasbench2001")
    with pytest.raises(ValidationError, match="no_such_option"):
        get_search_space(space.name, no_such_option=1)


def test_choices_compose_the_architecture_again(space: SearchSpace) -> None:
    for architecture in draw(space, 20):
        choices = space.choices(architecture)
        assert all(option in space.domains[name] for name, option in choices.items())
        assert space.compose(lambda name: choices[name]) == architecture  # noqa: B023 - called at once


def test_a_crossover_has_each_choice_from_a_parent(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    first, second = draw(space, 2)
    assert space.crossover(first, first, rng) == first
    parents = space.choices(first), space.choices(second)
    children = {space.crossover(first, second, rng) for _ in range(20)}
    assert len(children - {first, second}) > 5
    for child in children:
        assert space.parse(child.encoding) == child
        for name, option in space.choices(child).items():
            inherited = [parent[name] for parent in parents if name in parent]
            assert not inherited or option in inherited


def test_what_is_one_network_has_one_row_of_features(space: SearchSpace) -> None:
    rng = np.random.default_rng(5)
    drawn = [space.sample(rng) for _ in range(150)]
    near = [neighbour for each in drawn[:20] for neighbour in space.neighbours(each)]
    rows: dict[str, list[bytes]] = {}
    for architecture in dict.fromkeys([*drawn, *near]):
        rows.setdefault(space.canonical_hash(architecture), []).append(space.features(architecture).tobytes())
    several = [found for found in rows.values() if len(found) > 1]
    assert several or space.name == "macro", "no network was written in two ways"
    assert all(len(set(found)) == 1 for found in several)


def test_features_have_one_length_and_tell_architectures_apart(space: SearchSpace) -> None:
    drawn = draw(space, 30)
    features = np.stack([space.features(architecture) for architecture in drawn])
    assert features.dtype == np.float64
    assert np.isfinite(features).all()
    different_hashes = len({space.canonical_hash(architecture) for architecture in drawn})
    assert len(np.unique(features, axis=0)) >= different_hashes


def test_architectures_can_be_drawn(space: SearchSpace) -> None:
    for architecture in draw(space, 5):
        svg = draw_svg(space, architecture)
        assert svg is not None
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert len(draw_text(space, architecture).splitlines()) > 3
