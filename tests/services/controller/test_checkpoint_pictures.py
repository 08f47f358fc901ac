"""What a player of a curriculum needs."""

import io

from fastapi.testclient import TestClient
from PIL import Image

from gtn_core import FrozenCheckpoint


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
