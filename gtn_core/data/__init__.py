"""Data sets: read from the formats users have, checked, split by a seed, normalised, fingerprinted."""

from gtn_core.data.arrays import splits_from_arrays
from gtn_core.data.registry import DatasetFormat, dataset_names, load_dataset
from gtn_core.data.spec import DatasetSpec
from gtn_core.data.splits import DatasetSplits, Normalization, Split

__all__ = [
    "DatasetFormat",
    "DatasetSpec",
    "DatasetSplits",
    "Normalization",
    "Split",
    "dataset_names",
    "load_dataset",
    "splits_from_arrays",
]
