"""What a search is asked to do: one frozen, JSON-shaped value, the only place with a search's defaults."""

import math
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from gtn_core.errors import InvalidArchitectureError
from gtn_core.strict_model import StrictModel
from nas.algorithms import ALGORITHMS
from nas.estimators import ESTIMATORS, estimator_config
from nas.estimators.base import EstimatorConfig
from nas.estimators.readouts import SUMS_OVER_STEPS
from nas.latency import LatencySetting
from nas.named_config import NamedConfig
from nas.refusals import located, refusal
from nas.registry import PluginError, Registry
from nas.search_spaces import SEARCH_SPACES, get_search_space
from nas.search_spaces.base import SearchSpace

Objective = Literal["score", "accuracy", "loss", "params", "flops", "seconds", "latency_ms"]
"""A measurement to optimise; its direction is in `nas.ranking`. The score is the estimator's own readout."""

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


class Constraints(StrictModel):
    """Hard limits, checked before any training: an architecture beyond one is never a candidate."""

    max_params: int | None = Field(None, ge=1, description="Most trainable parameters.")
    max_flops: int | None = Field(None, ge=1, description="Most FLOPs of one image's forward pass.")

    max_latency_ms: float | None = Field(
        None,
        gt=0,
        description="Longest forward pass as `latency` says, measured where the candidate is evaluated: one "
        "beyond it is not trained, and counts as failed.",
    )

    def excess(self, *, params: int, flops: int) -> float:
        """Share by which a network of this cost exceeds a limit, the worst of them; 0 within every limit."""
        costs = ((params, self.max_params), (flops, self.max_flops))
        return max((max(0, cost - limit) / limit for cost, limit in costs if limit is not None), default=0.0)


LEAST_SHARE = 0.0001
"""Of a CPU or GPU: Ray counts in ten-thousandths."""


class Resources(StrictModel):
    """What one candidate's evaluation occupies."""

    cpus_per_candidate: float = Field(1.0, ge=0, le=1024, description="CPU cores.")
    gpus_per_candidate: float = Field(0.0, ge=0, le=64, description="GPUs; a fraction shares one.")

    @model_validator(mode="after")
    def _ray_can_give_it(self) -> Self:
        for name, amount in self:
            if 0 < amount < LEAST_SHARE:
                raise ValueError(f"{name} is {amount:g}; the least share is {LEAST_SHARE:g}, or 0 for none")
        gpus = self.gpus_per_candidate
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"gpus_per_candidate is {gpus}: a candidate has whole GPUs or a part of one; give "
                f"{math.floor(gpus)}, {math.ceil(gpus)}, or at most 1"
            )
        return self

    @model_validator(mode="after")
    def _occupies_something(self) -> Self:
        if self.cpus_per_candidate == 0 and self.gpus_per_candidate == 0:
            raise ValueError("a candidate needs a share of a CPU or a GPU; both are 0")
        return self

    def slots(self, *, cpus: float, gpus: float) -> int:
        """How many candidates fit into a node that has so much."""
        fits = []
        if self.cpus_per_candidate:
            fits.append(_times(self.cpus_per_candidate, cpus))
        if need := self.gpus_per_candidate:
            shared = self.gpus_per_candidate < 1  # Ray takes a part of one device, never of two
            fits.append(int(gpus) * _times(need, 1) if shared else _times(need, gpus))
        return min(fits)


def _times(need: float, available: float) -> int:
    """How often a need fits into what there is; a tenth fits ten times, however it was rounded."""
    return int(available / need + 1e-9)


MAX_INITIAL = 1000
"""Architectures that a request may name: it is shown whenever its search is."""


class SearchSpec(StrictModel):
    """One search. `validate_spec` checks its names and options against the registries."""

    search_space: NamedConfig = NamedConfig(name="nasbench201")
    algorithm: NamedConfig = NamedConfig(name="regularized_evolution")
    estimator: NamedConfig = NamedConfig(name="gtn")
    max_candidates: int = Field(
        100, ge=1, le=10_000_000, description="Candidates to evaluate, failed ones included."
    )
    max_seconds: float | None = Field(
        None, gt=0, description="Wall-clock limit; candidates in flight are then stopped."
    )
    max_candidate_seconds: float | None = Field(
        None,
        gt=0,
        description="Longest evaluation of one candidate: one that takes longer, as it may hang, fails and "
        "is not tried again.",
    )
    initial_architectures: Annotated[tuple[str, ...], Field(max_length=MAX_INITIAL, fail_fast=True)] = Field(
        (),
        description="Encodings of what is evaluated first, in this order; then the algorithm, which learns "
        "from them, proposes its own. Equal ones count once; those beyond a constraint are left out, which "
        "the result tells.",
    )
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, fail_fast=True)] = Field(
        ("accuracy",),
        description="The first is the algorithm's reward; all span the Pareto front. Left out, it is the "
        "accuracy or the score, as the estimator says.",
    )
    constraints: Constraints = Constraints()
    resources: Resources = Resources()
    latency: LatencySetting = LatencySetting()
    max_concurrent: int | None = Field(
        None, ge=1, description="Most candidates at a time; null: as many as the cluster holds."
    )
    # Bounded so that it survives JSON readers that know only doubles.
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Fixes proposals, initialisations and batch orders.")

    @property
    def measures_latency(self) -> bool:
        """Whether anything asks for it: measuring takes time."""
        return "latency_ms" in self.objectives or self.constraints.max_latency_ms is not None

    @model_validator(mode="after")
    def _initial_ones_fit_the_budget(self) -> Self:
        initial = len(set(self.initial_architectures))
        if initial > self.max_candidates:
            raise ValueError(
                f"initial_architectures are {initial} and max_candidates is {self.max_candidates}; leave "
                "some out, or raise max_candidates"
            )
        return self

    @field_validator("objectives")
    @classmethod
    def _differ(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        if len(set(objectives)) < len(objectives):
            raise ValueError(f"one is named twice: {', '.join(objectives)}")
        return objectives


def validate_spec(spec: SearchSpec) -> SearchSpec:
    """Check names and options against the registries; returns the spec with every option's value filled in.

    Raises UnknownNameError for a name that no registry holds, and pydantic.ValidationError, located at
    (field, option), for an option that its owner refuses.
    """
    registries: dict[str, Registry[Any]] = {
        "search_space": SEARCH_SPACES,
        "algorithm": ALGORITHMS,
        "estimator": ESTIMATORS,
    }
    _check_fidelities(spec)
    _check_readout(spec)
    completed: dict[str, Any] = {
        field: _complete(field, getattr(spec, field), registry) for field, registry in registries.items()
    }
    if "objectives" not in spec.model_fields_set:
        completed["objectives"] = (own_objective(spec.estimator),)
    completed_spec = spec.model_copy(update=completed)
    estimator = estimator_config(completed_spec.estimator.name, **completed_spec.estimator.options)
    _check_objectives(completed_spec, estimator)
    _check_fit(completed_spec, estimator)
    return completed_spec


def own_objective(estimator: NamedConfig) -> Objective:
    """What a search with this estimator works for where nobody says. Raises as `validate_spec` does."""
    complete = _complete("estimator", estimator, ESTIMATORS)
    objective = estimator_config(complete.name, **complete.options).ranked_by
    if objective not in OBJECTIVES:
        message = f"estimator {estimator.name!r} is ranked_by {objective!r}; known: {', '.join(OBJECTIVES)}"
        raise PluginError("estimator", estimator.name, message)
    return objective


def uses_plugins(spec: SearchSpec) -> bool:
    """Whether another package, whose code may change at any time, has a part in what a score is."""
    if not SEARCH_SPACES.is_built_in(spec.search_space.name):
        return True
    asked = [{"name": spec.estimator.name, **spec.estimator.options}]
    while asked:
        estimator = asked.pop()
        if not ESTIMATORS.is_built_in(estimator["name"]):
            return True
        asked += estimator.get("members", ())
    return False


def _check_fidelities(spec: SearchSpec) -> None:
    algorithm, estimator = ALGORITHMS.get(spec.algorithm.name), ESTIMATORS.get(spec.estimator.name)
    if getattr(algorithm, "multi_fidelity", False) and not hasattr(estimator, "estimate_in_part"):
        able = [name for name, each in ESTIMATORS.sound().items() if hasattr(each, "estimate_in_part")]
        raise refusal(
            "SearchSpec",
            ("estimator", "name"),
            spec.estimator.name,
            f"{spec.algorithm.name} stops candidates early, and {spec.estimator.name} has only one depth; "
            f"choose one of: {', '.join(able)}",
        )


def _check_readout(spec: SearchSpec) -> None:
    """A sum over fewer steps is smaller: the candidates that were stopped first would rank highest."""
    readout = spec.estimator.options.get("readout")
    multi_fidelity = getattr(ALGORITHMS.get(spec.algorithm.name), "multi_fidelity", False)
    if multi_fidelity and readout in SUMS_OVER_STEPS:
        raise refusal(
            "SearchSpec",
            ("estimator", "readout"),
            readout,
            f"{spec.algorithm.name} stops candidates after different numbers of steps, and {readout} is a "
            "sum over steps, which does not compare them; choose accuracy or validation_loss",
        )


def _check_objectives(spec: SearchSpec, estimator: EstimatorConfig) -> None:
    """A network that nobody trained guesses, and what guesses best is no better than the others."""
    if estimator.trains:
        return
    for place, objective in enumerate(spec.objectives):
        if objective in ("accuracy", "loss"):
            raise refusal(
                "SearchSpec",
                ("objectives", str(place)),
                objective,
                f"{spec.estimator.name} trains no network as it is asked here, so that its {objective} says "
                "nothing; choose score, or an estimator that trains",
            )


def _check_fit(spec: SearchSpec, estimator: EstimatorConfig) -> None:
    """The space can be made and holds what is to be evaluated first, and the estimator can look at it."""
    try:
        space = get_search_space(spec.search_space.name, **spec.search_space.options)
    except ValidationError as error:
        raise located(error, "search_space") from None
    _check_domains(space)
    for place, encoding in enumerate(spec.initial_architectures):
        try:
            space.parse(encoding)
        except InvalidArchitectureError as error:
            field = ("initial_architectures", str(place))
            raise refusal("SearchSpec", field, encoding, str(error)) from None
        except Exception as error:  # whatever the code of a plugin raises
            message = f"search space {space.name!r} cannot read {encoding!r}: its `parse` raised {error!r}"
            raise PluginError("search space", space.name, message) from error
    try:
        estimator.check(space)
    except ValidationError as error:
        raise located(error, "estimator") from None


def _check_domains(space: SearchSpace) -> None:
    """Views and algorithms compare options with what is read from encodings, as text."""
    with SEARCH_SPACES.faults_of(space.name, "domains"):
        domains = {name: tuple(options) for name, options in space.domains.items()}
    for name, options in domains.items():
        if not all(isinstance(each, str) for each in (name, *options)):
            raise PluginError(
                "search space",
                space.name,
                f"search space {space.name!r}: its choice {name!r} has the options {options!r:.200}; "
                "expected text, such as '3'",
            )


def _complete(field: str, named: NamedConfig, registry: Registry[Any]) -> NamedConfig:
    try:
        config = registry.config(named.name, **named.options)
    except ValidationError as error:
        raise located(error, field) from None
    return NamedConfig(name=named.name, **config.model_dump(mode="json"))
