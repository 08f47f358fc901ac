"""A frozen GTN in one file: safetensors, with the manifest as JSON in the header; never a pickle.

Files are read and checked without PyTorch, which a controller need not have.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from gtn_core.config import ACCEPTED, MetaTrainingConfig
from gtn_core.data import DatasetSpec, DatasetSplits, Normalization
from gtn_core.errors import CheckpointError
from gtn_core.files import write_atomically
from gtn_core.randomness import torch_generator
from gtn_core.strict_model import StrictModel
from gtn_core.weight_shapes import DIRECTION, weight_shapes

if TYPE_CHECKING:
    import torch

    from gtn_core.curriculum import LearnedCurriculum, SyntheticCurriculum

FORMAT_VERSION: Final = 1
MAX_BYTES = 512 * 2**20
"""More than ten times the paper's CIFAR generator with its curriculum; what is larger is not read."""
MAX_MANIFEST = 2**20
"""Characters: room for 40,000 names of classes. Lists of checkpoints tell the manifests in full."""

_MANIFEST_KEY = "gtn"
_UNKNOWN_BYTES = 2**16  # more than metrics, learning curves and the list of tensors ever take
_LONGEST_REASON = 2000  # characters: a manifest has room for thousands of bad entries, each with its line
StorageType = Literal["float32", "float16"]
_Size = Annotated[int, Field(ge=1, le=65_536)]
_Seed = Annotated[int, Field(ge=0, lt=2**64)]
_Accuracy = Annotated[float, Field(ge=0, le=1)]
CurveName = Literal["gtn", "real", "noise"]


class CheckpointManifest(StrictModel):
    """What a frozen GTN was made from, and what it reached. It holds no clock: equal runs are equal files."""

    model_config = ConfigDict(allow_inf_nan=False)

    format_version: Literal[1] = FORMAT_VERSION
    config: MetaTrainingConfig
    seed: _Seed = Field(description="of meta-training, and of the noise of a curriculum without latents")
    dataset: DatasetSpec
    dataset_fingerprint: str
    split_seed: _Seed
    image_shape: tuple[_Size, _Size, _Size] = Field(description="channels, height, width")
    num_classes: int = Field(ge=2, le=65_536)
    class_names: tuple[str, ...] = Field(fail_fast=True)
    normalization: Normalization
    learner: str = Field(description="the learners of meta-training, in words")
    metrics: dict[str, float] = Field(
        max_length=1000, description="on training and validation data; never on test data"
    )
    versions: dict[str, str] = Field(max_length=1000)
    storage: StorageType = Field("float32", description="in which the weights are kept; they load as float32")
    learning_curves: dict[CurveName, Annotated[tuple[_Accuracy, ...], Field(fail_fast=True)]] = Field(
        default_factory=dict,
        description="mean validation accuracy of fresh learners after each step, by what they learned from",
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        channels = self.image_shape[0]
        if not len(self.normalization.mean) == len(self.normalization.std) == channels:
            raise ValueError(f"the normalization is not that of {channels} channels")
        if not all(std > 0 for std in self.normalization.std):
            raise ValueError(f"the normalization divides by {min(self.normalization.std)}")
        if len(self.class_names) != self.num_classes:
            raise ValueError(f"{self.num_classes} classes have {len(self.class_names)} names")
        steps = self.config.inner_steps
        for name, curve in self.learning_curves.items():
            if len(curve) != steps:
                raise ValueError(f"learning curve {name!r} has {len(curve)} values for {steps} inner steps")
        return self


@dataclass(frozen=True, eq=False)
class FrozenCheckpoint:
    """A generator that no longer changes, its curriculum and their manifest.

    Make one with `freeze`, `load` or `from_bytes`. Its `id` is the content's hash, so two checkpoints with
    one id teach alike.
    """

    manifest: CheckpointManifest
    content: bytes

    @cached_property
    def id(self) -> str:
        """SHA-256 of the file's content, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    def synthesize(self, device: str | torch.device = "cpu") -> SyntheticCurriculum:
        """The curriculum in training order, float32 on `device`, bit for bit the same in every process.

        Generated on the CPU in float64 and rounded once: float32 sums would differ in their last bits with
        the number of threads and the processor.
        """
        import torch
        from safetensors.torch import load as load_tensors

        from gtn_core.curriculum import LearnedCurriculum

        manifest = self.manifest
        # The weights drawn here are replaced, and the random numbers of the caller go on as they were. On the
        # meta device none would be drawn, but PyTorch would import its compiler, longer than all the rest.
        with torch.random.fork_rng(devices=[]):
            curriculum = LearnedCurriculum(
                manifest.config, image_shape=manifest.image_shape, num_classes=manifest.num_classes
            )
        curriculum.load_state_dict(load_tensors(self.content), assign=True)
        curriculum.double().eval()  # from either type without loss
        with torch.no_grad():
            noise = torch_generator(manifest.seed, "frozen noise")
            exact: SyntheticCurriculum = curriculum(noise, shuffle=False)
        return exact.to(device, torch.float32)

    def schedule(self) -> tuple[list[float], list[float]]:
        """Learning rates and momenta of the inner steps, [T] each; no image is generated."""
        weights = load_arrays(self.content)
        log_rates, logits = (
            weights[f"schedule.{name}"].astype(np.float64)
            for name in ("log_learning_rates", "momentum_logits")
        )
        with np.errstate(over="ignore"):  # exp(-logit) is infinite where the momentum is as good as zero
            return np.exp(log_rates).tolist(), (1 / (1 + np.exp(-logits))).tolist()

    def require_fit(self, splits: DatasetSplits) -> None:
        """Raise CheckpointError unless `splits` are the data that this checkpoint was made from."""
        ours, theirs = self.manifest, splits
        for name, expected, found in (
            ("image shape", ours.image_shape, theirs.image_shape),
            ("number of classes", ours.num_classes, theirs.num_classes),
            ("fingerprint", theirs.current(ours.dataset_fingerprint), theirs.fingerprint),
        ):
            if expected != found:
                raise CheckpointError(
                    f"checkpoint {self.id[:12]} was made from data set {ours.dataset} (split seed "
                    f"{ours.split_seed}) with {name} {expected}; {theirs.dataset} (split seed {theirs.seed}) "
                    f"has {found}",
                    remedy="use the checkpoint's data set and split seed, or meta-train on this one",
                )

    def to_bytes(self) -> bytes:
        """The file's content."""
        return self.content

    def save(self, path: str | Path) -> None:
        """Write the file; a reader sees all of it or nothing. Raises CheckpointError for a folder."""
        if Path(path).is_dir():
            raise CheckpointError(f"a checkpoint is one file, and {path} is a folder; name a file in it")
        write_atomically(Path(path), self.content)

    @classmethod
    def load(cls, path: str | Path) -> FrozenCheckpoint:
        """Read and check a file. Raises CheckpointError when it is missing or not a whole checkpoint."""
        path = Path(path)
        try:
            size = path.stat().st_size
            content = path.read_bytes() if size <= MAX_BYTES else b""
        except OSError as error:
            raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}") from error
        if size > MAX_BYTES:
            raise CheckpointError(f"{path} has {size} bytes; a checkpoint has at most {MAX_BYTES}")
        try:
            return cls.from_bytes(content)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> FrozenCheckpoint:
        """Check a file's content. Raises CheckpointError saying what is wrong with it."""
        if len(data) > MAX_BYTES:
            raise CheckpointError(f"the content has {len(data)} bytes; a checkpoint has at most {MAX_BYTES}")
        try:
            tensors = load_arrays(data)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"not a whole safetensors file ({error}); fetch it again") from error
        manifest = _read_manifest(data)
        _require_match(tensors, manifest)
        _require_synthesis(tensors)
        return cls(manifest, data)


def require_freezable(splits: DatasetSplits, *, config: MetaTrainingConfig, seed: int, learner: str) -> None:
    """Raise CheckpointError where `freeze` could not write what is meta-trained so: before it, not after."""
    try:
        text = _manifest(splits, config=config, seed=seed, learner=learner, metrics={}).model_dump_json()
    except ValueError as error:  # a field is out of bounds, or is no text that UTF-8 has
        raise CheckpointError(f"what is meta-trained could not be frozen: {error}") from error
    if len(text) + _UNKNOWN_BYTES > MAX_MANIFEST:
        raise CheckpointError(
            f"what is meta-trained could not be frozen: its manifest would have about "
            f"{len(text) + _UNKNOWN_BYTES} characters, and one has at most {MAX_MANIFEST}; shorten the names "
            f"of the {splits.num_classes} classes"
        )
    shapes = weight_shapes(config, splits.image_shape, splits.num_classes)
    weights = sum(math.prod(shape) for shape in shapes.values()) * np.dtype(np.float32).itemsize
    size = weights + len(json.dumps(text)) + _UNKNOWN_BYTES
    if size > MAX_BYTES:
        channels, height, width = splits.image_shape
        raise CheckpointError(
            f"what is meta-trained could not be frozen: its checkpoint would have about {size} bytes, and "
            f"one has at most {MAX_BYTES}; lower the image size ({channels}x{height}x{width}), "
            f"generator_channels {list(config.generator_channels)}, inner_steps ({config.inner_steps}) or "
            f"batch_size ({config.batch_size})"
        )


def freeze(
    curriculum: LearnedCurriculum,
    splits: DatasetSplits,
    *,
    config: MetaTrainingConfig,
    seed: int,
    learner: str,
    metrics: dict[str, float],
) -> FrozenCheckpoint:
    """Freeze what meta-training learned, in float32. Raises CheckpointError when a weight is not finite."""
    manifest = _manifest(splits, config=config, seed=seed, learner=learner, metrics=metrics)
    tensors = {name: tensor.cpu().contiguous().numpy() for name, tensor in curriculum.state_dict().items()}
    return _written(tensors, manifest)


def repack(
    checkpoint: FrozenCheckpoint,
    *,
    storage: StorageType,
    learning_curves: dict[CurveName, tuple[float, ...]] | None = None,
) -> FrozenCheckpoint:
    """The checkpoint with weights kept in `storage`, and with learning curves in its manifest if given.

    Raises CheckpointError when a weight is beyond what float16 holds, or a curve has no value for some inner
    step. Measure curves on what is shipped: rounding moves the synthetic images a little.
    """
    manifest = checkpoint.manifest.model_copy(
        update={"storage": storage, "learning_curves": learning_curves or checkpoint.manifest.learning_curves}
    )
    tensors = load_arrays(checkpoint.content)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
        stored = {name: tensor.astype(_TYPES[storage]) for name, tensor in tensors.items()}
    return _written(stored, manifest)


Arrays = dict[str, NDArray[Any]]
_TYPES: dict[StorageType, type[np.floating[Any]]] = {"float32": np.float32, "float16": np.float16}


def _manifest(
    splits: DatasetSplits,
    *,
    config: MetaTrainingConfig,
    seed: int,
    learner: str,
    metrics: dict[str, float],
) -> CheckpointManifest:
    import torch

    return CheckpointManifest(
        config=config,
        seed=seed,
        dataset=splits.dataset,
        dataset_fingerprint=splits.fingerprint,
        split_seed=splits.seed,
        image_shape=splits.image_shape,
        num_classes=splits.num_classes,
        class_names=splits.class_names,
        normalization=splits.normalization,
        learner=learner,
        metrics=metrics,
        versions={
            "gtn-nas": version("gtn-nas"),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )


def _written(tensors: Arrays, manifest: CheckpointManifest) -> FrozenCheckpoint:
    return FrozenCheckpoint.from_bytes(
        save_arrays(tensors, metadata={_MANIFEST_KEY: manifest.model_dump_json()})
    )


def _read_manifest(data: bytes) -> CheckpointManifest:
    """The manifest of a file that safetensors has accepted."""
    header_size = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + header_size])
    text = (header.get("__metadata__") or {}).get(_MANIFEST_KEY)  # null is as good as none
    if text is None:
        raise CheckpointError("a safetensors file without a GTN manifest; it holds some other weights")
    if len(text) > MAX_MANIFEST:
        raise CheckpointError(f"the manifest has {len(text)} characters; one has at most {MAX_MANIFEST}")
    try:
        found = json.loads(text).get("format_version")
        if found != FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint format {found!r}; this version reads format {FORMAT_VERSION}: "
                "freeze the checkpoint again or use the version that wrote it"
            )
        return CheckpointManifest.model_validate_json(text, context=ACCEPTED)
    except (ValidationError, ValueError, AttributeError, RecursionError) as error:
        reason = str(error)[:_LONGEST_REASON]
        raise CheckpointError(f"the checkpoint's manifest does not hold: {reason}") from error


def _require_match(tensors: Arrays, manifest: CheckpointManifest) -> None:
    """Raise CheckpointError unless names, types and shapes are the manifest's and every number is finite."""
    expected = weight_shapes(manifest.config, manifest.image_shape, manifest.num_classes)
    if missing := sorted(expected.keys() ^ tensors.keys()):
        raise CheckpointError(f"tensors do not match the manifest: {', '.join(missing)} missing or unknown")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name] or tensor.dtype != _TYPES[manifest.storage]:
            raise CheckpointError(
                f"tensor {name} is {tensor.dtype} {tensor.shape}; the manifest says "
                f"{manifest.storage} {expected[name]}"
            )
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"tensor {name} holds numbers that are not finite; use an earlier one")


def _require_synthesis(tensors: Arrays) -> None:
    """Raise CheckpointError where finite numbers would still give no class, learning rate or image."""
    labels = tensors["labels"]
    if not ((np.count_nonzero(labels, axis=2) == 1) & (labels.max(axis=2) == 1)).all():
        raise CheckpointError("tensor labels is not one-hot: each image has one class, of value 1")
    with np.errstate(over="ignore", under="ignore"):
        rates = np.exp(tensors["schedule.log_learning_rates"], dtype=np.float64).astype(np.float32)
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise CheckpointError(
            f"tensor schedule.log_learning_rates gives rates from {rates.min():g} to {rates.max():g}; each "
            "must be positive and finite in float32"
        )
    for name, tensor in tensors.items():
        if name.endswith(DIRECTION) and not tensor.reshape(len(tensor), -1).any(axis=1).all():
            raise CheckpointError(
                f"tensor {name} has a row of zeros, which is no direction; use an earlier one"
            )
