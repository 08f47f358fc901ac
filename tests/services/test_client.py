"""The client against a real server, and against one that loses answers."""

import io
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from gtn_core import FrozenCheckpoint, MetaTrainingConfig, load_dataset, meta_train
from nas import Architecture, get_search_space
from nas.weights import weights_to_bytes
from services.artifacts import ArtifactStore
from services.client import ApiError, Client, ControllerUnreachableError
from services.controller.app import create_app
from services.controller.server import ControllerServer
from services.lifecycle import Action, JobKind, JobState
from services.ports import bind
from services.schemas import EventView, SearchView
from services.settings import Settings
from services.store import Scope as KeyScope
from services.store import Store

ENCODING = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"
SPACE = {"name": "nasbench201", "channels": 4}


@pytest.fixture(scope="session")
def checkpoint() -> FrozenCheckpoint:
    config = MetaTrainingConfig(
        inner_steps=2, batch_size=4, meta_steps=1, generator_hidden=8, generator_channels=(4, 4),
        learner_channels=(4,), learner_hidden=8, outer_batch_size=16,
    )  # fmt: skip
    return meta_train(load_dataset("digits"), config)


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: what a client sees does not depend on the engine."""
    path = tmp_path / "controller.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database_url)


class Faltering:
    """The real application behind a path that loses some of its answers."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.state = app, app.state
        self.requests: list[str] = []
        self.answers_to_lose = 0
        self.status = 503

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.answers_to_lose:
            await self.app(scope, receive, send)
            return
        self.answers_to_lose -= 1
        self.requests.append(f"{scope['method']} {scope['path']}")
        await self.app(scope, receive, _nowhere)  # it was carried out, but nobody hears of it
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body"})


async def _nowhere(_: Message) -> None:
    pass


@contextmanager
def serving(app: Any) -> Iterator[str]:
    server = ControllerServer(app, host="127.0.0.1", port=0)
    with bind("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def network(app: FastAPI) -> Faltering:
    return Faltering(app)


@pytest.fixture
def client(network: Faltering) -> Iterator[Client]:
    with serving(network) as url, Client(url, backoff=0.01) as client:
        yield client


@pytest.fixture
def search(client: Client, checkpoint: FrozenCheckpoint) -> SearchView:
    checkpoint_id = client.create_checkpoint(checkpoint.to_bytes()).id
    return client.create_search(checkpoint_id=checkpoint_id, search_space=SPACE, max_candidates=5)


@pytest.fixture
def run(store: Store, succeed: Callable[..., None], fail: Callable[..., None]) -> Callable[[str], None]:
    """Does to a search what a runner does: three scored candidates and a failed one."""

    def work(search_id: str) -> None:
        assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
        for number, accuracy in enumerate([0.5, 0.9, 0.7]):
            succeed(search_id, number, accuracy=accuracy)
        fail(search_id, 3)
        store.finish(search_id, "runner", result={"exhausted": None})

    return work


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
    client.delete(search.id)
    assert list(client.list_searches()) == []


def test_jobs_of_every_kind_are_found_by_their_id(
    client: Client, search: SearchView, run: Callable[[str], None]
) -> None:
    run(search.id)
    meta_training = client.create_meta_training({"name": "digits"}, {"meta_steps": 7}, seed=1, name="a name")
    final_training = client.retrain(f"{search.id}-1", epochs=2)

    assert client.get_job(search.id) == client.get_search(search.id)
    assert client.get_job(meta_training.id) == client.get_meta_training(meta_training.id) == meta_training
    assert client.get_job(final_training.id) == client.get_final_training(final_training.id) == final_training
    assert (meta_training.progress.total, meta_training.name) == (7, "a name")
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


def test_waiting_reports_progress_and_has_an_end(
    client: Client, store: Store, search: SearchView, run: Callable[[str], None]
) -> None:
    seen: list[tuple[JobState, int]] = []

    def note(job: Any) -> None:
        seen.append((job.state, job.progress.done))
        if job.state is JobState.QUEUED:
            run(search.id)

    with pytest.raises(TimeoutError, match=f"job {search.id} is queued after 0.05 s"):
        client.wait(search.id, timeout=0.05, poll_seconds=0.01)
    client.wait(search.id, on_progress=note, poll_seconds=0.01)

    assert seen == [(JobState.QUEUED, 0), (JobState.SUCCEEDED, 4)]


def test_a_broken_stream_is_taken_up_without_gap_or_repeat(
    client: Client, app: FastAPI, store: Store, search: SearchView
) -> None:
    received: list[EventView] = []
    patient = Client(client.url, retries=20, backoff=0.02)
    follower = threading.Thread(target=lambda: received.extend(patient.events(search.id)))
    follower.start()
    for number in range(30):
        store.append_event(search.id, "log", {"number": number})
        if number in (10, 20):
            # The streams end, as they do when a controller is restarted, and go on a little later.
            app.state.streams.close()
            threading.Timer(0.05, lambda: setattr(app.state.streams, "closing", False)).start()
    store.act(search.id, Action.CANCEL)
    follower.join(timeout=60)
    patient.close()

    assert [event.data["number"] for event in received if event.type == "log"] == list(range(30))
    assert received[-1].data["state"] == "cancelled"
    after = received[10].id
    assert list(client.events(search.id, after=after)) == received[11:]


def test_a_stream_that_ends_without_a_word_is_not_the_end(
    client: Client, app: FastAPI, store: Store, search: SearchView
) -> None:
    store.act(search.id, Action.CANCEL)
    app.state.streams.close()
    opening = threading.Timer(0.2, lambda: setattr(app.state.streams, "closing", False))
    opening.start()
    with Client(client.url, retries=20, backoff=0.02) as patient:
        states = [event.data["state"] for event in patient.events(search.id)]
    opening.join()

    assert states == ["queued", "cancelled"]
    with Client(client.url, retries=0) as impatient:
        assert len(list(impatient.events(search.id))) == 2
        app.state.streams.close()
        with pytest.raises(ControllerUnreachableError, match="keeps ending early"):
            list(impatient.events(search.id))


def test_a_refusal_is_one_clear_line(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        client.create_search(checkpoint_id="nosuch", search_space={"name": "nosuch"})
    with pytest.raises(ApiError) as unknown:
        client.get_job("nosuch")

    assert refused.value.status == 422
    assert [error.field for error in refused.value.problem.errors] == ["checkpoint_id"]
    assert "checkpoint_id: no checkpoint with id 'nosuch'" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert unknown.value.status == 404


def test_a_key_is_sent_when_there_is_one(client: Client, store: Store) -> None:
    _, token = store.create_api_key("reader", [KeyScope.READ])

    with pytest.raises(ApiError, match="carries no API key") as refused:
        next(client.list_searches())
    with Client(client.url, api_key=token) as trusted:
        assert list(trusted.list_searches()) == []
    assert refused.value.status == 401


def test_an_id_cannot_leave_its_place_in_the_path(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        client.get_search("../healthz")

    assert refused.value.status == 404


def test_reading_is_tried_again(client: Client, network: Faltering, search: SearchView) -> None:
    network.answers_to_lose = 3

    assert client.get_search(search.id).id == search.id
    assert network.requests == [f"GET /v1/searches/{search.id}"] * 3


def test_a_creation_whose_answer_was_lost_is_made_once(
    client: Client, network: Faltering, search: SearchView
) -> None:
    network.answers_to_lose = 2
    another = client.create_search(checkpoint_id=search.checkpoint_id, search_space=SPACE, max_candidates=9)

    assert network.requests == ["POST /v1/searches"] * 2
    assert {each.id for each in client.list_searches()} == {search.id, another.id}


def test_other_changes_are_sent_once(client: Client, network: Faltering, search: SearchView) -> None:
    network.answers_to_lose = 9
    with pytest.raises(ApiError, match="503"):
        client.pause(search.id)
    with pytest.raises(ApiError, match="503"):
        client.delete(search.id)

    assert network.requests == [f"POST /v1/searches/{search.id}/pause", f"DELETE /v1/searches/{search.id}"]


def test_giving_up_tells_the_last_answer(client: Client, network: Faltering) -> None:
    network.answers_to_lose = 99

    with pytest.raises(ApiError, match="503 Service Unavailable") as refused:
        client.health()
    assert refused.value.status == 503
    assert len(network.requests) == 5


def test_refusals_are_not_tried_again(client: Client, network: Faltering) -> None:
    network.answers_to_lose, network.status = 99, 500

    with pytest.raises(ApiError, match="500"):
        client.health()
    assert len(network.requests) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://name.invalid", "127.0.0.1:8000", "ftp://x", ""]
)
def test_no_controller_is_one_clear_line(url: str) -> None:
    with pytest.raises(ControllerUnreachableError) as unreachable, Client(url, backoff=0.001) as client:
        client.health()

    assert str(unreachable.value).startswith(f"no controller at {url} (")
    assert "start one with `gtn-nas up` or pass --url" in str(unreachable.value)


def test_something_else_at_the_address_is_no_controller() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        with client, pytest.raises(ControllerUnreachableError, match="something else answers there"):
            client.health()
        server.shutdown()
