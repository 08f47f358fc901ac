"""Tables of true accuracies in requests, and which of their architectures meta-training is calibrated on."""

from typing import Self

from pydantic import Field, model_validator

from gtn_core.strict_model import StrictModel


class AccuracyTable(StrictModel):
    """True accuracies: a CSV with a header, then an encoding and an accuracy a row."""

    csv: str | None = Field(None, max_length=900_000, description="the content of the file")
    path: str | None = Field(None, description="a file below a data set root, which the workers can read")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.csv is None) == (self.path is None):
            raise ValueError("a table has either csv or path")
        return self


class CalibrationSet(StrictModel):
    """The architectures whose order a meta-training with a `ranking_weight` teaches, and who says it."""

    table: AccuracyTable | None = Field(
        None,
        description="null: they are trained on real data, once for the split of the data set and the space",
    )
    architectures: int = Field(40, ge=2, le=10_000, description="how many are drawn")
    steps: int = Field(
        1000, ge=1, le=1_000_000, description="where there is no table: steps on real data of each"
    )
