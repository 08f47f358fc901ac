"""What can be asked for, and what it would run on."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class CatalogueEntry(BaseModel):
    """A search space, algorithm, estimator or data set, with the JSON Schema of its options."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    name: str
    description: str
    json_schema: dict[str, Any] = Field(alias="schema", description="JSON Schema (2020-12) of the options")


class Capacity(BaseModel):
    """A countable resource; fractions of a GPU can be busy."""

    total: float
    busy: float
    free: float


class NodeView(BaseModel):
    """One machine."""

    id: str
    address: str
    alive: bool
    head: bool
    cpus: Capacity
    gpus: Capacity


class RunningSearch(BaseModel):
    """A search that is being worked on."""

    id: str
    name: str
    done: int
    total: int


class ClusterView(BaseModel):
    """The machines that score candidates."""

    source: Literal["ray", "this machine"] = Field(
        description="whether a Ray cluster answered, or the controller counted what its own machine has"
    )
    nodes: list[NodeView]
    cpus: Capacity
    gpus: Capacity
    running_searches: list[RunningSearch]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str


class ReadinessCheck(BaseModel):
    """One thing that must be in order before requests can be served."""

    name: str
    ready: bool
    detail: str


class Readiness(BaseModel):
    """Whether requests can be served, and what stands in the way."""

    ready: bool
    checks: list[ReadinessCheck]
