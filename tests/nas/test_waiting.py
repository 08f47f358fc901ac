"""When a search says that no candidate gets on: after a minute in which it could have heard of a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from nas.cluster import NoRoomError, RoomWatch
from nas.cluster.waiting import PATIENCE_SECONDS, Waiting


def test_time_in_which_nobody_could_have_heard_of_a_worker_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("nas.cluster.waiting.time", SimpleNamespace(monotonic=lambda: now[0]))
    slots: Any = SimpleNamespace(shortage=None, without_nodes=False)
    reasons: list[str | None] = []
    waiting = Waiting(RoomWatch(on_waiting=reasons.append), slots)
    waiting.leave_out(5.0)  # before anybody waits
    waiting.look(without_worker=True)
    now[0] += 2 * PATIENCE_SECONDS
    waiting.leave_out(2 * PATIENCE_SECONDS)
    waiting.look(without_worker=True)
    now[0] += PATIENCE_SECONDS - 1
    waiting.look(without_worker=True)
    assert reasons == []
    now[0] += 1
    waiting.look(without_worker=True)
    (reason,) = reasons
    assert "none has started for 60 s" in str(reason)
    waiting.look(without_worker=False)
    assert reasons[1:] == [None]


def test_a_local_ray_whose_node_is_lost_is_not_told_to_be_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("nas.cluster.waiting.time", SimpleNamespace(monotonic=lambda: now[0]))
    slots: Any = SimpleNamespace(shortage="the cluster's nodes: none", without_nodes=True)
    waiting = Waiting(RoomWatch(limit_seconds=0.0), slots)
    waiting.look(without_worker=True)
    slots.without_nodes = False
    with pytest.raises(NoRoomError):
        waiting.look(without_worker=True)
