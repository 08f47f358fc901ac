import math
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from gtn_core import (
    CheckpointError,
    ConvNetSampler,
    DatasetError,
    DatasetSplits,
    FrozenCheckpoint,
    LearnedCurriculum,
    MetaStepReport,
    MetaTrainingConfig,
    MetaTrainingDiverged,
    Rank,
    RankingReference,
    Split,
    meta_train,
)
from gtn_core.config import CurriculumKind
from gtn_core.divergence import require_finite
from gtn_core.errors import DeviceError
from gtn_core.memory import SAMPLED_LEARNERS
from gtn_core.meta_training_state import MetaTrainingState


class Stopped(Exception):  # noqa: N818 - what a caller raises to stop a run
    pass


def stop_at(step: int) -> Callable[[MetaStepReport], None]:
    def on_step(report: MetaStepReport) -> None:
        if report.step == step:
            raise Stopped

    return on_step


def changed(config: MetaTrainingConfig, **changes: Any) -> MetaTrainingConfig:
    return MetaTrainingConfig.model_validate(config.model_dump() | changes)


def test_reports_come_in_order_with_validation_where_asked(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    reports: list[MetaStepReport] = []
    checkpoint = meta_train(digits, tiny_config, on_step=reports.append)
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    assert {report.total for report in reports} == {6}
    assert [report.step for report in reports if report.validation_accuracy is not None] == [4]
    assert all(report.gradient_norm > 0 and report.loss > 0 for report in reports)
    assert 0 <= checkpoint.manifest.metrics["validation_accuracy"] <= 1
    assert checkpoint.manifest.learner == "pooled convnet, 3 channels, 8 hidden units"


def test_what_is_reported_is_measured_on_validation_data(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    """Of two images each of four learners gets none, one or both right: the mean is a number of eighths."""
    two = replace(digits, validation=Split(digits.validation.images[:2], digits.validation.labels[:2]))
    reports: list[MetaStepReport] = []
    checkpoint = meta_train(two, changed(tiny_config, meta_steps=4), on_step=reports.append)
    for accuracy in (reports[-1].validation_accuracy, checkpoint.manifest.metrics["validation_accuracy"]):
        assert accuracy is not None
        assert (8 * accuracy).is_integer()


def test_meta_training_teaches(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> None:
    config = changed(
        tiny_config,
        batch_size=20,
        latent_size=16,
        generator_hidden=64,
        generator_channels=(16, 8),
        learner_channels=(8,),
        learner_hidden=32,
        outer_batch_size=100,
    )
    untaught, taught = (
        meta_train(digits, changed(config, meta_steps=steps)).manifest.metrics["validation_accuracy"]
        for steps in (1, 60)
    )
    assert untaught < 0.25
    assert taught > 0.45  # three steps on twenty images each


@pytest.mark.parametrize("kind", get_args(CurriculumKind))
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_seed_decides_everything(
    kind: str, optimizer: str, digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = changed(
        tiny_config, curriculum=kind, inner_optimizer=optimizer, learners_per_meta_step=2, meta_steps=2
    )
    before = torch.random.get_rng_state()
    first = meta_train(digits, config, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator has moved"
    torch.manual_seed(123)
    assert meta_train(digits, config, seed=1).id == first.id
    assert meta_train(digits, config, seed=2).id != first.id


@pytest.mark.parametrize("stop", [1, 4, 5, 6])
def test_a_resumed_run_ends_in_the_same_checkpoint(
    stop: int, digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    whole = meta_train(digits, tiny_config, seed=5)
    state_path = tmp_path / "run" / "state.pt"
    with pytest.raises(Stopped):
        meta_train(digits, tiny_config, seed=5, state_path=state_path, on_step=stop_at(stop))
    steps: list[int] = []
    resumed = meta_train(
        digits, tiny_config, seed=5, state_path=state_path, on_step=lambda report: steps.append(report.step)
    )
    assert steps == list(range(stop + 1, 7))
    assert resumed.id == whole.id


def test_a_run_whose_learners_draw_in_forward_is_resumed_too(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    config = changed(tiny_config, ranking_weight=1.0, ranking_learners=2, meta_steps=3)

    def sampler(**shape: Any) -> nn.Module:
        return nn.Sequential(ConvNetSampler(config)(**shape), nn.Dropout(0.5))

    def run(**options: Any) -> FrozenCheckpoint:
        reference = RankingReference("two", (0.0, 1.0), lambda index, **shape: sampler(**shape))
        return meta_train(
            digits, config, seed=5, learner_sampler=sampler, ranking_reference=reference, **options
        )

    before = torch.random.get_rng_state()
    whole = run()
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator has moved"
    with pytest.raises(Stopped):
        run(state_path=tmp_path / "state", on_step=stop_at(2))
    torch.manual_seed(123)
    assert run(state_path=tmp_path / "state").id == whole.id


def test_a_running_mean_is_resumed_too(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    config = changed(tiny_config, average_decay=0.7)
    whole = meta_train(digits, config, seed=5)
    with pytest.raises(Stopped):
        meta_train(digits, config, seed=5, state_path=tmp_path / "state", on_step=stop_at(3))
    assert meta_train(digits, config, seed=5, state_path=tmp_path / "state").id == whole.id


def test_what_is_frozen_is_the_running_mean_where_one_is_wanted(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    path, states = tmp_path / "state", []

    def keep(_report: MetaStepReport | None = None) -> None:
        if path.exists():
            states.append(torch.load(path, weights_only=True)["curriculum"])

    config = changed(tiny_config, average_decay=0.7, save_every=1)
    frozen = load_tensors(meta_train(digits, config, state_path=path, on_step=keep).content)
    keep()
    assert len(states) == 6
    expected = states[0]
    for state in states[1:]:
        expected = {name: 0.7 * expected[name] + 0.3 * tensor for name, tensor in state.items()}
    torch.testing.assert_close(frozen, expected)
    last = load_tensors(meta_train(digits, changed(config, average_decay=0)).content)
    torch.testing.assert_close(last, states[-1])
    assert not torch.allclose(frozen["latents"], last["latents"])


def test_a_run_that_was_killed_resumes_from_its_last_save(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    state_path = tmp_path / "state.pt"
    saved: dict[int, bytes] = {}

    def keep(report: MetaStepReport) -> None:
        if state_path.exists():
            saved[report.step] = state_path.read_bytes()

    whole = meta_train(digits, tiny_config, seed=5, state_path=state_path, on_step=keep)
    assert sorted(saved) == [3, 4, 5, 6]  # saved after steps 2 and 4, seen at the next report
    state_path.write_bytes(saved[3])
    steps: list[int] = []
    resumed = meta_train(
        digits, tiny_config, seed=5, state_path=state_path, on_step=lambda report: steps.append(report.step)
    )
    assert steps == [3, 4, 5, 6]
    assert resumed.id == whole.id


def test_a_process_that_was_suspended_leaves_the_state_of_its_successor(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    state_path = tmp_path / "state.pt"

    def go_on_after_the_successor(_report: MetaStepReport) -> None:
        with pytest.raises(Stopped):
            meta_train(digits, tiny_config, seed=5, state_path=state_path, on_step=stop_at(5))
        raise Stopped

    with pytest.raises(Stopped):
        meta_train(digits, tiny_config, seed=5, state_path=state_path, on_step=go_on_after_the_successor)
    steps: list[int] = []
    meta_train(
        digits, tiny_config, seed=5, state_path=state_path, on_step=lambda report: steps.append(report.step)
    )
    assert steps == [6]


def test_a_state_of_another_run_is_refused_by_what_differs(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    state_path = tmp_path / "state.pt"
    meta_train(digits, tiny_config, seed=5, state_path=state_path)
    with pytest.raises(CheckpointError, match=r"another run .*seed 5 there and 6 here"):
        meta_train(digits, tiny_config, seed=6, state_path=state_path)
    with pytest.raises(CheckpointError, match=r"config\.meta_steps 6 there and 8 here"):
        meta_train(digits, changed(tiny_config, meta_steps=8), seed=5, state_path=state_path)
    with pytest.raises(CheckpointError, match="fingerprint"):
        meta_train(replace(digits, fingerprint="other"), tiny_config, seed=5, state_path=state_path)


def test_a_state_from_before_a_field_existed_is_resumed_where_the_field_is_at_its_default(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    state_path = tmp_path / "state.pt"
    whole = meta_train(digits, tiny_config, seed=5, state_path=state_path)
    saved = torch.load(state_path, weights_only=True)
    del saved["identity"]["config.trajectory_steps"], saved["identity"]["ranking reference"]
    assert digits.earlier_fingerprint is not None
    saved["identity"]["dataset fingerprint"] = digits.earlier_fingerprint
    torch.save(saved, state_path)
    assert meta_train(digits, tiny_config, seed=5, state_path=state_path).id == whole.id
    torch.save(saved, state_path)
    default = MetaTrainingConfig.model_fields["trajectory_steps"].default
    with pytest.raises(
        CheckpointError, match=rf"config\.trajectory_steps {default} there and {default + 1} here"
    ):
        meta_train(digits, changed(tiny_config, trajectory_steps=default + 1), seed=5, state_path=state_path)


@pytest.mark.parametrize("content", [b"", b"not a state", None], ids=["empty", "text", "truncated"])
def test_a_corrupt_state_is_refused(
    content: bytes | None, digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    state_path = tmp_path / "state.pt"
    meta_train(digits, tiny_config, state_path=state_path)
    state_path.write_bytes(state_path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(CheckpointError, match=r"cannot resume from .*state\.pt: .*delete it"):
        meta_train(digits, tiny_config, state_path=state_path)


def test_test_data_are_never_touched(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> None:
    poisoned = replace(digits, test=Split(digits.test.images * torch.nan, digits.test.labels * 0))
    assert meta_train(poisoned, tiny_config).id == meta_train(digits, tiny_config).id


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {"class_names": ("caf\udce9", *"123456789")},
            {},
            r"could not be frozen: .* encode character '\\udce9'",
        ),
        (
            {},
            {"config": {"generator_hidden": 8192, "latent_size": 4096, "generator_channels": (3072, 16)}},
            r"have about 5\d{8} bytes, and one has at most 536870912; lower the image size \(1x8x8\), "
            r"generator_channels \[3072, 16\], inner_steps \(3\) or batch_size \(10\)",
        ),
    ],
)
def test_what_could_not_be_frozen_is_not_trained(
    change: dict[str, Any],
    options: dict[str, Any],
    message: str,
    digits: DatasetSplits,
    tiny_config: MetaTrainingConfig,
) -> None:
    def unreached(*_: Any, **__: Any) -> nn.Module:
        raise AssertionError("a learner was made")

    config = changed(tiny_config, **options.pop("config", {}))
    with pytest.raises(CheckpointError, match=message):
        meta_train(replace(digits, **change), config, learner_sampler=unreached, **options)


def test_a_curriculum_has_an_image_of_every_class(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    small = changed(tiny_config, inner_steps=3, batch_size=3, meta_steps=1)
    with pytest.raises(DatasetError, match=r"inner_steps \(3\) times batch_size \(3\) are 9 .* 10 classes"):
        meta_train(digits, small)
    meta_train(digits, changed(small, labels="soft"))
    meta_train(digits, changed(small, batch_size=4))


def test_what_can_just_be_frozen_is_trained(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(tiny_config, meta_steps=1)
    size = len(meta_train(digits, config).content)
    monkeypatch.setattr("gtn_core.checkpoint.MAX_BYTES", size + 2**16)
    assert len(meta_train(digits, config).content) == size
    monkeypatch.setattr("gtn_core.checkpoint.MAX_BYTES", size)
    with pytest.raises(CheckpointError, match=rf"one has at most {size}"):
        meta_train(digits, config)


def test_class_names_that_fill_no_manifest_are_not_trained(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    named = replace(digits, class_names=tuple(100_000 * str(digit) for digit in range(10)))
    with pytest.raises(CheckpointError, match="at most 1048576; shorten the names of the 10 classes"):
        meta_train(named, tiny_config)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seed": -1}, ValueError, r"the seed is -1; give one of at least 0 and below 2\*\*64"),
        ({"seed": 2**64}, ValueError, "the seed is 18446744073709551616; give"),
        ({"state_path": "."}, CheckpointError, r"kept in one file, and \. is a folder; name a file in it"),
        (
            {"learner_sampler": lambda **_: nn.Sequential(nn.Flatten(), nn.Linear(64, 7))},
            ValueError,
            r"Sequential, maps 2 images to \[2, 7\]; expected \[2, 10\], a logit for each class",
        ),
        (
            {"learner_sampler": lambda **_: nn.Sequential(nn.Flatten(), nn.LSTM(64, 10))},
            ValueError,
            "maps 2 images to tuple; expected",
        ),
    ],
    ids=["seed", "large seed", "folder", "other classes", "no tensor"],
)
def test_what_no_run_could_use_is_refused(
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    digits: DatasetSplits,
    tiny_config: MetaTrainingConfig,
) -> None:
    with pytest.raises(error, match=message):
        meta_train(digits, tiny_config, **options)


def test_another_default_type_is_refused(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> None:
    try:
        torch.set_default_dtype(torch.float64)
        with pytest.raises(ValueError, match=r"default type is torch\.float64, and checkpoints are float32"):
            meta_train(digits, tiny_config)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_cuda_device_that_is_not_there(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> None:
    with pytest.raises(
        DeviceError, match=r'device "cuda:1" needs a GPU and a PyTorch that finds it; use "cpu"'
    ):
        meta_train(digits, tiny_config, device="cuda:1")


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_no_gradients_are_kept_it_trains_all_the_same(
    mode: Callable[[], AbstractContextManager[None]],
    digits: DatasetSplits,
    tiny_config: MetaTrainingConfig,
    tmp_path: Path,
) -> None:
    """And a path may be text."""
    config = changed(tiny_config, meta_steps=2)
    with mode():
        found = meta_train(digits, config, state_path=str(tmp_path / "state.pt"))
    assert found.id == meta_train(digits, config).id
    assert (tmp_path / "state.pt").exists()


def test_each_rank_needs_a_learner(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> None:
    with pytest.raises(ValueError, match=r"2 ranks cannot share learners_per_meta_step \(1\)"):
        meta_train(digits, tiny_config, rank=Rank(1, 2))


def test_ranks_go_on_from_what_the_first_one_fitted(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Tensor]] = []
    told: list[Tensor] = []

    def unequal_fit(curriculum: LearnedCurriculum, *_: Any, **__: Any) -> None:
        with torch.no_grad():
            for parameter in curriculum.parameters():
                parameter.add_(len(started))

    def first_meta_step(state: MetaTrainingState, *_: Any, **__: Any) -> None:
        started.append(state.curriculum.state_dict())
        raise Stopped

    monkeypatch.setattr("gtn_core.meta_training.start_from_real_images", unequal_fit)
    monkeypatch.setattr("gtn_core.meta_training.meta_step", first_meta_step)
    config = changed(tiny_config, first_images="real", learners_per_meta_step=2)
    for rank in (
        Rank(0, 2, lambda tensor: told.append(tensor.clone())),
        Rank(1, 2, lambda tensor: tensor.add_(told.pop(0))),
    ):
        with pytest.raises(Stopped):
            meta_train(digits, config, rank=rank)
    torch.testing.assert_close(started[1], started[0], rtol=0, atol=0)


class Exploding(nn.Module):
    """A learner whose logits are not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(64, 10))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight * torch.inf


def test_divergence_names_step_learner_and_remedy_and_keeps_the_last_good_state(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    steps = -SAMPLED_LEARNERS  # those that the memory estimate looks at

    def exploding_later(*, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Module:
        nonlocal steps
        steps += 1
        if steps > 3:
            return Exploding()
        return ConvNetSampler(tiny_config)(image_shape=image_shape, num_classes=num_classes, seed=seed)

    state_path = tmp_path / "state.pt"
    config = changed(tiny_config, validate_every=0)
    norms: list[float] = []
    with pytest.raises(
        MetaTrainingDiverged, match=r"meta step 4: .* nan .*lower outer_learning_rate"
    ) as caught:
        meta_train(
            digits,
            config,
            learner_sampler=exploding_later,
            state_path=state_path,
            on_step=lambda report: norms.append(report.gradient_norm),
        )
    assert caught.value.meta_step == 4
    assert "exploding_later (seed " in caught.value.learner
    assert caught.value.value != caught.value.value
    assert caught.value.last_norm == norms[-1]
    assert f"norm {norms[-1]:.3g} one step before" in str(caught.value)
    left = caught.value.checkpoint
    assert left is not None
    assert left.id[:16] in str(caught.value)
    assert left.manifest.metrics["diverged_at_meta_step"] == 4
    assert torch.isfinite(left.synthesize().images).all()
    told = pickle.loads(pickle.dumps(caught.value))  # as it comes back from another process
    assert (told.checkpoint.id, str(told)) == (left.id, str(caught.value))

    steps = -100
    resumed: list[int] = []
    checkpoint = meta_train(
        digits,
        config,
        learner_sampler=exploding_later,
        state_path=state_path,
        on_step=lambda report: resumed.append(report.step),
    )
    assert resumed[0] == 3, "the last save was after step 2"
    assert all(torch.isfinite(tensor).all() for tensor in (checkpoint.synthesize().images,))


def test_what_to_lower_when_a_run_diverges_is_what_the_run_uses(tiny_config: MetaTrainingConfig) -> None:
    with pytest.raises(MetaTrainingDiverged, match=r"lower .*, clip_factor \(0\.9\) or") as caught:
        require_finite(math.nan, "loss", "a learner", 0, tiny_config)
    assert (caught.value.checkpoint, caught.value.last_norm) == (None, None)
    unclipped = changed(tiny_config, gradient_clipping=False)
    with pytest.raises(MetaTrainingDiverged, match="turn gradient_clipping on, or lower outer_learning_rate"):
        require_finite(math.nan, "loss", "a learner", 0, unclipped)


class Cornered(nn.Module):
    """A learner whose loss is finite and whose derivative in the images is not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(64, 10))

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return flat @ self.weight + (0 * flat[:, :10]).abs().sqrt()


def test_a_gradient_that_is_not_finite_is_laid_to_the_learner_that_made_it(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = changed(tiny_config, learners_per_meta_step=3)
    seeds: list[int] = []

    def second_is_cornered(*, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Module:
        seeds.append(seed)
        if len(seeds) == SAMPLED_LEARNERS + 2:
            return Cornered()
        return ConvNetSampler(config)(image_shape=image_shape, num_classes=num_classes, seed=seed)

    with pytest.raises(MetaTrainingDiverged, match=r"norm of the meta-gradient .* is nan") as caught:
        meta_train(digits, config, learner_sampler=second_is_cornered)
    assert caught.value.learner.endswith(f"second_is_cornered (seed {seeds[SAMPLED_LEARNERS + 1]})")
    assert len(seeds) == SAMPLED_LEARNERS + 2, "the third learner was not begun"

    told = pickle.loads(pickle.dumps(caught.value))  # as it comes back from another process
    assert (told.meta_step, told.learner, str(told)) == (1, caught.value.learner, str(caught.value))
