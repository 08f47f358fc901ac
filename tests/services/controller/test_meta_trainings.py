"""Meta-trainings over HTTP, and which data sets they may name."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from gtn_core import DatasetSpec
from services.controller.app import create_app
from services.controller.validation import check_dataset, dataset_roots
from services.lifecycle import JobKind
from services.settings import Settings
from services.store import Scope, Store

BODY = {
    "dataset": {"name": "digits"},
    "config": {"inner_steps": 10, "batch_size": 32, "meta_steps": 200},
    "seed": 3,
    "name": "digits",
}


def test_a_meta_training_is_queued_with_every_default_filled_in(http: TestClient, store: Store) -> None:
    answer = http.post("/v1/meta-trainings", json=BODY)

    assert answer.status_code == 201
    run = answer.json()
    assert answer.headers["Location"] == f"/v1/meta-trainings/{run['id']}"
    assert (run["state"], run["name"], run["progress"]) == ("queued", "digits", {"done": 0, "total": 200})
    assert run["checkpoint_id"] is run["result"] is run["error"] is None
    assert run["request"]["config"]["latent_size"] >= 1
    assert run["request"]["seed"] == 3
    assert store.get_job(run["id"], JobKind.META_TRAINING).request == run["request"]


def test_its_product_is_named_once_it_has_succeeded(http: TestClient, store: Store) -> None:
    run_id = http.post("/v1/meta-trainings", json=BODY).json()["id"]
    store.claim(JobKind.META_TRAINING, "worker", 60)
    store.finish(run_id, "worker", result={"checkpoint_id": "abc", "validation_accuracy": 0.9})

    run = http.get(f"/v1/meta-trainings/{run_id}").json()

    assert (run["state"], run["checkpoint_id"]) == ("succeeded", "abc")
    assert run["finished_at"] is not None


def test_a_failed_run_tells_why_and_is_resumed(http: TestClient, store: Store) -> None:
    run_id = http.post("/v1/meta-trainings", json=BODY).json()["id"]
    store.claim(JobKind.META_TRAINING, "worker", 60)
    store.finish(run_id, "worker", error={"title": "MetaTrainingDiverged", "detail": "loss is nan at step 7"})

    error = http.get(f"/v1/meta-trainings/{run_id}").json()["error"]

    assert (error["title"], error["detail"]) == ("MetaTrainingDiverged", "loss is nan at step 7")

    again = http.post(f"/v1/meta-trainings/{run_id}/resume").json()

    assert (again["state"], again["error"]) == ("queued", None)


def test_a_run_can_be_cancelled_and_listed_by_state(http: TestClient) -> None:
    kept, cancelled = (http.post("/v1/meta-trainings", json=BODY).json()["id"] for _ in range(2))
    assert http.post(f"/v1/meta-trainings/{cancelled}/cancel").json()["state"] == "cancelled"

    listed = http.get("/v1/meta-trainings", params={"state": "queued"}).json()["items"]

    assert [run["id"] for run in listed] == [kept]


@pytest.mark.parametrize("method_path", ["GET ", "POST /cancel", "GET /events"])
def test_an_unknown_run_is_not_found(http: TestClient, method_path: str) -> None:
    method, _, path = method_path.partition(" ")
    assert http.request(method, f"/v1/meta-trainings/nosuch{path}").status_code == 404


@pytest.mark.parametrize(
    ("change", "field", "given"),
    [
        ({"dataset": {"name": "nosuch"}}, "dataset.name", "nosuch"),
        ({"dataset": {"name": "digits", "path": "/x"}}, "dataset.path", "/x"),
        ({"dataset": {"name": "mnist"}}, "dataset.path", None),
        ({"dataset": {"name": "mnist", "path": "/etc/passwd"}}, "dataset.path", "/etc/passwd"),
        ({"dataset": {"name": "mnist", "path": "a\0b"}}, "dataset.path", "a\0b"),
        ({"dataset": {"name": "mnist", "path": "~nosuchuser/x"}}, "dataset.path", "~nosuchuser/x"),
        ({"dataset": {"name": "digits", "image_size": 0}}, "dataset.image_size", 0),
        ({"dataset": {"name": "digits", "image_size": 99}}, "dataset.image_size", 99),
        ({"dataset": "digits"}, "dataset", "digits"),
        ({"config": {"meta_steps": -1}}, "config.meta_steps", -1),
        ({"config": {"meta_steps": 0}}, "config.meta_steps", 0),
        ({"config": {"colour": 1}}, "config.colour", 1),
        ({"seed": -1}, "seed", -1),
        ({"learner_space": {"name": "nosuch"}}, "learner_space.name", "nosuch"),
        ({"learner_space": {"name": "nasbench201", "channels": 0}}, "learner_space.channels", 0),
        (
            {"learner_space": {"name": "nasbench201"}, "learner_space_fraction": 1.5},
            "learner_space_fraction",
            1.5,
        ),
    ],
)
def test_a_bad_field_is_named(
    http: TestClient, store: Store, change: dict[str, Any], field: str, given: Any
) -> None:
    answer = http.post("/v1/meta-trainings", json=BODY | change)

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error.get("given")) == (field, given)
    assert store.list_jobs(JobKind.META_TRAINING).items == []


def test_a_share_of_learners_needs_their_search_space(http: TestClient) -> None:
    answer = http.post("/v1/meta-trainings", json=BODY | {"learner_space_fraction": 0.5})

    assert answer.status_code == 422
    assert "name a search space" in answer.json()["errors"][0]["message"]


def test_an_unknown_data_set_is_answered_with_those_that_are_known(http: TestClient) -> None:
    error = http.post("/v1/meta-trainings", json={"dataset": {"name": "nosuch"}}).json()["errors"][0]

    assert "digits" in error["expected"]
    assert "mnist" in error["expected"]


def test_paths_lie_below_a_configured_root_whatever_they_are_called(http: TestClient, tmp_path: Path) -> None:
    root, outside = tmp_path / "datasets", tmp_path / "private"
    (root / "mnist").mkdir(parents=True)
    outside.mkdir()
    (root / "link").symlink_to(outside)
    answers = {
        path: http.post("/v1/meta-trainings", json={"dataset": {"name": "mnist", "path": str(path)}})
        for path in (root, root / "mnist", root / ".." / "private", root / "link", outside)
    }

    assert [answer.status_code for answer in answers.values()] == [201, 201, 422, 422, 422]
    # What is stored is the path that was checked, so that a later link changes nothing.
    assert answers[root / "mnist"].json()["request"]["dataset"]["path"] == str((root / "mnist").resolve())
    assert str(root) in answers[outside].json()["errors"][0]["expected"]


def test_paths_lie_anywhere_until_a_key_exists_and_then_in_the_folder_of_data_sets(
    app_database_url: str, store: Store, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=app_database_url)
    (settings.data_dir / "datasets").mkdir(parents=True)
    body = {"dataset": {"name": "mnist", "path": str(tmp_path)}}
    inside = {"dataset": {"name": "mnist", "path": str(settings.data_dir / "datasets")}}
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8000") as http:
        assert http.post("/v1/meta-trainings", json=body).status_code == 201
        _, token = store.create_api_key("someone's", [Scope.SUBMIT])
        http.headers["Authorization"] = f"Bearer {token}"
        answer = http.post("/v1/meta-trainings", json=body)
        (error,) = answer.json()["errors"]

        assert answer.status_code == 422
        assert (error["field"], error["given"]) == ("dataset.path", str(tmp_path))
        assert error["expected"] == f"a path below {settings.data_dir / 'datasets'} (GTN_NAS_DATASET_ROOTS)"
        assert http.post("/v1/meta-trainings", json=inside).status_code == 201


def test_the_roots_of_data_sets_are_the_settings_or_else_the_controllers_to_choose(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "datasets"
    assert dataset_roots(Settings(data_dir=tmp_path), store) == (Path("/"),)
    assert dataset_roots(Settings(data_dir=tmp_path, host="0.0.0.0"), store) == (folder,)
    assert dataset_roots(Settings(data_dir=tmp_path, api_key=SecretStr("k" * 16)), store) == (folder,)
    assert dataset_roots(Settings(dataset_roots=(tmp_path,)), store) == (tmp_path,)


def test_a_path_that_does_not_exist_is_refused_where_all_processes_share_the_files(
    http: TestClient, settings: Settings, store: Store, tmp_path: Path
) -> None:
    missing = str(tmp_path / "datasets" / "nowhere")
    body = {"dataset": {"name": "mnist", "path": missing}}
    (error,) = http.post("/v1/meta-trainings", json=body).json()["errors"]

    assert (error["field"], error["given"]) == ("dataset.path", missing)
    assert error["message"] == f"there is no {missing} on this machine"
    assert settings.one_machine
    elsewhere = settings.model_copy(update={"database_url": SecretStr("postgresql://db/gtn_nas")})
    asked = DatasetSpec(name="mnist", path=missing)
    assert check_dataset(asked, elsewhere, store, "dataset").path == missing


def test_a_path_that_no_file_can_have_is_the_requests_fault(http: TestClient, tmp_path: Path) -> None:
    path = str(tmp_path / "datasets" / ("x" * 10_000))
    answer = http.post("/v1/meta-trainings", json={"dataset": {"name": "npz", "path": path}})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "dataset.path"
    assert error["message"].endswith("cannot be read: File name too long")


def test_learner_space_options_are_filled_in(http: TestClient) -> None:
    run = http.post("/v1/meta-trainings", json=BODY | {"learner_space": {"name": "nasbench201"}}).json()

    assert run["request"]["learner_space"]["channels"] >= 1
    assert run["request"]["learner_space_fraction"] == 1.0


CELLS = {"learner_space": {"name": "nasbench201", "channels": 4}}
RANKED = BODY | CELLS | {"config": {"ranking_weight": 1.0, "learners_per_meta_step": 2}}
TABLE = (
    "architecture,accuracy\n"
    "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|,80\n"
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_1x1~2|,90\n"
)


def test_an_order_to_teach_is_taken_from_a_table_or_from_real_trainings(http: TestClient) -> None:
    trained = http.post("/v1/meta-trainings", json=RANKED)
    assert trained.status_code == 201
    table = {"calibration_set": {"table": {"csv": TABLE}, "architectures": 2}, "resources": {"ranks": 2}}
    run = http.post("/v1/meta-trainings", json=RANKED | table).json()
    assert run["request"]["calibration_set"]["steps"] >= 1
    assert run["request"]["resources"] == {"ranks": 2, "cpus_per_rank": 1.0, "gpus_per_rank": 0.0}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (BODY | {"config": {"ranking_weight": 1}}, None),  # no space whose architectures are ranked
        (BODY | CELLS | {"calibration_set": {}}, None),  # no weight
        (RANKED | {"calibration_set": {"table": {}}}, "calibration_set.table"),
        (RANKED | {"calibration_set": {"table": {"csv": TABLE}}}, "calibration_set.table.csv"),  # 2 of 40
        (RANKED | {"calibration_set": {"table": {"csv": "a,b\nx,1\n"}}}, "calibration_set.table.csv"),
        (RANKED | {"calibration_set": {"table": {"path": "/etc/passwd"}}}, "calibration_set.table.path"),
        (RANKED | {"resources": {"ranks": 3}}, None),  # two learners
        (RANKED | {"resources": {"ranks": 0}}, "resources.ranks"),
    ],
)
def test_an_order_that_cannot_be_taught_is_refused(
    http: TestClient, body: dict[str, Any], field: str | None
) -> None:
    answer = http.post("/v1/meta-trainings", json=body)
    assert answer.status_code == 422
    if field is not None:
        assert [error["field"] for error in answer.json()["errors"]] == [field]
