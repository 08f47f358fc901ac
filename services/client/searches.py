"""Calls on searches."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Required, TypedDict, Unpack

from services.client.calls import call, listing
from services.client.connection import Connection, path_of
from services.given import given
from services.lifecycle import JobState
from services.schemas import CandidateView, Page, SearchPlan, SearchView


class SearchChanges(TypedDict, total=False):
    """The body of a search request, or what a clone has otherwise; None is as if left out."""

    checkpoint_id: str
    search_space: Mapping[str, Any] | None
    algorithm: Mapping[str, Any] | None
    estimator: Mapping[str, Any] | None
    initial_architectures: Sequence[str] | None
    max_candidates: int | None
    max_seconds: float | None
    max_candidate_seconds: float | None
    objectives: Sequence[str] | None
    constraints: Mapping[str, Any] | None
    resources: Mapping[str, Any] | None
    latency: Mapping[str, Any] | None
    max_concurrent: int | None
    seed: int | None
    name: str | None
    priority: int | None


class SearchOptions(SearchChanges, total=False):
    """The body of a search request; what is left out or None gets the controller's default."""

    checkpoint_id: Required[str]  # type: ignore[misc]  # the one thing that a search cannot do without


class SearchCalls(Connection):
    """Searches: submit, steer, list."""

    @call
    async def create_search(self, /, **options: Unpack[SearchOptions]) -> SearchView:
        """Submit a search, such as `checkpoint_id=..., search_space={"name": "nasbench201"}`."""
        return await self._create("/v1/searches", SearchView, given(**options))

    @call
    async def validate_search(self, /, **options: Unpack[SearchOptions]) -> SearchPlan:
        """Check a search request without submitting it: the request in full, and what it would cost."""
        return await self._create("/v1/searches", SearchPlan, given(**options), {"validate_only": "true"})

    @call
    async def get_search(self, search_id: str) -> SearchView:
        """One search, with its best candidate so far."""
        return await self._get(path_of("searches", search_id), SearchView)

    @listing
    def list_searches(
        self, *, state: JobState | None = None, name: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[SearchView]:
        """Searches, newest first; `name` is a part of theirs."""
        return self._pages("/v1/searches", SearchView, {"state": state, "name": name}, limit)

    @call
    async def pause(self, search_id: str) -> SearchView:
        """Stop scoring until `resume`; what was scored stays."""
        return await self._act(path_of("searches", search_id, "pause"), SearchView)

    @call
    async def clone(self, search_id: str, **changes: Unpack[SearchChanges]) -> SearchView:
        """Submit a new search that asks for what this one did, but for `changes`."""
        return await self._create(path_of("searches", search_id, "clone"), SearchView, given(**changes))

    @call
    async def extend(
        self, search_id: str, *, candidates: int | None = None, seconds: float | None = None
    ) -> SearchView:
        """Let a search score more candidates, or go on for longer, than it was first asked to."""
        body = {"additional_candidates": candidates, "additional_seconds": seconds}
        return await self._create(path_of("searches", search_id, "extend"), SearchView, given(**body))

    @call
    async def pareto(self, search_id: str) -> list[CandidateView]:
        """The candidates that no other beats in every objective of the search."""
        return (await self._get(path_of("searches", search_id, "pareto"), Page[CandidateView])).items
