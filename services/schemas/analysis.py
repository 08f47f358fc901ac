"""What plots and statistics of a search or of a candidate are made of: arrays, bounded in size."""

from typing import Literal

from pydantic import BaseModel, Field

from nas.search_spec import Objective
from services.schemas.candidates import CandidateView

Metric = Objective


class Trajectory(BaseModel):
    """The best value so far: only where it changes, all lists of one length."""

    objective: Metric = Field(description="the search's first objective")
    direction: Literal["max", "min"] = Field(description="whether more or less of it is better")
    done: int = Field(description="candidates that have finished, failed ones included")
    elapsed: float = Field(description="seconds from its start to its end, or until now; pauses included")
    completion: list[int] = Field(description="how many candidates had finished when it changed")
    seconds: list[float] = Field(description="since the search started, pauses included")
    number: list[int] = Field(description="of the candidate that changed it")
    value: list[float]


class PointCloud(BaseModel):
    """Succeeded candidates as columns; of very many only some, chosen so that a plot looks the same."""

    total: int = Field(description="succeeded candidates of the search that have both metrics")
    x: Metric
    y: Metric
    number: list[int] = Field(description="of each candidate that is here, ascending by completion")
    columns: dict[str, list[float | None]] = Field(description="by metric, one value for each number")
    pareto: list[int] = Field(description="numbers of those that none beats in both x and y; all are here")
    best: int | None = Field(description="number of the best by the search's first objective")


class OptionEffectView(BaseModel):
    """Candidates with an option against those without it; null where there are too few to tell."""

    option: str
    n_with: int
    n_without: int
    mean_with: float | None
    mean_without: float | None
    difference: float | None = Field(description="mean_with - mean_without, in the unit of the metric")
    low: float | None = Field(description="of the 95 % confidence interval of the difference (Welch)")
    high: float | None
    effect_size: float | None = Field(description="Hedges' g: the difference in standard deviations")


class ChoiceImportanceView(BaseModel):
    """One choice of the search space, such as the operation of an edge."""

    choice: str
    n: int = Field(description="candidates that have this choice")
    explained: float | None = Field(description="share of the metric's variance (epsilon squared)")
    options: list[OptionEffectView]


class Importance(BaseModel):
    """Which options go with good scores. Associations among what the algorithm proposed, not causes."""

    metric: Metric
    direction: Literal["max", "min"]
    candidates: int = Field(description="succeeded candidates that were looked at")
    total: int = Field(description="succeeded candidates of the search; of more than some a random sample")
    choices: list[ChoiceImportanceView] = Field(description="in the order of the search space")


class ChoiceColumns(BaseModel):
    """Architectures by choices, as parallel coordinates show them."""

    metric: Metric
    total: int = Field(description="succeeded candidates of the search")
    choices: dict[str, list[str]] = Field(description="every choice of the space with its options")
    number: list[int] = Field(description="of each candidate, the best half of them first")
    value: list[float] = Field(description="the metric of each candidate")
    codes: list[list[int]] = Field(description="for each candidate the option of every choice; -1 for none")


class PartView(BaseModel):
    """A stretch of a network: its stem, a cell or block, its head."""

    name: str = Field(description="as in the state dict", examples=["body.3"])
    kind: str = Field(examples=["reduction block"])
    params: int
    flops: int = Field(description="of one image's forward pass")
    input_shape: list[int] | None = Field(description="of one image: channels, height, width")
    output_shape: list[int] | None


class CandidateCost(BaseModel):
    """Where the parameters and the FLOPs of a network are; the parts add up to the totals."""

    params: int
    flops: int
    parts: list[PartView] = Field(description="in the order of the forward pass")


class ChangeView(BaseModel):
    """A choice that two architectures made differently; null where one does not have it."""

    choice: str
    before: str | None
    after: str | None


class Relative(BaseModel):
    """Another candidate of the same search, and in what it differs."""

    candidate: CandidateView
    changes: list[ChangeView]


class Ancestor(Relative):
    """A candidate that was made from others; `changes` lead here from its first parent."""

    parents: list[str] = Field(description="ids of the candidates it was made from")


class Lineage(BaseModel):
    """Where a candidate came from, and what came from it."""

    recorded: bool = Field(description="whether the search's algorithm tells parents")
    line: list[Ancestor] = Field(description="the candidate, its first parent, that one's, and so on")
    truncated: bool = Field(description="whether the line goes on beyond what is here")
    children: list[Relative] = Field(description="the first of those made from it")


class Similar(BaseModel):
    """The candidates of the same search that differ in the fewest choices, then the better ones."""

    compared: int = Field(description="candidates that were looked at: the best, and a random sample")
    total: int = Field(description="succeeded candidates of the search")
    similar: list[Relative]


class Frames(BaseModel):
    """How `frames.png` is laid out: a row of tiles for each shown step, `per_class` for each class."""

    steps: list[int] = Field(description="inner steps, 1 for the first; evenly spaced ones of many")
    classes: list[str] = Field(description="the first of many")
    per_class: int
    tile: tuple[int, int] = Field(description="width and height of an image in pixels")


class CurriculumView(BaseModel):
    """What was learned beside the images: how to step on each batch."""

    inner_steps: int
    batch_size: int
    inner_optimizer: str
    learning_rates: list[float] = Field(description="of each inner step")
    momenta: list[float] = Field(description="of each inner step, in [0, 1)")
    frames: Frames | None = Field(description="null where the images are too large for a picture")
