"""Memory is estimated before a meta step starts: close to what is then taken, and held to a limit."""

import gc
import json
import subprocess
import sys
import weakref
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    MetaStepReport,
    MetaTrainingConfig,
    RankingReference,
    meta_train,
)
from gtn_core.config import MetaGradientForm
from gtn_core.errors import MemoryLimitError
from gtn_core.learners import ImageShape
from gtn_core.memory import SAMPLED_LEARNERS, MemoryEstimate, estimate_memory, require_memory, suitable_form

SHAPE, CLASSES = (1, 28, 28), 10
CONFIG = MetaTrainingConfig(inner_steps=12, batch_size=64, learner_channels=(16, 32), outer_loss_every=6)

PEAK = """
import ctypes, json, sys
from pathlib import Path
import torch
from gtn_core import ConvNetSampler, MetaTrainingConfig, Split
from gtn_core.curriculum import LearnedCurriculum
from gtn_core.meta_step import meta_step
from gtn_core.meta_training_state import MetaTrainingState

torch.set_num_threads(1)
form, config = sys.argv[1], MetaTrainingConfig.model_validate_json(sys.argv[2])
real = Split(torch.randn(500, 1, 28, 28), torch.arange(500) % 10)

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

def step(config):
    curriculum = LearnedCurriculum(config, image_shape=(1, 28, 28), num_classes=10)
    state = MetaTrainingState(curriculum, torch.optim.Adam(curriculum.parameters()))
    meta_step(state, real, ConvNetSampler(config), config, seed=0, form=form)

step(config.model_copy(update={"inner_steps": 1}))
ctypes.CDLL("libc.so.6").malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
step(config)
print(json.dumps(status("VmHWM") - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak from /proc")
@pytest.mark.parametrize("form", ["graph", "recompute", "hessian_vector"])
def test_the_estimate_is_within_a_factor_of_two_of_the_measured_peak(form: MetaGradientForm) -> None:
    command = [sys.executable, "-c", PEAK, form, CONFIG.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = json.loads(done.stdout)
    estimate = estimate_memory(CONFIG, ConvNetSampler(CONFIG), SHAPE, CLASSES, form)
    assert 0.5 < estimate.total / peak < 2


def test_states_alone_grow_with_the_steps_of_a_recomputed_unroll() -> None:
    def estimate(steps: int) -> tuple[int, int, int]:
        config = CONFIG.model_copy(update={"inner_steps": steps})
        found = estimate_memory(config, ConvNetSampler(config), SHAPE, CLASSES, "recompute")
        return found.activations, found.real, found.states

    short, long = estimate(10), estimate(100)
    assert long[:2] == short[:2]
    assert long[2] == pytest.approx(10 * short[2], rel=0.2)


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
def test_a_window_alone_is_held_of_all_steps(form: MetaGradientForm) -> None:
    """The generator's graph covers the windows of all learners."""

    def estimate(**options: int) -> MemoryEstimate:
        config = CONFIG.model_copy(update={"real_steps": 2, **options})
        return estimate_memory(config, ConvNetSampler(config), SHAPE, CLASSES, form)

    window, short, whole = estimate(window=3), estimate(inner_steps=3), estimate()
    held = [(each.generator, each.states, each.activations, each.real) for each in (window, short)]
    assert held[0] == held[1]
    assert window.images == whole.images
    assert estimate(window=3, learners_per_meta_step=2).generator == whole.generator


def test_auto_keeps_a_small_graph_and_recomputes_a_large_one() -> None:
    def form(**options: object) -> MetaGradientForm:
        config = MetaTrainingConfig.model_validate(CONFIG.model_dump() | options)
        return suitable_form(config, ConvNetSampler(config), SHAPE, CLASSES)[0]

    assert form(inner_steps=4) == "graph"
    assert form(inner_steps=64) == "recompute"
    assert form(inner_steps=4, recompute_block=2) == "recompute"
    assert form(inner_steps=64, meta_gradient="graph") == "graph"


def test_what_cannot_fit_is_refused_with_the_estimate_before_the_first_step(
    digits: DatasetSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = MetaTrainingConfig(inner_steps=512, batch_size=512, meta_gradient="graph")
    monkeypatch.setattr("gtn_core.memory.available_bytes", lambda device: 2**30)
    reports: list[MetaStepReport] = []
    with pytest.raises(
        MemoryLimitError,
        match=r'needs about \d+\.\d GiB .* cpu has 1\.0 GiB .* "recompute" .* batch_size \(512\)',
    ):
        meta_train(digits, config, on_step=reports.append)
    assert not reports


def test_what_fits_or_cannot_be_known_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    estimate = estimate_memory(CONFIG, ConvNetSampler(CONFIG), SHAPE, CLASSES, "graph")
    for room in (estimate.total, None):
        monkeypatch.setattr("gtn_core.memory.available_bytes", lambda device, room=room: room)
        require_memory(estimate, CONFIG, "cpu")
    monkeypatch.setattr("gtn_core.memory.available_bytes", lambda device: estimate.total - 1)
    with pytest.raises(MemoryLimitError):
        require_memory(estimate, CONFIG, "cpu")


def test_estimating_computes_few_images_and_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    class Watched(nn.Module):
        def __init__(self, learner: nn.Module) -> None:
            super().__init__()
            self.learner = learner

        def forward(self, images: Tensor) -> Tensor:
            batches.append(len(images))
            logits: Tensor = self.learner(images)
            return logits

    def sampler(**shape: Any) -> nn.Module:
        return Watched(ConvNetSampler(CONFIG)(**shape))

    few = estimate_memory(CONFIG, sampler, SHAPE, CLASSES, "graph")
    assert max(batches) == 32
    monkeypatch.setattr("gtn_core.memory.COUNTED_IMAGES", CONFIG.outer_batch_size)
    assert estimate_memory(CONFIG, sampler, SHAPE, CLASSES, "graph") == few
    assert max(batches) == CONFIG.outer_batch_size == 256


def test_estimating_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    estimate_memory(CONFIG, ConvNetSampler(CONFIG), SHAPE, CLASSES, "graph")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_estimating_holds_one_learner_at_a_time() -> None:
    made: list[weakref.ref[nn.Module]] = []

    def sampler(**shape: Any) -> nn.Module:
        gc.collect()
        assert not any(each() for each in made)
        learner = ConvNetSampler(CONFIG)(**shape)
        made.append(weakref.ref(learner))
        return learner

    estimate_memory(CONFIG, sampler, SHAPE, CLASSES, "graph")
    assert len(made) == SAMPLED_LEARNERS


def test_estimating_keeps_nothing() -> None:
    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    before = tensors()
    estimate_memory(CONFIG, ConvNetSampler(CONFIG), SHAPE, CLASSES, "graph")
    assert tensors() == before


def test_learners_of_a_reference_and_real_steps_count() -> None:
    large = CONFIG.model_copy(update={"learner_channels": (64, 128)})

    def build(index: int, *, image_shape: ImageShape, num_classes: int, seed: int) -> nn.Module:
        config = large if index == 7 else CONFIG
        return ConvNetSampler(config)(image_shape=image_shape, num_classes=num_classes, seed=seed)

    reference = RankingReference("one large", tuple(map(float, range(8))), build)
    sampler = ConvNetSampler(CONFIG)
    plain = estimate_memory(CONFIG, sampler, SHAPE, CLASSES, "recompute")
    ranked = estimate_memory(CONFIG, sampler, SHAPE, CLASSES, "recompute", reference=reference)
    assert ranked == estimate_memory(large, ConvNetSampler(large), SHAPE, CLASSES, "recompute")
    assert ranked.total > plain.total
    longer = CONFIG.model_copy(update={"real_steps": CONFIG.inner_steps})
    assert estimate_memory(longer, sampler, SHAPE, CLASSES, "recompute").states >= 2 * plain.states
