from .checkpoint import CheckpointManifest, FrozenCheckpoint
from .config import MetaTrainingConfig
from .curriculum import LearnedCurriculum, SyntheticCurriculum
from .data import (
    DatasetSpec,
    DatasetSplits,
    Normalization,
    Split,
    dataset_names,
    load_dataset,
    splits_from_arrays,
)
from .errors import (
    CheckpointError,
    DatasetError,
    GtnNasError,
    InvalidArchitectureError,
    MemoryLimitError,
    MetaTrainingDiverged,
    UnknownNameError,
)
from .evaluation import Evaluation, evaluate
from .generator import Generator
from .inner_loop import train_on_curriculum, unroll
from .learners import ConvNetSampler, LearnerSampler
from .learning_curves import with_learning_curves
from .meta_training import MetaStepReport, meta_train
from .ranking import RankingReference
from .ranks import Rank

__all__ = [  # noqa: RUF022 - in the order of the method
    "load_dataset",
    "splits_from_arrays",
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
    "RankingReference",
    "Rank",
    "meta_train",
    "MetaStepReport",
    "FrozenCheckpoint",
    "CheckpointManifest",
    "with_learning_curves",
    "GtnNasError",
    "CheckpointError",
    "DatasetError",
    "InvalidArchitectureError",
    "MemoryLimitError",
    "MetaTrainingDiverged",
    "UnknownNameError",
]
