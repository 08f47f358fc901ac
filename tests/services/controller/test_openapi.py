"""The OpenAPI document: valid, complete, true, and good enough to generate a client from."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from datamodel_code_generator import DataModelType, InputFileType, generate
from datamodel_code_generator.format import Formatter
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.controller.openapi_examples import ANSWERS
from services.lifecycle import JobKind
from services.store import Scope, Store

OPERATIONS = {
    "create_meta_training", "list_meta_trainings", "get_meta_training", "cancel_meta_training",
    "resume_meta_training", "resume_final_training",
    "follow_meta_training", "create_checkpoint", "list_checkpoints", "get_checkpoint",
    "download_checkpoint", "get_samples", "get_curves", "create_search", "list_searches", "get_search",
    "delete_search", "pause_search", "resume_search", "cancel_search", "follow_search",
    "list_search_candidates", "get_pareto_front", "list_candidates", "get_candidate", "retrain_candidate",
    "export_candidate", "list_final_trainings", "get_final_training", "cancel_final_training",
    "follow_final_training", "list_search_spaces", "list_algorithms", "list_estimators", "list_datasets",
    "get_cluster", "get_health", "get_readiness", "get_metrics",
}  # fmt: skip


@pytest.fixture
def document(http: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = http.get("/openapi.json").json()
    return answer


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_document_is_valid_and_for_people_too(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    for path, method, operation in operations(document):
        assert operation["tags"], (method, path)
        assert operation["summary"], (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_operation_ids_of_released_operations_stay(document: dict[str, Any]) -> None:
    """Generated clients name their functions after them: one may be added here, none may go."""
    found = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(found) == len(set(found))
    assert set(found) >= OPERATIONS


def test_every_operation_lists_its_errors_as_problem_details(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        errors = {status for status in operation["responses"] if status >= "400"}
        assert "500" in errors, (method, path)
        assert ("401" in errors) == ("429" in errors) == path.startswith(("/v1", "/metrics")), (method, path)
        assert ("404" in errors) == ("{" in path), (method, path)
        assert ("requestBody" in operation) == ("413" in errors), (method, path)
        for status in errors - {"503"}:
            name = operation["responses"][status]["$ref"].rpartition("/")[2]
            content = document["components"]["responses"][name]["content"]
            assert list(content) == ["application/problem+json"]
            assert content["application/problem+json"]["examples"]


def test_every_json_answer_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    seen = set()
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json")
            if content is None:
                continue
            schema = content["schema"] | {"components": document["components"]}
            jsonschema.Draft202012Validator(schema).validate(content["example"])
            seen.add((operation["operationId"], status))
    assert seen >= set(ANSWERS)


def test_every_request_body_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("MetaTrainingRequest", "SearchRequest", "RetrainRequest"):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        assert schemas[name]["examples"]
        for example in schemas[name]["examples"]:
            jsonschema.Draft202012Validator(schema).validate(example)


def test_an_answer_links_to_all_that_can_be_done_with_what_it_tells(document: dict[str, Any]) -> None:
    report = document["paths"]["/v1/fidelity-reports"]["post"]["responses"]["201"]["links"]
    assert set(report) == {
        f"{act}_fidelity_report" for act in ("get", "edit", "cancel", "resume", "delete", "follow")
    }


def test_streams_name_the_events_that_every_job_has(document: dict[str, Any]) -> None:
    streams = [each for _, _, each in operations(document) if each["operationId"].startswith("follow_")]
    assert len(streams) == len(JobKind)
    for stream in streams:
        assert "`state`, `edited`, `waiting`, `suspended`, " in stream["description"]


def test_the_security_scheme_is_named_and_used(http: TestClient, document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    open_to_all = {path for path, _, operation in operations(document) if "security" not in operation}

    assert open_to_all == {"/healthz", "/readyz"}


@pytest.fixture
def generated(document: dict[str, Any], http: TestClient, tmp_path: Path) -> ModuleType:
    """The models that a client generator makes of the document."""
    output = tmp_path / "generated_models.py"
    generate(
        http.get("/openapi.json").text,
        input_file_type=InputFileType.OpenAPI,
        output=output,
        output_model_type=DataModelType.PydanticV2BaseModel,
        formatters=[Formatter.BUILTIN],
    )
    spec = importlib.util.spec_from_file_location("generated_models", output)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generated_models"] = module
    spec.loader.exec_module(module)
    return module


def test_a_generated_client_reads_what_the_controller_answers(
    http: TestClient, store: Store, generated: ModuleType, scored_search: str, search_body: dict[str, Any]
) -> None:
    body = generated.SearchRequest.model_validate(search_body).model_dump(mode="json", exclude_unset=True)
    created = http.post("/v1/searches", json=body)
    reads = {
        "SearchView": created,
        "SearchPlan": http.post("/v1/searches", json=body, params={"validate_only": True}),
        "SearchPage": http.get("/v1/searches"),
        "CandidatePage": http.get(f"/v1/searches/{scored_search}/candidates"),
        "CandidateDetail": http.get(f"/v1/candidates/{scored_search}-2"),
        "CheckpointPage": http.get("/v1/checkpoints"),
        "CataloguePage": http.get("/v1/search-spaces"),
        "ClusterView": http.get("/v1/cluster"),
        "Readiness": http.get("/readyz"),
        "ProblemDetails": http.get("/v1/searches/nosuch"),
    }
    parsed = {
        name: getattr(generated, name).model_validate_json(answer.text) for name, answer in reads.items()
    }

    assert created.status_code == 201
    assert parsed["CandidatePage"].items[0].metrics.accuracy == 0.9
    assert parsed["CandidateDetail"].loss_curve == [2.0, 1.0]
    assert parsed["ProblemDetails"].status == 404
    _, token = store.create_api_key("reader", [Scope.READ])
    refused = generated.ProblemDetails.model_validate_json(http.get("/v1/searches").text)
    allowed = http.get("/v1/searches", headers={"Authorization": f"Bearer {token}"})
    assert (refused.status, allowed.status_code) == (401, 200)
