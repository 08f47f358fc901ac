"""However a runner's work on a job ends, the store is told, and told the truth."""

import errno
import os
import threading
from collections.abc import Callable

import pytest

from gtn_core.errors import DatasetError, MetaTrainingDiverged
from nas.device_errors import WorkerUnusable
from services.errors import ArtifactsUnavailableError, ClusterUnavailableError, StoreUnavailableError
from services.execution import Ending, execute
from services.lease import Lease
from services.lifecycle import Action, JobKind, JobState
from services.schemas.requests import SearchRequest
from services.shutdown import Shutdown
from services.store import JobRecord, JsonObject, Store

OWNER = "runner"
Run = Callable[..., tuple[Ending, JobRecord]]


@pytest.fixture
def run(store: Store, queue_search: Callable[..., JobRecord]) -> Run:
    """Claims a job and executes `work` on it; answers the ending and the job as it then is."""

    def execute_on_a_job(
        work: Callable[[Lease], JsonObject], shutdown: Shutdown | None = None
    ) -> tuple[Ending, JobRecord]:
        job = store.claim(JobKind.SEARCH, OWNER, 3, job_id=queue_search().id)
        assert job is not None
        ending = execute(store, job, OWNER, 3, shutdown or Shutdown(), work)
        return ending, store.get_job(job.id)

    return execute_on_a_job


def test_a_result_ends_the_job(run: Run) -> None:
    ending, job = run(lambda _: {"answer": 42})
    assert (ending, job.state, job.result) == (Ending.SUCCEEDED, JobState.SUCCEEDED, {"answer": 42})
    assert job.lease_owner is None


def test_an_expected_error_is_the_jobs_with_its_own_words(run: Run) -> None:
    ending, job = run(_raising(DatasetError("no digits at /nowhere; fetch them again")))
    assert (ending, job.state) == (Ending.FAILED, JobState.FAILED)
    assert job.error == {
        "type": "urn:gtn-nas:problem:dataset",
        "title": "DatasetError",
        "detail": "no digits at /nowhere; fetch them again",
        "instance": job.id,
    }


def test_what_to_do_about_an_error_stands_apart_from_what_happened(run: Run) -> None:
    told, remedy = "the loss is nan", "lower the rate"
    error = MetaTrainingDiverged(told, meta_step=3, learner="a", value=1.0, remedy=remedy)
    assert str(error) == f"{told}; {remedy}"
    _, job = run(_raising(error))
    assert job.error == {
        "type": "urn:gtn-nas:problem:meta-training-diverged",
        "title": "MetaTrainingDiverged",
        "detail": told,
        "instance": job.id,
        "remedy": remedy,
    }


def test_a_request_of_a_later_version_says_so(run: Run) -> None:
    def work(lease: Lease) -> JsonObject:
        request = {"checkpoint_id": "a" * 64, "max_candidates": 1, "later": None}
        SearchRequest.model_validate(request | {"search_space": {"name": "nasbench201"}})
        return {}

    ending, job = run(work)
    assert ending is Ending.FAILED
    assert job.error is not None
    assert job.error["detail"] == "this version of gtn-nas does not know later, which the job's request has"
    assert "later version" in job.error["remedy"]


def test_a_defect_is_the_jobs_error_and_says_where_to_look(run: Run) -> None:
    ending, job = run(_raising(ZeroDivisionError("division by zero")))
    assert ending is Ending.FAILED
    assert job.error is not None
    assert job.error["title"] == "ZeroDivisionError"
    assert job.error["type"] == "urn:gtn-nas:problem:internal"
    assert "log" in job.error["remedy"]


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), ClusterUnavailableError("away")])
def test_what_is_away_is_no_fault_of_the_job(run: Run, error: Exception) -> None:
    ending, job = run(_raising(error))
    assert (ending, job.state, job.error) == (Ending.ABANDONED, JobState.RUNNING, None)
    assert job.lease_owner == OWNER  # until it runs out: a pause before the next attempt


@pytest.mark.parametrize(
    "error",
    [
        ClusterUnavailableError("Ray at ray://head is not available"),
        ArtifactsUnavailableError("the artifact store s3://bucket does not answer"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EFBIG, os.strerror(errno.EFBIG)),  # of RLIMIT_FSIZE
    ],
)
def test_what_is_away_for_long_costs_no_attempts(
    store: Store, queue_search: Callable[..., JobRecord], error: Exception
) -> None:
    work, search = _raising(error), queue_search()
    for _ in range(5):
        job = store.claim(JobKind.SEARCH, OWNER, 30, job_id=search.id)
        assert job is not None
        assert job.attempts == 1
        assert execute(store, job, OWNER, 30, Shutdown(), work) is Ending.ABANDONED
        left = store.get_job(job.id)
        assert left.attempts == 0
        assert str(error) in (left.waiting_for or "")
        assert store.requeue_dead(OWNER, search.id)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        WorkerUnusable("the device answers no more"),
    ],
)
def test_a_device_that_answers_no_more_is_no_fault_of_the_job_and_ends_the_process(
    run: Run, error: Exception
) -> None:
    ending, job = run(_raising(error))
    assert ending is Ending.UNUSABLE
    assert (job.state, job.error) == (JobState.RUNNING, None)  # its lease runs out: another takes it up


def test_a_local_ray_that_is_lost_is_an_attempt_and_one_that_does_not_start_is_none(run: Run) -> None:
    _, job = run(_raising(ClusterUnavailableError("local Ray is not available", is_local=True)))
    assert (job.attempts, job.waiting_for) == (1, None)
    _, job = run(_raising(ClusterUnavailableError("local Ray did not start")))
    assert (job.attempts, job.waiting_for) == (0, "the cluster: local Ray did not start")


def test_an_error_that_is_no_text_is_told_with_escapes(run: Run) -> None:
    ending, job = run(_raising(DatasetError("caf\udce9.png\0 is no readable picture")))
    assert (ending, job.state) == (Ending.FAILED, JobState.FAILED)
    assert job.error is not None
    assert job.error["detail"] == "caf\\udce9.png\\0 is no readable picture"


def test_a_result_that_cannot_be_stored_is_the_job_s_error(run: Run) -> None:
    ending, job = run(lambda _: {"answer": float("nan")})
    assert (ending, job.state, job.result) == (Ending.FAILED, JobState.FAILED, None)
    assert job.error is not None
    assert "result.answer is nan" in job.error["detail"]


@pytest.mark.parametrize("action", [Action.PAUSE, Action.CANCEL])
def test_a_job_that_users_stop_is_let_go(store: Store, run: Run, action: Action) -> None:
    def work(lease: Lease) -> JsonObject:
        state = store.act(lease.job.id, action).state
        _wait_for_stop(lease)
        assert store.get_job(lease.job.id).state is state
        return {}

    ending, job = run(work)
    assert ending is Ending.LET_GO
    assert job.state is (JobState.PAUSED if action is Action.PAUSE else JobState.CANCELLED)
    assert job.lease_owner is None


def test_a_shutdown_puts_the_job_back_into_the_queue_uncounted(run: Run) -> None:
    shutdown = Shutdown()

    def work(lease: Lease) -> JsonObject:
        shutdown.requested = True
        lease.raise_if_stopped()
        return {}

    ending, job = run(work, shutdown)
    assert (ending, job.state, job.lease_owner) == (Ending.LET_GO, JobState.QUEUED, None)
    assert job.attempts == 0


def test_a_job_cancelled_at_its_very_end_stays_cancelled(store: Store, run: Run) -> None:
    def work(lease: Lease) -> JsonObject:
        store.act(lease.job.id, Action.CANCEL)
        return {"too": "late"}

    _, job = run(work)
    assert (job.state, job.result) == (JobState.CANCELLED, None)


def test_a_result_without_a_lease_is_not_written(store: Store, run: Run) -> None:
    def work(lease: Lease) -> JsonObject:
        store.release(lease.job.id, OWNER)
        assert store.claim(JobKind.SEARCH, "another", 30, job_id=lease.job.id) is not None
        return {"answer": 42}

    ending, job = run(work)
    assert ending is Ending.LEASE_LOST
    assert (job.state, job.result, job.lease_owner) == (JobState.RUNNING, None, "another")


def test_what_happens_to_a_job_is_its_present_runner_s_to_tell(store: Store, run: Run) -> None:
    def work(lease: Lease) -> JsonObject:
        lease.append_event("epoch", {"epoch": 1})
        store.release(lease.job.id, OWNER)
        assert store.claim(JobKind.SEARCH, "another", 30, job_id=lease.job.id) is not None
        lease.append_event("epoch", {"epoch": 2})
        return {}

    ending, job = run(work)
    assert ending is Ending.LEASE_LOST
    assert [event.data["epoch"] for event in store.events_after(job.id) if event.type == "epoch"] == [1]


def _raising(error: Exception) -> Callable[[Lease], JsonObject]:
    def work(lease: Lease) -> JsonObject:
        raise error

    return work


def _wait_for_stop(lease: Lease) -> None:
    while True:
        lease.raise_if_stopped()
        threading.Event().wait(0.02)
