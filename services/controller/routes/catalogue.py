"""What can be asked for: search spaces, algorithms, estimators, data sets."""

from typing import Any

from fastapi import APIRouter

from gtn_core import DatasetSpec, dataset_names
from nas.algorithms import ALGORITHMS
from nas.estimators import ESTIMATORS
from nas.registry import Registry
from nas.search_spaces import SEARCH_SPACES
from services.controller.security import READS
from services.schemas import CatalogueEntry, Page

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[READS])


@router.get("/search-spaces", summary="List search spaces")
def list_search_spaces() -> Page[CatalogueEntry]:
    """Each with the JSON Schema of the options that stand beside its name."""
    return _entries(SEARCH_SPACES)


@router.get("/algorithms", summary="List search algorithms")
def list_algorithms() -> Page[CatalogueEntry]:
    """Each with the JSON Schema of the options that stand beside its name."""
    return _entries(ALGORITHMS)


@router.get("/estimators", summary="List performance estimators")
def list_estimators() -> Page[CatalogueEntry]:
    """Each with the JSON Schema of the options that stand beside its name."""
    return _entries(ESTIMATORS)


@router.get("/datasets", summary="List data sets")
def list_datasets() -> Page[CatalogueEntry]:
    """Each with the JSON Schema of a request's `dataset`."""
    return Page(
        items=[
            CatalogueEntry(
                name=each.name,
                description=each.description,
                json_schema=_dataset_schema(each.name, needs_path=each.needs_path),
            )
            for each in dataset_names().values()
        ]
    )


def _entries(registry: Registry[Any]) -> Page[CatalogueEntry]:
    return Page(
        items=[
            CatalogueEntry(
                name=name, description=registry.description(name), json_schema=registry.schema(name)
            )
            for name in registry.names()
        ]
    )


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
