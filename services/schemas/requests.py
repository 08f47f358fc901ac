"""What users send. Every default is that of the method's own configuration."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from gtn_core.config import MetaTrainingConfig
from gtn_core.data import DatasetSpec
from gtn_core.strict_model import StrictModel
from nas.final_training_config import FinalTrainingConfig
from nas.named_config import NamedConfig
from nas.search_spec import SearchSpec
from services.schemas.accuracy_tables import CalibrationSet
from services.visible import NO_CONTROLS, without_hidden

JobName = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Field(max_length=200, pattern=NO_CONTROLS, description="a name for people; need not be unique"),
    AfterValidator(without_hidden),
]
# Bounded so that it survives JSON readers that know only doubles.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


Priority = Annotated[
    int,
    Field(ge=-1000, le=1000, description="higher starts first; equal ones take turns between API keys"),
]


class MetaTrainingResources(StrictModel):
    """What a meta-training runs on."""

    model_config = ConfigDict(allow_inf_nan=False)

    ranks: int = Field(
        1,
        ge=1,
        le=256,
        description="Ray processes that share the learners of every meta step; 1: the worker itself, no Ray",
    )
    cpus_per_rank: float = Field(1, gt=0, le=1024, description="CPU cores of one, where there are several")
    gpus_per_rank: float = Field(0, ge=0, le=1, description="GPUs of one, where there are several")


class MetaTrainingRequest(StrictModel):
    """The body of `POST /v1/meta-trainings`."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "name": "digits, 10 inner steps",
                    "dataset": {"name": "digits"},
                    "config": {"inner_steps": 10, "batch_size": 32, "meta_steps": 200},
                    "seed": 0,
                }
            ]
        },
    )

    name: JobName = ""
    dataset: DatasetSpec
    config: MetaTrainingConfig = MetaTrainingConfig()
    seed: Seed = 0
    priority: Priority = 0
    learner_space: NamedConfig | None = Field(
        default=None, description="also meta-train on learners drawn from this search space"
    )
    learner_space_fraction: float = Field(
        default=1.0, gt=0, le=1, description="share of meta steps whose learner comes from `learner_space`"
    )

    calibration_set: CalibrationSet | None = Field(
        default=None,
        description="where the order comes from that `config.ranking_weight` teaches: architectures of "
        "`learner_space`; null: 40 of them are trained on real data. Measure fidelity on others",
    )
    learning_curves: bool = Field(
        default=True,
        description="measure, at the end, how fast fresh learners learn from the data, beside real data and "
        "noise; the checkpoint's manifest keeps the curves",
    )
    resources: MetaTrainingResources = MetaTrainingResources()

    @model_validator(mode="after")
    def _ranks_have_learners(self) -> Self:
        ranks, learners = self.resources.ranks, self.config.learners_per_meta_step
        if ranks > learners:
            raise ValueError(
                f"resources.ranks is {ranks} and config.learners_per_meta_step is {learners}: each rank "
                "needs a learner; lower the first or raise the second"
            )
        return self

    @model_validator(mode="after")
    def _order_needs_a_space(self) -> Self:
        weight = self.config.ranking_weight
        if weight and self.learner_space is None:
            raise ValueError(
                f"config.ranking_weight is {weight:g} without learner_space; name the search space whose "
                "architectures are to be ranked"
            )
        if self.calibration_set is not None and not weight:
            raise ValueError(
                "calibration_set is given and config.ranking_weight is 0; set it, to 1 for instance"
            )
        return self

    @model_validator(mode="after")
    def _fraction_needs_a_space(self) -> Self:
        # Compared with the default, not with what was set: a stored request names every field.
        if self.learner_space_fraction < 1 and self.learner_space is None:
            raise ValueError("learner_space_fraction is given without learner_space; name a search space")
        return self


class SearchRequest(SearchSpec):
    """The body of `POST /v1/searches`."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "name": "first search",
                    "checkpoint_id": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1},
                    "algorithm": {"name": "regularized_evolution", "population_size": 20, "sample_size": 5},
                    "estimator": {"name": "gtn"},
                    "max_candidates": 100,
                    "objectives": ["accuracy"],
                    "seed": 0,
                }
            ]
        },
    )

    name: JobName = ""
    checkpoint_id: str = Field(description="the frozen checkpoint whose synthetic data score the candidates")
    priority: Priority = 0


class RetrainRequest(FinalTrainingConfig):
    """The optional body of `POST /v1/candidates/{id}/retrain`: what differs from the defaults."""

    model_config = ConfigDict(allow_inf_nan=False, json_schema_extra={"examples": [{"epochs": 20}]})

    name: JobName = ""
    seed: Seed = 0
    priority: Priority = 0
