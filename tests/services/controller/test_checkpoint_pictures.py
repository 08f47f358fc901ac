"""What a player of a curriculum needs."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from gtn_core import FrozenCheckpoint
from services.artifacts import ArtifactStore
from services.controller import pictures
from services.controller.pictures import CheckpointPictures


def test_the_schedule_is_that_of_the_curriculum(
    http: TestClient, checkpoint_id: str, checkpoint: FrozenCheckpoint
) -> None:
    answer = http.get(f"/v1/checkpoints/{checkpoint_id}/curriculum").json()
    curriculum = checkpoint.synthesize()
    assert (answer["inner_steps"], answer["batch_size"]) == (2, 8)
    assert [round(rate, 5) for rate in answer["learning_rates"]] == [
        round(rate, 5) for rate in curriculum.learning_rates.tolist()
    ]
    assert [round(value, 5) for value in answer["momenta"]] == [
        round(value, 5) for value in curriculum.momenta.tolist()
    ]


def test_frames_are_as_large_as_their_layout_says(http: TestClient, checkpoint_id: str) -> None:
    layout = http.get(f"/v1/checkpoints/{checkpoint_id}/curriculum").json()["frames"]
    assert layout["steps"] == [1, 2]
    answer = http.get(f"/v1/checkpoints/{checkpoint_id}/frames.png")
    sheet = Image.open(io.BytesIO(answer.content))
    across, down = layout["tile"]
    assert sheet.size == (across * layout["per_class"] * len(layout["classes"]), down * len(layout["steps"]))
    tag = answer.headers["etag"]
    again = http.get(f"/v1/checkpoints/{checkpoint_id}/frames.png", headers={"If-None-Match": tag})
    assert again.status_code == 304


class WatchedLock:
    """Tells how often it was asked for."""

    def __init__(self) -> None:
        self.asked, self._lock = threading.Semaphore(0), threading.Lock()

    def __enter__(self) -> None:
        self.asked.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_picture_that_several_ask_for_is_drawn_once(
    artifacts: ArtifactStore, checkpoint_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[FrozenCheckpoint] = []
    lock, all_wait = WatchedLock(), threading.Event()

    def draw(checkpoint: FrozenCheckpoint) -> bytes:
        assert all_wait.wait(60)
        drawn.append(checkpoint)
        return b"picture"

    monkeypatch.setattr(pictures, "synthetic_samples_png", draw)
    monkeypatch.setattr(threading, "Lock", lambda: lock)
    shown = CheckpointPictures(artifacts)
    monkeypatch.undo()
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(shown.samples, checkpoint_id) for _ in range(8)]
        assert all(lock.asked.acquire(timeout=60) for _ in range(8))
        all_wait.set()

    assert [each.result() for each in asked] == [b"picture"] * 8
    assert len(drawn) == 1
    assert shown.samples(checkpoint_id) == b"picture"
    assert not lock.asked.acquire(blocking=False), "what is kept waits for no drawing"
