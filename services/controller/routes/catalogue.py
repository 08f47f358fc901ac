"""What can be asked for: search spaces, algorithms, estimators, data sets."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter

from gtn_core import DatasetSpec, dataset_names
from nas.algorithms import ALGORITHMS
from nas.estimators import ESTIMATORS
from nas.registry import Registry
from nas.search_spaces import SEARCH_SPACES
from services.controller.queries import PageParameters, PageQuery
from services.controller.security import READS
from services.schemas import CatalogueEntry, Page
from services.store import page_of_names

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[READS])


@router.get("/search-spaces", summary="List search spaces")
def list_search_spaces(query: PageParameters) -> Page[CatalogueEntry]:
    """Each with the JSON Schema of the options that stand beside its name."""
    return _registered(SEARCH_SPACES, "search spaces", query)


@router.get("/algorithms", summary="List search algorithms")
def list_algorithms(query: PageParameters) -> Page[CatalogueEntry]:
    """Each with the JSON Schema of the options that stand beside its name."""
    return _registered(ALGORITHMS, "algorithms", query)


@router.get("/estimators", summary="List performance estimators")
def list_estimators(query: PageParameters) -> Page[CatalogueEntry]:
    """Each with the JSON Schema of the options that stand beside its name."""
    return _registered(ESTIMATORS, "estimators", query)


@router.get("/datasets", summary="List data sets")
def list_datasets(query: PageParameters) -> Page[CatalogueEntry]:
    """Each with the JSON Schema of a request's `dataset`."""
    formats = dataset_names()

    def entry(name: str) -> CatalogueEntry:
        schema = _dataset_schema(name, needs_path=formats[name].needs_path)
        return CatalogueEntry(name=name, description=formats[name].description, json_schema=schema)

    return _page(formats, entry, "data sets", query)


def _registered(registry: Registry[Any], list_name: str, query: PageQuery) -> Page[CatalogueEntry]:
    def entry(name: str) -> CatalogueEntry:
        return CatalogueEntry(
            name=name, description=registry.description(name), json_schema=registry.schema(name)
        )

    return _page(registry.names(), entry, list_name, query)


def _page(
    names: Iterable[str], entry: Callable[[str], CatalogueEntry], list_name: str, query: PageQuery
) -> Page[CatalogueEntry]:
    shown, next_cursor = page_of_names(names, list_name, limit=query.limit, cursor=query.cursor)
    return Page(items=[entry(name) for name in shown], next_cursor=next_cursor)


def _dataset_schema(name: str, *, needs_path: bool) -> dict[str, Any]:
    schema = DatasetSpec.model_json_schema()
    schema["properties"]["name"] = {"const": name, **schema["properties"]["name"]}
    if needs_path:
        schema["required"] = [*schema["required"], "path"]
        schema["properties"]["path"] |= {"type": "string"}
        schema["properties"]["path"].pop("anyOf")
    else:
        del schema["properties"]["path"]
    return schema
