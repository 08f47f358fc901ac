"""What is left of an error when it has become a candidate's failure."""

import gc
import weakref

import pytest
from torch import nn

from nas.device_errors import WorkerUnusable
from nas.estimators.base import CandidateFailed
from nas.estimators.failures import failure_of


def test_anything_raised_is_the_candidates_failure_and_says_where():
    def build() -> None:
        raise AssertionError("width 10 is odd")

    with pytest.raises(AssertionError) as raised:
        build()
    failure = failure_of(raised.value)
    assert (failure.reason, failure.detail.partition(" (in build, ")[0]) == (
        "error",
        "AssertionError: width 10 is odd",
    )
    with pytest.raises(MemoryError) as raised_too:
        raise MemoryError("no room")
    assert failure_of(raised_too.value).reason == "out of memory"


def test_a_broken_device_is_not_the_candidates_fault():
    with pytest.raises(WorkerUnusable, match="illegal memory access"):
        failure_of(RuntimeError("CUDA error: an illegal memory access was encountered"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("GET was unable to find an engine to execute this computation", "out of memory"),
        ("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling", "out of memory"),
        ("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "out of memory"),
        ("CUDA error: operation not permitted when stream is capturing", "error"),
    ],
)
def test_what_leaves_the_device_as_it_was_is_the_candidates_own(text: str, reason: str):
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(text)
    assert failure_of(raised.value).reason == reason


def test_a_failure_keeps_no_network_alive():
    networks = []

    def evaluate() -> None:
        network = nn.Linear(2, 2)
        networks.append(weakref.ref(network))
        try:
            network(None)
        except TypeError as error:
            raise CandidateFailed("bad shape", str(error)) from error

    try:
        evaluate()
    except CandidateFailed as error:
        failure = failure_of(error)
    gc.collect()
    assert failure.reason == "bad shape"
    assert networks[0]() is None
