"""The data sets that can be asked for by name, and `load_dataset` that reads one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gtn_core.data.cifar import read_cifar10, read_cifar100
from gtn_core.data.digits import read_digits
from gtn_core.data.idx import read_idx, read_mnist
from gtn_core.data.image_folder import read_folder
from gtn_core.data.npz import read_npz
from gtn_core.data.raw import RawDataset
from gtn_core.data.spec import DatasetSpec
from gtn_core.data.splits import DatasetSplits, make_splits
from gtn_core.errors import DatasetError, UnknownNameError


@dataclass(frozen=True)
class DatasetFormat:
    """One readable data set: what it is, whether it needs a path, and the layouts found under that path.

    `image_size` is the height and width of the images of one that is bundled; of others the files tell.
    """

    name: str
    description: str
    needs_path: bool
    formats: tuple[str, ...]
    read: "_Reader" = field(repr=False)
    image_size: int | None = None


def load_dataset(dataset: str | DatasetSpec, *, seed: int = 0) -> DatasetSplits:
    """Read a data set and split it by `seed`; everything that can be wrong with the files is said here.

    `dataset` is a spec or its text, such as `digits`, `mnist:PATH` or `cifar10@16:PATH`.
    Raises UnknownNameError for an unregistered name, DatasetError for missing, corrupt or unusable data.
    """
    spec = DatasetSpec.of(dataset)
    return make_splits(_read(spec), spec, seed=seed)


def dataset_names() -> dict[str, DatasetFormat]:
    """The registered data sets by name."""
    return dict(_FORMATS)


def _read(spec: DatasetSpec) -> RawDataset:
    if spec.name not in _FORMATS:
        raise UnknownNameError("data set", spec.name, _FORMATS)
    dataset_format = _FORMATS[spec.name]
    if dataset_format.needs_path and spec.path is None:
        raise DatasetError(f"data set {spec.name!r} needs a path; write {spec.name}:PATH")
    if not dataset_format.needs_path and spec.path is not None:
        raise DatasetError(
            f"data set {spec.name!r} is bundled and takes no path, but {spec.path!r} was given"
        )
    try:
        return dataset_format.read(Path(spec.path or "").expanduser(), spec.image_size)
    except OSError as error:
        raise DatasetError(f"{spec} cannot be read: {error}") from error


_Reader = Callable[[Path, int | None], RawDataset]
"""Reads what is at a path, whose images will be used at a size; they may be larger."""


def _of_one_size(read: Callable[[Path], RawDataset]) -> _Reader:
    """Images that have one size in their files, whatever they are used at."""
    return lambda path, image_size: read(path)  # noqa: ARG005


_IDX_FILES = "{train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz"

_FORMATS = {
    dataset_format.name: dataset_format
    for dataset_format in (
        DatasetFormat(
            "digits",
            "1,797 handwritten digits of 8x8 grey pixels, bundled: nothing to download",
            needs_path=False,
            formats=(),
            read=_of_one_size(read_digits),
            image_size=8,
        ),
        DatasetFormat(
            "mnist",
            "MNIST: 70,000 handwritten digits of 28x28 grey pixels",
            needs_path=True,
            formats=(f"a folder with {_IDX_FILES}", "torchvision's MNIST/raw below the folder"),
            read=_of_one_size(read_mnist),
        ),
        DatasetFormat(
            "idx",
            "Any data set in MNIST's format, such as Fashion-MNIST, KMNIST or EMNIST",
            needs_path=True,
            formats=(
                f"a folder with {_IDX_FILES}",
                "NAME/raw below the folder",
                "FOLDER/PREFIX of the files",
            ),
            read=_of_one_size(read_idx),
        ),
        DatasetFormat(
            "cifar10",
            "CIFAR-10: 60,000 photographs of 32x32 pixels in ten classes",
            needs_path=True,
            formats=("cifar-10-batches-bin/", "cifar-10-batches-py/", "the .tar.gz archive of either"),
            read=_of_one_size(read_cifar10),
        ),
        DatasetFormat(
            "cifar100",
            "CIFAR-100: 60,000 photographs of 32x32 pixels in a hundred classes",
            needs_path=True,
            formats=("cifar-100-binary/", "cifar-100-python/", "the .tar.gz archive of either"),
            read=_of_one_size(read_cifar100),
        ),
        DatasetFormat(
            "npz",
            "Images and integer labels in a NumPy archive",
            needs_path=True,
            formats=(".npz with images, labels", ".npz with x_train, y_train, x_test, y_test"),
            read=_of_one_size(read_npz),
        ),
        DatasetFormat(
            "folder",
            "Pictures, in one folder for each class; of different sizes, or not square: folder@SIZE:PATH",
            needs_path=True,
            formats=("CLASS/*.png, .jpg, ...", "train/CLASS/ and test/CLASS/"),
            read=read_folder,
        ),
    )
}
