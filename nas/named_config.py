"""What is asked for by name, such as a search space, an algorithm or an estimator, with its options."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class NamedConfig(BaseModel):
    """A registered name with its own options beside it: `{"name": "nasbench201", "channels": 8}`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1, description="A registered name.")

    @property
    def options(self) -> dict[str, Any]:
        """Whatever is no field: everything but the name."""
        return dict(self.model_extra or {})
