"""The beginning and the end of what a user does, on whatever runs the services."""

import io
import zipfile
from pathlib import Path

from services.client import Client
from services.client.jobs import Job
from services.lifecycle import JobState


def meta_train(client: Client, seconds: float) -> Job:
    """A meta-training that has ended well."""
    config = {"inner_steps": 3, "batch_size": 16, "meta_steps": 3}
    meta_training = client.wait(client.create_meta_training({"name": "digits"}, config).id, seconds)
    assert meta_training.state is JobState.SUCCEEDED, meta_training.error
    return meta_training


def train_and_export(client: Client, candidate_id: str, seconds: float) -> Job:
    """A final training that has ended well, and whose network can be taken away."""
    final_training = client.wait(client.retrain(candidate_id, epochs=1).id, seconds)
    assert final_training.state is JobState.SUCCEEDED, final_training.error
    exported = zipfile.ZipFile(io.BytesIO(client.export(candidate_id, "python")))
    assert {"model.py", "model.safetensors"} <= {Path(name).name for name in exported.namelist()}
    return final_training
