"""The form at /searches/new: made from schemas, checked as one types, with what the search would cost."""

import hashlib
import json
import math
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from gtn_core.errors import UnknownNameError
from nas.algorithms import ALGORITHMS
from nas.estimators import ESTIMATORS
from nas.named_config import NamedConfig
from nas.registry import PluginError, Registry
from nas.search_spaces import SEARCH_SPACES
from nas.search_spec import own_objective
from services.controller.cluster import cluster_view
from services.controller.error_handlers import field_problems
from services.controller.jobs import OwnerKey
from services.controller.pages.page import ACTS, Page, PageDep, page_router
from services.controller.problems import Problem, invalid_field
from services.controller.rankings import estimate_cost
from services.controller.security import needs_key
from services.controller.submission import Submission
from services.controller.validation import check_search
from services.controller.views import checkpoint_view
from services.dashboard.equivalents import curl_command, search_command
from services.dashboard.schema_form import FormField, fields_of, read_form
from services.errors import ClusterUnavailableError
from services.lifecycle import CandidateState, JobKind
from services.schemas import ClusterView, CostEstimate, FieldProblem
from services.schemas.checkpoints import latest
from services.schemas.requests import SearchRequest
from services.store import CandidateFilter, IdempotencyKey, JobRecord, JsonObject, Store

router = page_router()

PARTS: dict[str, Registry[Any]] = {
    "search_space": SEARCH_SPACES,
    "algorithm": ALGORITHMS,
    "estimator": ESTIMATORS,
}
CHECKPOINTS_OFFERED = 100
BEST_OFFERED = 20
FURTHER = (
    "initial_architectures",
    "constraints.max_params",
    "constraints.max_flops",
    "constraints.max_latency_ms",
    "latency.batch_size",
    "latency.repeats",
    "resources.cpus_per_candidate",
    "resources.gpus_per_candidate",
    "seed",
    "priority",
)
"""The fields that most people leave as they are."""


@dataclass(frozen=True, slots=True)
class Part:
    """A registered thing that is chosen by name, with its options."""

    name: str
    label: str
    chosen: str
    description: str
    offered: dict[str, str]  # name -> description
    fields: list[FormField]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a filled-in form comes to."""

    request: JsonObject  # as it would be sent
    checked: SearchRequest | None = None
    estimate: CostEstimate | None = None
    at_a_time: int | None = None
    unused_gpus: float = 0.0  # of the cluster, where the request asks for none
    errors: list[FieldProblem] = field(default_factory=list)

    @property
    def by_field(self) -> dict[str, str]:
        """What is wrong, by the field of the form that it is about."""
        known = {each.name for each in _own_fields({})} | {"objectives", "checkpoint_id"}
        for name in PARTS:
            known |= {f"{name}.name"} | {each.name for each in _part(name, self._chosen(name)).fields}
        return {_within(error.field, known): error.message for error in reversed(self.errors)}

    def _chosen(self, part: str) -> JsonObject:
        named: JsonObject = self.request.get(part, {})
        return named

    @property
    def seconds(self) -> float | None:
        """How long the search would take here, by the estimate."""
        if self.estimate is None or not self.at_a_time:
            return None
        rounds = math.ceil(self.estimate.candidates / self.at_a_time)
        return rounds * self.estimate.seconds_per_candidate


async def _form(request: Request) -> dict[str, list[str]]:
    form = await request.form()
    return {name: [text for text in form.getlist(name) if isinstance(text, str)] for name in form}


FormDep = Annotated[dict[str, list[str]], Depends(_form)]


@router.get("/searches/new")
def get_form(
    page: PageDep,
    like: Annotated[str | None, Query(alias="from", max_length=64)] = None,
    checkpoint: Annotated[str | None, Query(max_length=64)] = None,
    best_of: Annotated[str | None, Query(max_length=64)] = None,
) -> HTMLResponse:
    """The form; `from` fills it in with the request of another search, `best_of` with what that found."""
    values: JsonObject = {}
    if like is not None:
        values = dict(page.store.get_job(like, JobKind.SEARCH).request)
    if best_of is not None:
        values |= _from_best(page.store, page.store.get_job(best_of, JobKind.SEARCH))
    if checkpoint is not None:
        values["checkpoint_id"] = checkpoint
    return _page(page, values, nonce=secrets.token_urlsafe(16))


@router.get("/searches/new/options")
def get_options(page: PageDep, request: Request, part: Annotated[str, Query()]) -> HTMLResponse:
    """The options of what was chosen in one part of the form."""
    if part not in PARTS:
        raise invalid_field("part", f"there is no part {part!r}", part, f"one of: {', '.join(PARTS)}")
    chosen = request.query_params.get(f"{part}.name", "")
    return page.render("new_search_options.html", part=_part(part, {"name": chosen}))


@router.post("/searches/new/check", dependencies=ACTS)
def check(page: PageDep, form: FormDep) -> HTMLResponse:
    """What the form comes to so far: what is wrong with it, or what it would cost and how to send it."""
    return _plan_page(page, _plan(page, _said(form)))


@router.post("/searches/new", dependencies=ACTS)
def submit(page: PageDep, form: FormDep, owner_key: OwnerKey) -> Response:
    """Submit the search; the same form sent twice submits it once."""
    said, nonce = _said(form), form.get("nonce", [""])[0]
    plan = _plan(page, said)
    if plan.checked is None:
        return _page(page, said, nonce=nonce, plan=plan, status=422)
    body = plan.checked.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    caller = page.caller.id if page.caller else ""
    idempotency = IdempotencyKey(f"{nonce} {digest}", f"POST /searches/new {caller}".rstrip(), digest)
    job = Submission(page.store, owner_key, idempotency).search(plan.checked)
    return page.redirect(f"/searches/{job.id}")


def _from_best(store: Store, job: JobRecord) -> JsonObject:
    found = store.list_candidates(
        CandidateFilter(job.id, CandidateState.SUCCEEDED), order_by="rank", limit=BEST_OFFERED
    )
    return {
        "checkpoint_id": job.subject_id,
        "search_space": job.request["search_space"],
        "initial_architectures": [candidate.encoding for candidate in found.items],
    }


def _page(
    page: Page, values: JsonObject, *, nonce: str, plan: Plan | None = None, status: int = 200
) -> HTMLResponse:
    checkpoints = page.store.list_checkpoints(limit=CHECKPOINTS_OFFERED).items
    chosen = latest(checkpoint_view(each) for each in checkpoints)
    fields = {each.name: each for each in _own_fields(values)}
    return page.render(
        "new_search.html",
        section="/searches",
        status=status,
        checkpoints=checkpoints,
        checkpoint=values.get("checkpoint_id") or (chosen.id if chosen else ""),
        parts=[_part(name, values.get(name) or {}) for name in PARTS],
        fields=fields,
        objectives=_objectives(values),
        further=FURTHER,
        nonce=nonce,
        plan=plan,
        **_commands(page, plan),
    )


def _plan_page(page: Page, plan: Plan) -> HTMLResponse:
    return page.render("new_search_plan.html", plan=plan, **_commands(page, plan))


def _commands(page: Page, plan: Plan | None) -> dict[str, Any]:
    if plan is None:
        return {"curl": "", "cli": None}
    url = str(page.request.base_url).rstrip("/")
    with_key = needs_key(page.settings, page.store)
    return {
        "curl": curl_command(url, plan.request, with_key=with_key),
        "cli": search_command(url, plan.request),
    }


def _part(name: str, values: JsonObject) -> Part:
    registry = PARTS[name]
    default: str = SearchRequest.model_fields[name].default.name
    chosen = values.get("name") or default
    known = chosen in registry.names()
    return Part(
        name=name,
        label=name.replace("_", " ").capitalize(),
        chosen=chosen,
        description=registry.description(chosen) if known else "",
        offered={each: registry.description(each) for each in registry.names()},
        fields=fields_of(registry.schema(chosen), values, f"{name}.") if known else [],
    )


def _own_fields(values: JsonObject) -> list[FormField]:
    """The fields of a search itself, apart from its parts."""
    schema = SearchRequest.model_json_schema()
    apart = {*PARTS, "checkpoint_id", "objectives"}
    schema["properties"] = {key: each for key, each in schema["properties"].items() if key not in apart}
    return fields_of(schema, values)


def _objectives(values: JsonObject) -> tuple[tuple[str, ...], list[str]]:
    """What may be an objective, and what is."""
    offered = SearchRequest.model_json_schema()["properties"]["objectives"]["items"]["enum"]
    return tuple(offered), list(values.get("objectives") or ())


def _said(form: dict[str, list[str]]) -> JsonObject:
    """The request that a form says."""
    said: JsonObject = {"checkpoint_id": form.get("checkpoint_id", [""])[0]}
    said |= read_form(_own_fields({}), form)
    for name in PARTS:
        chosen = form.get(f"{name}.name", [""])[0]
        options = read_form(_part(name, {"name": chosen}).fields, form).get(name, {})
        said[name] = {"name": chosen} | options if chosen else {}
    objective, further = form.get("objective", [""])[0], form.get("further_objectives", [])
    if objective or further:
        said["objectives"] = list(dict.fromkeys([objective or _own_objective(said["estimator"]), *further]))
    return {key: value for key, value in said.items() if value not in ({}, "")}


def _own_objective(estimator: JsonObject) -> str:
    """What the search works for where the form leaves that to the estimator; further ones come after it."""
    try:
        return own_objective(NamedConfig.model_validate(estimator))
    except (UnknownNameError, PluginError, ValidationError):  # refused for its own sake
        return "accuracy"


def _plan(page: Page, said: JsonObject) -> Plan:
    try:
        checked = check_search(SearchRequest.model_validate(said), page.settings, page.store)
    except ValidationError as error:
        return Plan(said, errors=field_problems(error.errors(include_url=False)))
    except Problem as problem:
        return Plan(said, errors=problem.errors or [FieldProblem(field="body", message=problem.detail)])
    estimate = estimate_cost(page.store, checked.model_dump(mode="json"))
    cluster = _cluster(page)
    if cluster is None:
        return Plan(said, checked, estimate)
    unused_gpus = 0.0 if checked.resources.gpus_per_candidate else cluster.gpus.total
    return Plan(said, checked, estimate, _at_a_time(cluster, checked), unused_gpus)


def _within(path: str, known: set[str]) -> str:
    """The field of the form that holds what a path names."""
    while path not in known and "." in path:
        path = path.rpartition(".")[0]
    return path


def _cluster(page: Page) -> ClusterView | None:
    """The machines; None if they are away."""
    try:
        return cluster_view(page.store, page.settings.ray_jobs_url)
    except ClusterUnavailableError:
        return None


def _at_a_time(cluster: ClusterView, request: SearchRequest) -> int:
    """How many candidates the cluster could score at a time if it did nothing else."""
    slots = sum(
        request.resources.slots(cpus=node.cpus.total, gpus=node.gpus.total)
        for node in cluster.nodes
        if node.alive
    )
    return min(slots, request.max_concurrent or slots)
