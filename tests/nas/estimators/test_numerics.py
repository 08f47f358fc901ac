"""Settings that make scoring faster on GPUs, on the CPU: what they may change of a score, and what not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F

from gtn_core.config import InnerOptimizerName
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import DatasetSplits, load_dataset
from gtn_core.graphed_training import train_graphed
from gtn_core.inner_loop import train_on_curriculum
from gtn_core.randomness import seeded_initialisation
from nas import get_search_space
from nas.candidates import Proposal
from nas.estimators import EstimatorData, estimator_data, make_estimator
from nas.evaluation import evaluate, evaluation_plan
from nas.memory_format import channels_last_if_it_runs
from nas.search_spaces.base import SearchSpace
from nas.search_spec import SearchSpec

ENCODING = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|"
STEPS = 6


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return load_dataset("digits", seed=0)


@pytest.fixture(scope="module")
def curriculum(splits: DatasetSplits) -> SyntheticCurriculum:
    images = splits.train.images[: STEPS * 16].view(STEPS, 16, 1, 8, 8)
    labels = F.one_hot(splits.train.labels[: STEPS * 16], 10).float().view(STEPS, 16, 10)
    return SyntheticCurriculum(images, labels, torch.linspace(0.1, 0.04, STEPS), torch.full((STEPS,), 0.5))


@pytest.fixture(scope="module")
def data(curriculum: SyntheticCurriculum, splits: DatasetSplits) -> EstimatorData:
    return estimator_data(curriculum, splits)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return get_search_space("nasbench201", channels=4, cells_per_stage=1)


@pytest.mark.parametrize("name", ["gtn", "gtn_then_real", "real_data"])
def test_the_layout_changes_scores_by_rounding_alone_and_bfloat16_by_a_little(
    name: str, data: EstimatorData, space: SearchSpace
) -> None:
    def losses(**options: Any) -> torch.Tensor:
        score = make_estimator(name, data, **options).estimate(space, space.parse(ENCODING), seed=0)
        return torch.tensor([*score.loss_curve, score.loss])

    plain, last, rounded = (
        losses(channels_last=False),
        losses(channels_last=True),
        losses(precision="bfloat16"),
    )
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rounded, plain, rtol=0.1, atol=0.1)
    assert not torch.equal(rounded, plain)
    assert torch.equal(losses(), last)  # on a CPU


def test_batches_and_network_have_their_channels_last(data: EstimatorData) -> None:
    seen: list[bool] = []

    class Watch(torch.nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.device.type != "meta":
                weight = next(self.parameters())
                seen.extend(
                    each.is_contiguous(memory_format=torch.channels_last) for each in (images, weight)
                )
            return super().forward(images)

    class Space:
        name = "watched"

        def build(self, *_: Any, **__: Any) -> torch.nn.Module:
            convolution = torch.nn.Conv2d(3, 4, 3)
            return Watch(convolution, torch.nn.Flatten(), torch.nn.Linear(4 * 36, 10))

    colours = replace(
        data,
        curriculum_images=data.curriculum_images.repeat(3, axis=2),
        validation_images=data.validation_images.repeat(3, axis=1),
    )
    estimator = make_estimator("gtn", colours, channels_last=True)
    estimator.estimate(Space(), space_architecture(), seed=0)  # type: ignore[arg-type]
    assert seen
    assert all(seen)


def test_a_network_that_needs_its_channels_first_is_scored_so(data: EstimatorData) -> None:
    class Flat(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features.view(len(features), -1)  # fails for features of another layout

    class Space:
        name = "flattened"

        def build(self, *_: Any, seed: int, **__: Any) -> torch.nn.Module:
            with seeded_initialisation(seed):
                return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), Flat(), torch.nn.Linear(4 * 36, 10))

    space: Any = Space()
    score = make_estimator("gtn", data).estimate(space, space_architecture(), seed=0)
    plain = make_estimator("gtn", data, channels_last=False).estimate(space, space_architecture(), seed=0)
    assert (score.loss_curve, score.loss) == (plain.loss_curve, plain.loss)
    with pytest.raises(RuntimeError, match="view"):
        make_estimator("gtn", data, channels_last=True).estimate(space, space_architecture(), seed=0)


def test_to_try_the_layout_leaves_a_network_and_the_global_generator_as_they_were() -> None:
    """Final training tries it too, and exports the running statistics."""

    class Noisy(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features + torch.rand_like(features)

    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), Noisy(), torch.nn.BatchNorm2d(2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.random.get_rng_state()
    assert channels_last_if_it_runs(network, (1, 8, 8)) is network
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert network.training
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_a_network_that_takes_another_way_in_training_is_tried_on_it() -> None:
    class Branching(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features.view(len(features), -1) if self.training else features.flatten(1)

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), Branching(), torch.nn.Linear(4 * 36, 10))
    assert network[0].weight.is_contiguous()
    channels_last_if_it_runs(network, (3, 8, 8))
    assert network[0].weight.is_contiguous()
    network(torch.zeros(2, 3, 8, 8)).sum().backward()


def space_architecture() -> Any:
    return get_search_space("nasbench201", channels=4, cells_per_stage=1).parse(ENCODING)


def test_what_changes_scores_is_noted_with_them(data: EstimatorData, space: SearchSpace) -> None:
    def notes(**options: Any) -> dict[str, str]:
        plan = evaluation_plan(SearchSpec(), (1.0,), data)
        proposal = Proposal(0, space.parse(ENCODING), "hash", seed=0)
        (result,) = evaluate(space, make_estimator("gtn", data, **options), proposal, plan)
        return dict(result.notes)

    assert notes() == {}
    assert notes(precision="bfloat16", channels_last=True) == {
        "precision": "bfloat16",
        "memory_format": "channels_last",
    }


@pytest.mark.parametrize("optimizer", get_args(InnerOptimizerName))
def test_a_step_on_tensors_that_stay_is_the_plain_step(
    optimizer: InnerOptimizerName, curriculum: SyntheticCurriculum, space: SearchSpace
) -> None:
    def trained(train: Callable[..., torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        network = space.build(space.parse(ENCODING), image_shape=(1, 8, 8), num_classes=10, seed=1)
        return train(network, replace(curriculum, inner_optimizer=optimizer)), network.state_dict()

    (losses, weights), (plain_losses, plain_weights) = trained(train_graphed), trained(train_on_curriculum)
    assert torch.equal(losses, plain_losses)
    assert all(torch.equal(weights[name], plain_weights[name]) for name in plain_weights)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recorded_step_learns_what_the_plain_one_does(
    curriculum: SyntheticCurriculum, space: SearchSpace
) -> None:
    def losses(train: Callable[..., torch.Tensor]) -> torch.Tensor:
        network = space.build(space.parse(ENCODING), image_shape=(1, 8, 8), num_classes=10, seed=1)
        return train(network.cuda(), curriculum.to("cuda"))

    torch.testing.assert_close(losses(train_graphed), losses(train_on_curriculum), rtol=1e-3, atol=1e-3)
