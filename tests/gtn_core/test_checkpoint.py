import json
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gtn_core import CheckpointError, DatasetSplits, FrozenCheckpoint, LearnedCurriculum, MetaTrainingConfig
from gtn_core.checkpoint import freeze, repack
from gtn_core.config import CurriculumKind
from gtn_core.randomness import torch_generator

DIGEST = """
import hashlib, sys, torch
from gtn_core import FrozenCheckpoint

torch.set_num_threads(int(sys.argv[1]))
for path in sys.argv[2:]:
    checkpoint = FrozenCheckpoint.load(path)
    c = checkpoint.synthesize()
    content = b"".join(t.numpy().tobytes() for t in (c.images, c.labels, c.learning_rates, c.momenta))
    print(checkpoint.id, hashlib.sha256(content).hexdigest())
"""


@pytest.fixture
def make(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> Callable[..., FrozenCheckpoint]:
    def make(**options: object) -> FrozenCheckpoint:
        config = MetaTrainingConfig.model_validate({**tiny_config.model_dump(), **options})
        torch.manual_seed(0)
        curriculum = LearnedCurriculum(config, image_shape=digits.image_shape, num_classes=digits.num_classes)
        return freeze(
            curriculum, digits, config=config, seed=3, learner="a convnet", metrics={"accuracy": 0.5}
        )

    return make


def edited(
    checkpoint: FrozenCheckpoint,
    *,
    manifest: dict[str, object] | None = None,
    tensors: Callable[[dict[str, Tensor]], object] = lambda tensors: None,
) -> bytes:
    """The file's content with parts of the manifest replaced and the tensors changed in place."""
    found = load_tensors(checkpoint.to_bytes())
    tensors(found)
    text = json.loads(checkpoint.manifest.model_dump_json()) | (manifest or {})
    return save_tensors(found, metadata={"gtn": json.dumps(text)})


def rates(tensors: dict[str, Tensor]) -> Tensor:
    return tensors["schedule.log_learning_rates"]


def direction(tensors: dict[str, Tensor]) -> Tensor:
    return tensors["generator.convolutions.1.parametrizations.weight.original1"]


def test_a_saved_checkpoint_is_the_same_checkpoint(
    make: Callable[..., FrozenCheckpoint], tmp_path: Path, digits: DatasetSplits
) -> None:
    checkpoint = make()
    checkpoint.save(tmp_path / "new folder" / "digits.gtn")
    loaded = FrozenCheckpoint.load(tmp_path / "new folder" / "digits.gtn")
    assert loaded.id == checkpoint.id == FrozenCheckpoint.from_bytes(checkpoint.to_bytes()).id
    assert len(loaded.id) == 64
    assert loaded.manifest == checkpoint.manifest
    assert loaded.manifest.dataset_fingerprint == digits.fingerprint
    assert loaded.manifest.normalization == digits.normalization
    assert list((tmp_path / "new folder").iterdir()) == [tmp_path / "new folder" / "digits.gtn"]


def test_equal_contents_have_equal_ids_and_others_do_not(make: Callable[..., FrozenCheckpoint]) -> None:
    assert make().id == make().id
    assert make().id != make(initial_momentum=0.4).id


def test_fresh_processes_synthesize_the_same_bits_with_any_number_of_threads(
    make: Callable[..., FrozenCheckpoint], tmp_path: Path
) -> None:
    kinds = get_args(CurriculumKind)
    for kind in kinds:
        make(curriculum=kind).save(tmp_path / kind)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", DIGEST, threads, *(str(tmp_path / kind) for kind in kinds)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "3")
    ]
    assert outputs[0] == outputs[1]
    assert [line.split()[0] for line in outputs[0].splitlines()] == [
        make(curriculum=kind).id for kind in kinds
    ]


@pytest.mark.parametrize("kind", get_args(CurriculumKind))
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_is_synthesized_is_what_was_learned(
    kind: str, optimizer: str, make: Callable[..., FrozenCheckpoint], digits: DatasetSplits
) -> None:
    checkpoint = make(curriculum=kind, inner_optimizer=optimizer)
    synthetic = checkpoint.synthesize()
    assert synthetic.inner_optimizer == optimizer
    assert {tensor.dtype for tensor in (synthetic.images, synthetic.labels, synthetic.momenta)} == {
        torch.float32
    }
    assert synthetic.images.shape == (3, 10, 1, 8, 8)
    torch.manual_seed(0)
    learned = LearnedCurriculum(checkpoint.manifest.config, image_shape=(1, 8, 8), num_classes=10)
    noise = torch_generator(checkpoint.manifest.seed, "frozen noise")  # of those without latents
    expected = learned.double()(noise, shuffle=False)
    torch.testing.assert_close(synthetic.images, expected.images.detach().float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(synthetic.labels, expected.labels.float())


def test_the_schedule_is_that_of_the_curriculum(make: Callable[..., FrozenCheckpoint]) -> None:
    """Read without PyTorch and without an image."""
    checkpoint = make(initial_learning_rate=0.07, initial_momentum=0.8)
    learning_rates, momenta = checkpoint.schedule()
    curriculum = checkpoint.synthesize()
    torch.testing.assert_close(torch.tensor(learning_rates), curriculum.learning_rates)
    torch.testing.assert_close(torch.tensor(momenta), curriculum.momenta)


def test_a_momentum_of_zero_is_one_that_can_be_read(make: Callable[..., FrozenCheckpoint]) -> None:
    content = edited(make(), tensors=lambda tensors: tensors["schedule.momentum_logits"].fill_(-2000))
    checkpoint = FrozenCheckpoint.from_bytes(content)
    assert checkpoint.schedule()[1] == checkpoint.synthesize().momenta.tolist() == [0, 0, 0]


def test_half_precision_halves_the_file_and_teaches_almost_alike(
    make: Callable[..., FrozenCheckpoint],
) -> None:
    whole = make(latent_size=64, generator_hidden=64)
    half = repack(whole, storage="float16", learning_curves={"gtn": (0.5, 0.7, 0.75)})
    assert len(half.to_bytes()) < 0.6 * len(whole.to_bytes())
    assert half.id != whole.id
    loaded = FrozenCheckpoint.from_bytes(half.to_bytes())
    assert loaded.manifest.storage == "float16"
    assert loaded.manifest.learning_curves == {"gtn": (0.5, 0.7, 0.75)}
    before, after = whole.synthesize(), loaded.synthesize()
    assert after.images.dtype == after.learning_rates.dtype == torch.float32
    assert torch.equal(after.labels, before.labels)
    torch.testing.assert_close(after.images, before.images, rtol=0, atol=0.02)
    assert repack(loaded, storage="float32").synthesize().images.equal(after.images)


def test_weights_that_half_precision_cannot_hold_are_refused(make: Callable[..., FrozenCheckpoint]) -> None:
    huge = FrozenCheckpoint.from_bytes(edited(make(), tensors=lambda tensors: tensors["latents"].fill_(1e6)))
    with pytest.raises(CheckpointError, match="latents holds numbers that are not finite"):
        repack(huge, storage="float16")


def test_a_storage_type_that_is_not_the_files_is_refused(make: Callable[..., FrozenCheckpoint]) -> None:
    with pytest.raises(CheckpointError, match=r"is float32 .* the manifest says float16"):
        FrozenCheckpoint.from_bytes(edited(make(), manifest={"storage": "float16"}))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read checkpoint .*absent\.gtn: No such file"):
        FrozenCheckpoint.load(tmp_path / "absent.gtn")


def test_a_truncated_file_is_refused(make: Callable[..., FrozenCheckpoint], tmp_path: Path) -> None:
    content = make().to_bytes()
    for length in (0, 4, 200, len(content) // 2, len(content) - 1):
        (tmp_path / "part.gtn").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"part\.gtn: not a whole safetensors file"):
            FrozenCheckpoint.load(tmp_path / "part.gtn")


def test_other_weights_are_refused() -> None:
    with pytest.raises(CheckpointError, match="without a GTN manifest"):
        FrozenCheckpoint.from_bytes(save_tensors({"weight": torch.zeros(2)}))


def test_of_thousands_of_bad_entries_a_few_are_told(make: Callable[..., FrozenCheckpoint]) -> None:
    metrics = {str(number): "none" for number in range(5000)}
    with pytest.raises(CheckpointError, match=r"metrics\.0\n") as caught:
        FrozenCheckpoint.from_bytes(edited(make(), manifest={"metrics": metrics}))
    assert len(str(caught.value)) < 3000


def test_a_checkpoint_from_before_a_rule_of_its_configuration_is_read(
    make: Callable[..., FrozenCheckpoint],
) -> None:
    checkpoint = make()
    config = json.loads(checkpoint.manifest.config.model_dump_json())
    longer = {"config": config | {"warmup_meta_steps": config["meta_steps"] + 1}}
    earlier = FrozenCheckpoint.from_bytes(edited(checkpoint, manifest=longer))
    assert torch.equal(earlier.synthesize().images, checkpoint.synthesize().images)


def test_metadata_that_are_null_are_none() -> None:
    header = b'{"__metadata__": null}'
    with pytest.raises(CheckpointError, match="without a GTN manifest"):
        FrozenCheckpoint.from_bytes(struct.pack("<Q", len(header)) + header)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"format_version": 2}, "checkpoint format 2; this version reads format 1"),
        ({"seed": "many"}, "manifest does not hold"),
        ({"image_shape": [1, 8]}, "manifest does not hold"),
        ({"image_shape": [1, 0, 8]}, "manifest does not hold"),
        ({"surprise": 1}, "surprise"),
        ({"num_classes": 7}, "7 classes have 10 names"),
        ({"image_shape": [1, 60000, 60000]}, "the manifest says"),
        ({"seed": -1}, "seed\n.*greater than or equal to 0"),
        ({"split_seed": 2**64}, "split_seed\n.*less than"),
        ({"learner": "x" * 2**20}, r"the manifest has 10\d{5} characters; one has at most 1048576"),
        ({"metrics": {str(number): 0 for number in range(1001)}}, "metrics\n.*at most 1000"),
        ({"learning_curves": {"gtn": []}}, "'gtn' has 0 values for 3 inner steps"),
        ({"learning_curves": {"noise": [0.5] * 3000}}, "'noise' has 3000 values for 3 inner steps"),
        (
            {"learning_curves": {"gtn": [0.5, 0.6, 1.5]}},
            r"learning_curves\.gtn\.2\n.*less than or equal to 1",
        ),
        ({"learning_curves": {"mine": [0.5] * 3}}, "'gtn', 'real' or 'noise'"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused(
    manifest: dict[str, object], message: str, make: Callable[..., FrozenCheckpoint]
) -> None:
    with pytest.raises(CheckpointError, match=message):
        FrozenCheckpoint.from_bytes(edited(make(), manifest=manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors["latents"].fill_(torch.nan), "latents holds numbers that are not finite"),
        (lambda tensors: tensors["latents"].view(-1)[5].fill_(torch.inf), "not finite"),
        (lambda tensors: tensors.pop("latents"), "do not match the manifest: latents"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "do not match the manifest: extra"),
        (
            lambda tensors: tensors.update(labels=torch.zeros(3, 10, 9)),
            r"labels is float32 \(3, 10, 9\)",
        ),
        (lambda tensors: tensors.update(latents=tensors["latents"].double()), "latents is float64"),
        (lambda tensors: tensors["labels"].fill_(-3), "labels is not one-hot"),
        (lambda tensors: tensors["labels"][0, 0].fill_(1), "labels is not one-hot"),
        (lambda tensors: tensors["labels"].mul_(2), "labels is not one-hot"),
        (lambda tensors: rates(tensors)[1].fill_(-2000), "gives rates from 0 to 0.3; each must be positive"),
        (lambda tensors: rates(tensors)[1].fill_(2000), "gives rates from 0.3 to inf; each must be positive"),
        (lambda tensors: direction(tensors)[2].fill_(0), r"convolutions\.1\..* has a row of zeros"),
    ],
)
def test_tensors_that_do_not_hold_are_refused(
    change: Callable[[dict[str, Tensor]], object], message: str, make: Callable[..., FrozenCheckpoint]
) -> None:
    with pytest.raises(CheckpointError, match=message):
        FrozenCheckpoint.from_bytes(edited(make(), tensors=change))


def test_a_file_larger_than_any_checkpoint_is_not_read(
    make: Callable[..., FrozenCheckpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make().save(tmp_path / "c.gtn")
    monkeypatch.setattr("gtn_core.checkpoint.MAX_BYTES", 1000)
    with pytest.raises(CheckpointError, match="a checkpoint has at most 1000"):
        FrozenCheckpoint.load(tmp_path / "c.gtn")
    with pytest.raises(CheckpointError, match="a checkpoint has at most 1000"):
        make()


def test_it_fits_the_data_it_was_made_from_and_no_other(
    make: Callable[..., FrozenCheckpoint], digits: DatasetSplits
) -> None:
    checkpoint = make()
    checkpoint.require_fit(digits)
    assert checkpoint.manifest.split_seed == digits.seed != checkpoint.manifest.seed
    with pytest.raises(
        CheckpointError, match=r"data set digits .* fingerprint .*; digits .* has 0000; use the"
    ) as told:
        checkpoint.require_fit(replace(digits, fingerprint="0000"))
    assert told.value.detail.endswith("has 0000")
    with pytest.raises(CheckpointError, match=r"number of classes 10; .* has 11"):
        checkpoint.require_fit(replace(digits, class_names=(*digits.class_names, "ten")))
    small = replace(digits.train, images=digits.train.images[..., :6])
    with pytest.raises(CheckpointError, match=r"image shape \(1, 8, 8\); .* has \(1, 8, 6\)"):
        checkpoint.require_fit(replace(digits, train=small, validation=small, test=small))


def test_it_fits_its_data_where_their_fingerprint_is_that_of_the_first_versions(
    make: Callable[..., FrozenCheckpoint], digits: DatasetSplits
) -> None:
    checkpoint = make()
    of_first_versions = {"dataset_fingerprint": digits.earlier_fingerprint}
    FrozenCheckpoint.from_bytes(edited(checkpoint, manifest=of_first_versions)).require_fit(digits)
    with pytest.raises(CheckpointError, match="has 0000"):
        checkpoint.require_fit(replace(digits, fingerprint="0000"))


def test_a_checkpoint_is_no_folder(make: Callable[..., FrozenCheckpoint], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"one file, and .* is a folder; name a file in it"):
        make().save(tmp_path)


def test_synthesis_knows_no_default_type(make: Callable[..., FrozenCheckpoint]) -> None:
    for kind in get_args(CurriculumKind):
        checkpoint = make(curriculum=kind)
        expected = checkpoint.synthesize().images
        try:
            torch.set_default_dtype(torch.float64)
            found = checkpoint.synthesize().images
        finally:
            torch.set_default_dtype(torch.float32)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_synthesis_leaves_the_global_generator_alone(make: Callable[..., FrozenCheckpoint]) -> None:
    for kind in get_args(CurriculumKind):
        checkpoint = make(curriculum=kind)
        before = torch.random.get_rng_state()
        checkpoint.synthesize()
        assert torch.equal(torch.random.get_rng_state(), before), kind
