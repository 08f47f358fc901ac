"""Every call of the client, against a real server."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gtn_core import FrozenCheckpoint
from nas import Architecture, get_search_space
from nas.weights import weights_to_bytes
from services.artifacts import ArtifactStore
from services.client import ApiError, Client, InvalidApiKeyError
from services.client.candidates import CandidateQuery, RetrainOptions
from services.client.fidelity_reports import FidelityReportOptions
from services.client.searches import SearchChanges, SearchOptions
from services.controller import queries
from services.lifecycle import JobKind, JobState
from services.schemas import SearchView
from services.schemas.fidelity import FidelityReportRequest
from services.schemas.requests import RetrainRequest, SearchRequest
from services.settings import Settings
from services.store import Scope as KeyScope
from services.store import Store

ENCODING = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"
SPACE = {"name": "nasbench201", "channels": 4}


def test_from_a_search_to_its_ranking(client: Client, search: SearchView, run: Callable[[str], None]) -> None:
    run(search.id)
    ended = client.wait(search.id)
    ranked = list(client.candidates(search.id, order_by="-accuracy", state="succeeded"))

    assert ended.state is JobState.SUCCEEDED
    assert [(each.rank, each.number) for each in ranked] == [(1, 1), (2, 2), (3, 0)]
    assert ranked[0].metrics is not None
    assert ranked[0].metrics.accuracy == 0.9
    assert ranked[0].architecture.space == "nasbench201"
    assert [each.number for each in client.pareto(search.id)] == [1]
    assert client.get_candidate(ranked[0].id).loss_curve == [2.0, 1.0]
    best = client.get_search(search.id).best
    assert best is not None
    assert best.id == ranked[0].id


@pytest.mark.parametrize(
    ("typed", "request_model"),
    [
        (SearchOptions, SearchRequest),
        (SearchChanges, SearchRequest),
        (RetrainOptions, RetrainRequest),
        (FidelityReportOptions, FidelityReportRequest),
        (CandidateQuery, queries.CandidateQuery),
    ],
)
def test_everything_that_the_api_takes_has_a_type(typed: Any, request_model: type[BaseModel]) -> None:
    pages = {"limit", "cursor"}  # the iterator's own
    assert set(typed.__annotations__) == set(request_model.model_fields) - pages


def test_none_is_as_if_left_out(client: Client, search: SearchView) -> None:
    again = client.create_search(
        checkpoint_id=search.checkpoint_id,
        search_space=SPACE,
        max_candidates=5,
        algorithm=None,
        seed=None,
        name=None,
    )

    assert again.id != search.id
    assert again.request == search.request


def test_iterators_fetch_page_after_page(
    client: Client,
    store: Store,
    search: SearchView,
    succeed: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.client.connection.PAGE_SIZE", 2)
    store.claim(JobKind.SEARCH, "runner", 60)
    for number in range(5):
        succeed(search.id, number, accuracy=number / 10)

    assert [each.number for each in client.candidates(search.id)] == [4, 3, 2, 1, 0]
    assert [each.number for each in client.candidates(search.id, limit=3)] == [4, 3, 2]
    assert [each.number for each in client.candidates(limit=0)] == []
    assert [each.number for each in client.candidates(order_by="number", max_params=99)] == []


def test_a_search_is_checked_without_being_submitted(client: Client, search: SearchView) -> None:
    plan = client.validate_search(checkpoint_id=search.checkpoint_id, max_candidates=7)

    assert plan.request["max_candidates"] == 7
    assert plan.estimate is None
    assert [each.id for each in client.list_searches()] == [search.id]


def test_a_search_is_steered(client: Client, search: SearchView) -> None:
    assert client.pause(search.id).state is JobState.PAUSED
    assert client.resume(search.id).state is JobState.QUEUED
    assert client.cancel(search.id).state is JobState.CANCELLED
    assert [each.id for each in client.list_searches(state=JobState.CANCELLED)] == [search.id]
    edited = client.edit(search.id, name="the baseline", priority=4)
    assert (edited.name, edited.priority, client.edit(search.id).name) == ("the baseline", 4, "the baseline")
    assert [each.id for each in client.list_searches(name="baseline")] == [search.id]
    assert list(client.list_searches(name="other")) == []
    client.delete(search.id)
    assert list(client.list_searches()) == []


def test_a_search_is_cloned_with_changes(client: Client, search: SearchView) -> None:
    same = client.clone(search.id)
    changed = client.clone(search.id, seed=7, max_candidates=9, priority=2, name=None)

    assert len({search.id, same.id, changed.id}) == 3
    assert same.request == search.request
    assert changed.request == search.request | {"seed": 7, "max_candidates": 9, "priority": 2}


def test_a_search_is_extended_once_though_the_answer_was_lost(
    client: Client, network: Any, search: SearchView, run: Callable[[str], None]
) -> None:
    run(search.id)
    network.answers_to_lose = 2
    # The search is over, after 4 of 5 candidates.
    extended = client.extend(search.id, candidates=10)

    assert (extended.state, extended.progress.total) == (JobState.QUEUED, 15)
    assert client.get_search(search.id).request["max_candidates"] == 15
    assert network.requests == [f"POST /v1/searches/{search.id}/extend"] * 2


def test_jobs_of_every_kind_are_found_by_their_id(
    client: Client, search: SearchView, run: Callable[[str], None]
) -> None:
    run(search.id)
    meta_training = client.create_meta_training(
        {"name": "digits"}, {"meta_steps": 7}, seed=1, name="a name", priority=3
    )
    final_training = client.retrain(f"{search.id}-1", epochs=2)

    assert client.get_job(search.id) == client.get_search(search.id)
    for submitted, get in (
        (meta_training, client.get_meta_training),
        (final_training, client.get_final_training),
    ):
        found = client.get_job(submitted.id)
        assert found == get(submitted.id)
        assert found == submitted.model_copy(update={"last_event_id": found.last_event_id})
    assert (meta_training.progress.total, meta_training.name) == (7, "a name")
    assert meta_training.request["priority"] == 3
    assert final_training.progress.total == 2
    assert [each.id for each in client.list_meta_trainings()] == [meta_training.id]
    assert [each.id for each in client.list_final_trainings()] == [final_training.id]
    assert client.cancel(final_training.id).state is JobState.CANCELLED


def test_checkpoints_travel(client: Client, checkpoint: FrozenCheckpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "digits.gtn")
    stored = client.create_checkpoint(tmp_path / "digits.gtn")

    assert stored.id == checkpoint.id == client.create_checkpoint(checkpoint.to_bytes()).id
    assert client.get_checkpoint(stored.id).manifest["dataset"]["name"] == "digits"
    assert [each.id for each in client.list_checkpoints()] == [stored.id]
    assert client.download_checkpoint(stored.id) == checkpoint.to_bytes()
    assert client.samples(stored.id).startswith(b"\x89PNG")
    assert client.curves(stored.id).startswith(b"\x89PNG")


def test_a_trained_candidate_is_exported(
    client: Client, store: Store, settings: Settings, search: SearchView, checkpoint: FrozenCheckpoint
) -> None:
    space = get_search_space(**search.request["search_space"])
    network = space.build(
        Architecture("nasbench201", ENCODING),
        image_shape=checkpoint.manifest.image_shape,
        num_classes=10,
        seed=0,
    )
    store.claim(JobKind.SEARCH, "runner", 60)
    store.add_candidate(
        "runner", search.id, 0, space="nasbench201", encoding=ENCODING, canonical_hash="", seed=0
    )
    metrics = {"accuracy": 0.5, "loss": 1.0, "params": 1, "flops": 1, "seconds": 0.1}
    store.finish_candidate("runner", search.id, 0, metrics=metrics)
    training = client.retrain(f"{search.id}-0")
    store.claim(JobKind.FINAL_TRAINING, "worker", 60)
    weights = ArtifactStore(settings.resolved_artifacts_url).put(weights_to_bytes(network))
    store.finish(training.id, "worker", result={"test_accuracy": 0.9, "weights": weights})

    with zipfile.ZipFile(io.BytesIO(client.export(f"{search.id}-0"))) as archive:
        assert archive.namelist() == ["model.py", "model.safetensors"]
    candidate = client.get_candidate(f"{search.id}-0")
    assert candidate.final_training is not None
    assert candidate.final_training.test_accuracy == 0.9


def test_the_catalogue_and_the_cluster(client: Client) -> None:
    assert "nasbench201" in {entry.name for entry in client.search_spaces()}
    assert "random_search" in {entry.name for entry in client.algorithms()}
    assert "gtn" in {entry.name for entry in client.estimators()}
    digits = next(entry for entry in client.datasets() if entry.name == "digits")
    assert digits.json_schema["properties"]["name"]["const"] == "digits"
    assert client.cluster().cpus.total >= 1
    assert client.health().status == "ok"


def test_a_refusal_is_one_clear_line(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        client.create_search(checkpoint_id="nosuch", search_space={"name": "nosuch"})
    with pytest.raises(ApiError) as unknown:
        client.get_job("nosuch")

    assert refused.value.status == 422
    assert [error.field for error in refused.value.problem.errors] == ["checkpoint_id"]
    assert str(refused.value).count("checkpoint_id: no checkpoint with id 'nosuch'") == 1
    assert "\n" not in str(refused.value)
    assert unknown.value.status == 404


def test_a_key_is_sent_when_there_is_one(client: Client, store: Store) -> None:
    _, token = store.create_api_key("reader", [KeyScope.READ])

    with pytest.raises(ApiError, match="carries no API key") as refused:
        next(client.list_searches())
    with Client(client.url, api_key=token) as trusted:
        assert list(trusted.list_searches()) == []
    assert refused.value.status == 401
    with Client(client.url, api_key=f" {token}\n") as trusted:  # as `echo` writes keys into secrets
        assert list(trusted.list_searches()) == []


@pytest.mark.parametrize("key", ["gtn_secret\nsecret", "geschlüsselt-secret", "secret\x00"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(InvalidApiKeyError) as refused:
        Client(api_key=key)
    assert "secret" not in str(refused.value)


def test_an_id_cannot_leave_its_place_in_the_path(client: Client) -> None:
    for strange in ("../healthz", "..", "."):
        with pytest.raises(ApiError) as refused:
            client.get_search(strange)

        assert refused.value.status == 404
