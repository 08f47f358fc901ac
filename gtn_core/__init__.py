"""Generative Teaching Networks (Such et al., ICML 2020): learned data that teach a new network in few steps.

`__all__` is in the method's order: real data, configuration, generator, curriculum, learners, the inner loop
that teaches one, what it then knows, the outer loop that improves the teaching, and the frozen result.
"""

from gtn_core.checkpoint import CheckpointManifest, FrozenCheckpoint
from gtn_core.config import MetaTrainingConfig
from gtn_core.curriculum import LearnedCurriculum, SyntheticCurriculum
from gtn_core.data import DatasetSpec, DatasetSplits, Normalization, Split, dataset_names, load_dataset
from gtn_core.errors import (
    CheckpointError,
    DatasetError,
    GtnNasError,
    InvalidArchitectureError,
    MetaTrainingDiverged,
    UnknownNameError,
)
from gtn_core.evaluation import Evaluation, evaluate
from gtn_core.generator import Generator
from gtn_core.inner_loop import train_on_curriculum, unroll
from gtn_core.learners import ConvNetSampler, LearnerSampler
from gtn_core.meta_training import MetaStepReport, meta_train

__all__ = [  # noqa: RUF022 - in the order of the method
    "load_dataset",
    "dataset_names",
    "DatasetSpec",
    "DatasetSplits",
    "Split",
    "Normalization",
    "MetaTrainingConfig",
    "Generator",
    "LearnedCurriculum",
    "SyntheticCurriculum",
    "LearnerSampler",
    "ConvNetSampler",
    "unroll",
    "train_on_curriculum",
    "evaluate",
    "Evaluation",
    "meta_train",
    "MetaStepReport",
    "FrozenCheckpoint",
    "CheckpointManifest",
    "GtnNasError",
    "CheckpointError",
    "DatasetError",
    "InvalidArchitectureError",
    "MetaTrainingDiverged",
    "UnknownNameError",
]
