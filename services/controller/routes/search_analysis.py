"""What plots and statistics of a search are made of: `trajectory`, `points`, `importance`, `choices`."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.controller.dependencies import StoreDep
from services.controller.heavy_requests import HEAVY
from services.controller.jobs import Search
from services.controller.search_analysis import choice_columns, importance, point_cloud, trajectory
from services.controller.security import READS
from services.objectives import first_objective
from services.schemas.analysis import ChoiceColumns, Importance, Metric, PointCloud, Trajectory

router = APIRouter(prefix="/v1/searches/{search_id}", tags=["searches"], dependencies=[READS, HEAVY])

OfMetric = Annotated[Metric | None, Query(description="left out: the search's first objective")]


@router.get("/trajectory", summary="Get the best value so far, over candidates and over time")
def get_trajectory(job: Search, store: StoreDep) -> Trajectory:
    """Where the best value of the first objective changed; at most 2,000 places of more."""
    return trajectory(store, job)


@router.get("/points", summary="Get candidates as points of two metrics")
def get_points(
    job: Search,
    store: StoreDep,
    x: Metric = "params",
    y: Metric = "accuracy",
    limit: Annotated[int, Query(ge=100, le=20_000)] = 4000,
) -> PointCloud:
    """Of more than `limit` those that look like all; the Pareto front of x and y is always among them."""
    return point_cloud(store, job, x, y, limit=limit)


@router.get("/importance", summary="See which choices go with good scores")
def get_importance(job: Search, store: StoreDep, metric: OfMetric = None) -> Importance:
    """Each option of each choice: candidates with it against those without, with interval and effect size."""
    return importance(store, job, metric or first_objective(job.request))


@router.get("/choices", summary="Get architectures as columns of choices")
def get_choices(
    job: Search,
    store: StoreDep,
    metric: OfMetric = None,
    limit: Annotated[int, Query(ge=2, le=2000)] = 400,
) -> ChoiceColumns:
    """The best candidates, and as many others drawn at random."""
    return choice_columns(store, job, metric or first_objective(job.request), limit=limit)
