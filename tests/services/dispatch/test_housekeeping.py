"""Tidying up: what nothing names goes after a while, what anything names stays, and replays are the same."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from fsspec.implementations.local import LocalFileSystem

from services.artifacts import ArtifactStore
from services.dispatch.housekeeping import PAUSE_SECONDS, Housekeeping, collect_artifacts, collect_logs
from services.errors import ConflictError
from services.lifecycle import Action, JobKind
from services.meta_worker.job_state import discard_ended, state_folder
from services.ownership import OWNER_FILE, require_ownership
from services.settings import Settings
from services.store import IdempotencyKey, JobRecord, Store, deletion, open_store, upgrade

MakeJob = Callable[..., JobRecord]
Write = Callable[..., None]
HOUR = timedelta(hours=1)


@pytest.fixture(params=["folder", "memory URL"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(
        str(tmp_path / "artifacts") if request.param == "folder" else f"memory://{tmp_path.name}"
    )


def in_two_days() -> datetime:
    return datetime.now(UTC) + timedelta(days=2)


def ids(artifacts: ArtifactStore) -> set[str]:
    return {each.id for each in artifacts.stored()}


def test_what_a_checkpoint_or_a_job_names_stays_and_the_rest_goes(
    store: Store, artifacts: ArtifactStore, queued_search: MakeJob
):
    checkpoint, weights, asked_for, orphan = (
        artifacts.put(content) for content in (b"checkpoint", b"weights", b"asked for", b"orphan")
    )
    store.add_checkpoint(checkpoint, {}, 10)
    request = {"of": [asked_for]}
    job = store.create_job(
        JobKind.FINAL_TRAINING,
        name="",
        request=request,
        progress_total=1,
        subject_id=f"{queued_search().id}-0",
    )
    store.claim(JobKind.FINAL_TRAINING, "runner", 30)
    store.finish(job.id, "runner", result={"weights": weights})

    young = collect_artifacts(store, artifacts)
    looked = collect_artifacts(store, artifacts, clock=in_two_days, dry_run=True)
    assert (young.artifacts, looked.artifacts, looked.size_bytes) == (0, 1, len(b"orphan"))
    assert ids(artifacts) == {checkpoint, weights, asked_for, orphan}

    assert collect_artifacts(store, artifacts, clock=in_two_days) == looked
    assert ids(artifacts) == {checkpoint, weights, asked_for}
    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 0

    store.delete_job(job.id)
    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 2
    assert ids(artifacts) == {checkpoint}


def test_what_nobody_can_ask_for_any_more_goes(
    store: Store, artifacts: ArtifactStore, queued_search: MakeJob
):
    """The weights of a deleted search's candidate; a deleted checkpoint, though its training tells of it."""
    checkpoint, weights = artifacts.put(b"checkpoint"), artifacts.put(b"weights")
    search = queued_search()
    for kind, subject, result in (
        (JobKind.META_TRAINING, None, {"checkpoint_id": checkpoint}),
        (JobKind.FINAL_TRAINING, f"{search.id}-7", {"weights": weights}),
    ):
        job = store.create_job(kind, name="", request={}, progress_total=1, subject_id=subject)
        store.claim(kind, "runner", 30)
        store.finish(job.id, "runner", result=result)
    store.add_checkpoint(checkpoint, {}, 10)
    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 0

    store.delete_checkpoint(checkpoint)
    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 1
    assert ids(artifacts) == {weights}
    store.act(search.id, Action.CANCEL)
    store.delete_job(search.id)
    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 1
    assert ids(artifacts) == set()


def test_what_a_killed_writer_left_goes_and_other_files_stay(store: Store, tmp_path: Path):
    artifacts = ArtifactStore(str(tmp_path / "artifacts"))
    folder = tmp_path / "artifacts" / "00" / "00"
    folder.mkdir(parents=True)
    (folder / f"{'0' * 64}.12345678.partial").write_bytes(b"half")
    (folder / "README").write_bytes(b"somebody's")

    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 1
    assert [path.name for path in folder.iterdir()] == ["README"]


def test_what_a_killed_writer_left_goes_also_once_another_wrote_it(store: Store, tmp_path: Path):
    artifacts = ArtifactStore(str(tmp_path))
    checkpoint = artifacts.put(b"checkpoint")
    store.add_checkpoint(checkpoint, {}, 10)
    (path,) = tmp_path.glob(f"*/*/{checkpoint}")
    path.with_name(f"{checkpoint}.12345678.partial").write_bytes(b"check")

    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 1
    assert list(path.parent.iterdir()) == [path]


def test_an_old_artifact_that_is_stored_again_is_young_again(store: Store, tmp_path: Path):
    """Its new owner has not written its row yet when the collection comes."""
    artifacts = ArtifactStore(str(tmp_path))
    sha256 = artifacts.put(b"weights")
    long_ago = (datetime.now(UTC) - timedelta(days=30)).timestamp()
    os.utime(tmp_path / sha256[:2] / sha256[2:4] / sha256, (long_ago, long_ago))
    artifacts.put(b"weights")

    assert collect_artifacts(store, artifacts).artifacts == 0
    assert artifacts.get(sha256) == b"weights"


def test_an_old_artifact_that_is_stored_again_during_the_collection_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same weights come again from the same training; the job that names them ends a moment later."""
    artifacts = ArtifactStore(str(tmp_path))
    sha256 = artifacts.put(b"weights")
    long_ago = (datetime.now(UTC) - timedelta(days=30)).timestamp()
    os.utime(tmp_path / sha256[:2] / sha256[2:4] / sha256, (long_ago, long_ago))

    def names_read_while_it_is_stored() -> set[str]:
        artifacts.put(b"weights")
        return set()

    monkeypatch.setattr(store, "artifacts_in_use", names_read_while_it_is_stored)
    collect_artifacts(store, artifacts)

    assert artifacts.get(sha256) == b"weights"


def test_nothing_of_a_job_is_forgotten_before_its_runner_has_let_go(
    store: Store, running_search: MakeJob, propose: Write, clock, tmp_path: Path
):
    """It was cancelled long ago, and the runner that comes back still has to be told."""
    search = running_search(lease_seconds=100 * 86400)
    propose(search.id, 0)
    error = {"reason": "out of memory", "detail": "x" * 100}
    store.finish_candidate("runner", search.id, 0, error=error)
    store.act(search.id, Action.CANCEL)
    settings = Settings(data_dir=tmp_path, event_retention_days=30, failed_candidate_retention_days=10)
    housekeeping = Housekeeping(store, ArtifactStore(str(tmp_path)), settings, clock)
    clock.advance(31 * 86400)

    assert housekeeping.forget() == 0
    store.release(search.id, "runner")
    assert housekeeping.forget() == 2


def test_retention_spares_what_a_replay_needs(
    store: Store, running_search: MakeJob, succeed: Write, propose: Write, clock, tmp_path: Path
):
    ended, running = running_search("a"), running_search("b")
    for search, owner in ((ended, "a"), (running, "b")):
        succeed(search.id, 0, owner=owner)
        propose(search.id, 1, owner=owner)
        error = {"reason": "out of memory", "detail": "x" * 100}
        store.finish_candidate(owner, search.id, 1, error=error, loss_curve=[1.0])
    store.extend(ended.id, lambda job: {"max_candidates": 10, "max_seconds": None})
    store.finish(ended.id, "a")
    before = {search.id: store.events_after(search.id) for search in (ended, running)}
    history = store.history(ended.id)
    settings = Settings(data_dir=tmp_path, event_retention_days=30, failed_candidate_retention_days=10)
    housekeeping = Housekeeping(store, ArtifactStore(str(tmp_path)), settings, clock)

    assert housekeeping.forget() == 0, "nothing is old enough"
    clock.advance(11 * 86400)
    assert housekeeping.forget() == 1
    clock.advance(20 * 86400)
    assert housekeeping.forget() == 2
    assert housekeeping.forget() == 0

    assert [event.type for event in store.events_after(ended.id)] == [
        "state",
        "state",
        "extended",
        "state",
    ]
    assert store.events_after(running.id) == before[running.id]
    succeeded, failed = store.history(ended.id)
    assert succeeded == history[0]
    assert (failed.number, failed.error, failed.loss_curve) == (1, {"reason": "out of memory"}, None)
    assert store.history(running.id)[1].error == {"reason": "out of memory", "detail": "x" * 100}


def test_what_another_database_owns_is_left_alone(
    store: Store, artifacts: ArtifactStore, running_search: MakeJob, tmp_path: Path
):
    garbage = artifacts.put(b"what nothing names")
    settings = Settings(data_dir=tmp_path)
    settings.log_dir.mkdir()
    (settings.log_dir / "search-a1.log").write_text("a line")
    assert collect_artifacts(store, artifacts).artifacts == 0  # from now on the artifacts are this database's
    assert collect_logs(store, settings) == 0  # and the logs
    url = f"sqlite:///{tmp_path / 'another.db'}"
    upgrade(url)
    with open_store(url) as other:
        with pytest.raises(ConflictError, match="those of another database"):
            collect_artifacts(other, artifacts, clock=in_two_days)
        Housekeeping(other, artifacts, settings, in_two_days).turn()
    assert (settings.log_dir / "search-a1.log").exists()
    assert artifacts.get(garbage) == b"what nothing names"
    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 1
    assert collect_logs(store, settings, clock=in_two_days) == 1


def test_two_controllers_may_tidy_up_at_once(store: Store, artifacts: ArtifactStore, tmp_path: Path):
    for number in range(3):
        artifacts.put(f"what nothing names {number}".encode())
    listed = artifacts.stored()
    next(listed)
    assert collect_artifacts(store, artifacts, clock=in_two_days).artifacts == 3
    assert list(listed) == []

    settings = Settings(data_dir=tmp_path)
    settings.log_dir.mkdir()
    (settings.log_dir / "search-a1.log").symlink_to("gone")  # listed, and then not there
    assert collect_logs(store, settings, clock=in_two_days) == 0


def test_who_only_looks_does_not_own(store: Store, tmp_path: Path):
    artifacts = ArtifactStore(str(tmp_path / "artifacts"))
    assert collect_artifacts(store, artifacts, clock=in_two_days, dry_run=True).artifacts == 0
    assert not (tmp_path / "artifacts").exists()

    garbage = artifacts.put(b"what nothing names")
    assert collect_artifacts(store, artifacts, clock=in_two_days, dry_run=True).artifacts == 1
    assert not (tmp_path / "artifacts" / OWNER_FILE).exists()
    artifacts.require_owner("another database")
    with pytest.raises(ConflictError, match="those of another database"):
        collect_artifacts(store, artifacts, clock=in_two_days, dry_run=True)
    assert artifacts.get(garbage) == b"what nothing names"


def test_the_state_of_another_database_s_job_is_left_alone(
    store: Store, running_search: MakeJob, tmp_path: Path
):
    theirs = state_folder(tmp_path, JobKind.META_TRAINING, "unknown-here")
    theirs.mkdir(parents=True)
    url = f"sqlite:///{tmp_path / 'another.db'}"
    upgrade(url)
    with open_store(url) as other:
        require_ownership(LocalFileSystem(), str(tmp_path), other.database_id())
    with pytest.raises(ConflictError, match="those of another database"):
        discard_ended(tmp_path, store, [JobKind.META_TRAINING])
    assert theirs.exists()

    (tmp_path / OWNER_FILE).unlink()
    discard_ended(tmp_path, store, [JobKind.META_TRAINING])
    assert not theirs.exists()


def test_answers_to_submissions_are_remembered_for_a_month(store: Store, clock, tmp_path: Path):
    def submit(key: str) -> JobRecord:
        asked = IdempotencyKey(key, "POST /v1/searches", "hash of the body")
        return store.create_job(JobKind.SEARCH, name="", request={}, progress_total=5, idempotency=asked)

    housekeeping = Housekeeping(store, ArtifactStore(str(tmp_path)), Settings(data_dir=tmp_path), clock)
    old = submit("old")
    clock.advance(29 * 86400)
    young = submit("young")
    assert housekeeping.forget() == 0
    assert submit("old") == old

    clock.advance(2 * 86400)
    assert housekeeping.forget() == 1
    assert housekeeping.forget() == 0
    assert submit("young") == young
    assert submit("old") != old


def test_logs_of_deleted_searches_go_after_a_day(
    store: Store, running_search: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Those of the others stay, however many there are: they are asked for a few at a time."""
    monkeypatch.setattr("services.store.repository.AT_A_TIME", 2)
    settings = Settings(data_dir=tmp_path)
    assert collect_logs(store, settings) == 0
    settings.log_dir.mkdir()
    deleted, *kept = (running_search() for _ in range(5))
    for search in (deleted, *kept):
        (settings.log_dir / f"search-{search.id}.log").write_text("a line")
    (settings.log_dir / "controller.log").write_text("a line")
    assert collect_logs(store, settings, clock=in_two_days) == 0

    store.act(deleted.id, Action.CANCEL)
    store.release(deleted.id, "runner")
    store.delete_job(deleted.id)

    assert collect_logs(store, settings) == 0, "somebody may want to know what went wrong"
    assert collect_logs(store, settings, clock=in_two_days) == 1
    assert {path.name for path in settings.log_dir.glob("*.log")} == {
        "controller.log",
        *(f"search-{search.id}.log" for search in kept),
    }


def test_what_a_deleted_search_has_left_does_not_wait_for_the_next_round(
    store: Store, running_search: MakeJob, propose: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deletion, "PORTION", 2)
    housekeeping = Housekeeping(store, ArtifactStore(str(tmp_path)), Settings(data_dir=tmp_path))
    housekeeping.turn()  # after which a round is over for an hour
    search = running_search()
    for number in range(5):
        propose(search.id, number)
    store.act(search.id, Action.CANCEL)
    store.delete_job(search.id)
    assert store.unknown_jobs([search.id]) == []
    for _ in range(4):
        housekeeping.turn()
    assert store.unknown_jobs([search.id]) == [search.id]
    assert not store.remove_leftovers()


def test_no_more_than_a_batch_is_forgotten_at_a_time_and_all_of_it_in_the_end(
    store: Store, running_search: MakeJob, propose: Write, clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.store.repository.AT_A_TIME", 1)
    search = running_search()
    for number in range(3):
        propose(search.id, number)
        store.finish_candidate("runner", search.id, number, error={"reason": "error", "detail": "why"})
        asked = IdempotencyKey(str(number), "POST /v1/searches", "hash of the body")
        store.create_job(JobKind.SEARCH, name="", request={}, progress_total=5, idempotency=asked)
    store.finish(search.id, "runner")
    clock.advance(1)
    for forget in (store.drop_events, store.drop_failure_details, store.drop_answers):
        assert [forget(clock(), 2) for _ in range(3)] == [2, 1, 0]


def test_nothing_is_forgotten_unless_asked(
    store: Store, running_search: MakeJob, fail: Write, clock, tmp_path: Path
):
    search = running_search()
    fail(search.id, 0)
    store.act(search.id, Action.CANCEL)
    store.release(search.id, "runner")
    events = store.events_after(search.id)
    clock.advance(3650 * 86400)

    Housekeeping(store, ArtifactStore(str(tmp_path)), Settings(data_dir=tmp_path), clock).turn()

    assert store.events_after(search.id) == events


def test_what_could_not_be_collected_is_tried_again_soon(
    store: Store, artifacts: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    housekeeping = Housekeeping(store, artifacts, Settings(data_dir=tmp_path), in_two_days)
    now = [1000.0]
    monkeypatch.setattr("services.dispatch.housekeeping.time", SimpleNamespace(monotonic=lambda: now[0]))
    orphan = artifacts.put(b"orphan")
    with monkeypatch.context() as away:
        away.setattr(ArtifactStore, "stored", _raise_connection_error)
        with pytest.raises(ConnectionError):
            housekeeping.turn()
        housekeeping.turn()  # not at once
    now[0] += PAUSE_SECONDS
    assert ids(artifacts) == {orphan}
    housekeeping.turn()
    assert ids(artifacts) == set()


def _raise_connection_error(_: ArtifactStore) -> None:
    raise ConnectionError("the artifact store is away")
