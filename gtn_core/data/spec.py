"""Which data set: a name, where its files are, and at what size its images are used."""

import re

from pydantic import Field

from gtn_core.errors import DatasetError
from gtn_core.strict_model import StrictModel

_TEXT = re.compile(r"(?P<name>[^:@]+)(@(?P<image_size>[1-9][0-9]*))?(:(?P<path>.+))?", re.DOTALL)


class DatasetSpec(StrictModel):
    """A data set by name and path. As text: `digits`, `mnist:PATH`, `cifar10@16:PATH` (images at 16x16)."""

    name: str = Field(min_length=1, description="A registered data set: digits, mnist, idx, cifar10, ...")
    path: str | None = Field(default=None, description="File or folder; none for data that are bundled.")
    image_size: int | None = Field(
        default=None,
        ge=1,
        description="Height and width that square images are reduced to, by area; none: as is. Of a folder's "
        "pictures that are not square, or differ in size, the centre is scaled.",
    )

    @classmethod
    def of(cls, dataset: "str | DatasetSpec") -> "DatasetSpec":
        """The spec, or the one that a text stands for."""
        return cls.parse(dataset) if isinstance(dataset, str) else dataset

    @classmethod
    def parse(cls, text: str) -> "DatasetSpec":
        """Read `NAME[@SIZE][:PATH]`. Raises DatasetError when the text has another form."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise DatasetError(f"cannot read data set {text!r}; write NAME, NAME:PATH or NAME@SIZE:PATH")
        size = match["image_size"]
        return cls(name=match["name"], path=match["path"], image_size=int(size) if size else None)

    def __str__(self) -> str:
        size = "" if self.image_size is None else f"@{self.image_size}"
        path = "" if self.path is None else f":{self.path}"
        return f"{self.name}{size}{path}"
