"""Up to six searches side by side at `/searches/compare`: what each was asked, and how soon it found what."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import HTMLResponse

from services.controller.heavy_requests import HEAVY
from services.controller.pages.job_rows import JobRow, job_row
from services.controller.pages.page import PageDep, page_router
from services.controller.search_analysis import trajectory
from services.dashboard.formats import short_id
from services.dashboard.search_facts import Fact, search_facts
from services.errors import NotFoundError
from services.lifecycle import JobKind
from services.objectives import scoring_conditions
from services.store import JobRecord, JsonObject, Store

router = page_router()

MOST_COMPARED = 6


@dataclass(frozen=True, slots=True)
class Compared:
    """One column of the comparison."""

    row: JobRow
    request: JsonObject
    facts: dict[str, Fact]
    curve: dict[str, Any]  # its best so far


@router.get("/searches/compare", dependencies=[HEAVY])
def get_comparison(
    page: PageDep,
    ids: Annotated[list[str], Query(alias="id", max_length=MOST_COMPARED)] = [],  # noqa: B006
) -> HTMLResponse:
    """Up to six searches; their curves on one plot if they work for the same."""
    compared, missing = [], []
    for each in dict.fromkeys(each.strip() for each in ids if each.strip()):
        try:
            compared.append(_compared(page.store, page.store.get_job(each, JobKind.SEARCH)))
        except NotFoundError:
            missing.append(each)
    conditions = [scoring_conditions(each.request, seeded=False) for each in compared]
    labels = dict.fromkeys(label for each in compared for label in each.facts)
    facts = {label: [each.facts.get(label) for each in compared] for label in labels}
    return page.render(
        "search_comparison.html",
        section="/searches",
        compared=compared,
        missing=missing,
        scored_alike=all(each == conditions[0] for each in conditions),
        objectives=list(dict.fromkeys(each.curve["objective"] for each in compared)),
        facts=facts,
        differing={
            label for label, found in facts.items() if any(not _alike(found[0], each) for each in found)
        },
        curves=[each.curve for each in compared],
    )


def _alike(one: Fact | None, other: Fact | None) -> bool:
    """Whether both ask for the same, whatever their words leave out."""
    return (one and one.value) == (other and other.value)


def _compared(store: Store, search: JobRecord) -> Compared:
    checkpoint = Fact("checkpoint", short_id(search.subject_id or ""), search.subject_id)
    facts = [*search_facts(search.request, whole=True), checkpoint]
    row = job_row(store, search)
    return Compared(
        row=row,
        request=search.request,
        facts={fact.label: fact for fact in facts},
        curve={"name": row.name, **trajectory(store, search).model_dump()},
    )
