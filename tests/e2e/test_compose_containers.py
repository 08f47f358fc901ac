"""docker-compose.yml in real containers: GTN_NAS_TEST_DOCKER=1 pytest tests/e2e/test_compose_containers.py

Builds the images and takes some minutes, and needs a Docker engine with Compose, so it runs when asked for:
`test_compose_topology.py` runs the same services as plain processes each time. With GTN_NAS_TEST_DOCKER=built
the images of IMAGE_PREFIX and IMAGE_TAG are taken as they are.
"""

import os
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from services.client import Client

from ..ports import free_port
from ..waiting import wait_until
from .journey import meta_train, train_and_export

ROOT = Path(__file__).resolve().parents[2]
ASKED = os.environ.get("GTN_NAS_TEST_DOCKER", "")
JOB_SECONDS = 300

pytestmark = [
    pytest.mark.skipif(not ASKED, reason="builds images and starts containers: GTN_NAS_TEST_DOCKER=1"),
    pytest.mark.timeout(3600),
]


def test_containers_come_go_and_lose_nothing(stack: "Stack") -> None:
    with Client(stack.url, stack.key) as client:
        meta_training = meta_train(client, JOB_SECONDS)

        search = client.create_search(
            checkpoint_id=meta_training.checkpoint_id,
            search_space={"name": "nasbench201", "channels": 16, "cells_per_stage": 2},
            max_candidates=5000,  # enough work for all that follows
        )
        for victim in ("ray-worker-cpu", "postgres", "controller", "ray-head"):
            done = wait_for_progress(client, search.id)
            stack.compose("kill", victim)
            stack.up()
            assert client.get_search(search.id).progress.done >= done
        wait_for_progress(client, search.id)
        client.cancel(search.id)
        wait_until(
            lambda: not any(client.candidates(search.id, state="running"))
        )  # the runner lets go of them
        candidates = list(client.candidates(search.id))
        assert len({each.number for each in candidates}) == len(candidates)
        ended = [each for each in candidates if each.state in {"succeeded", "failed"}]
        assert len(ended) == client.get_search(search.id).progress.done
        assert {each.error.reason for each in ended if each.error} <= {"worker lost"}

        train_and_export(client, candidates[0].id, JOB_SECONDS)
    assert stack.compose("exec", "-T", "controller", "id", "--user").strip() == "10001"


def wait_for_progress(client: Client, search_id: str) -> int:
    """How many candidates have finished, once there are more than there were."""
    before = client.get_search(search_id).progress.done
    wait_until(lambda: client.get_search(search_id).progress.done > before, JOB_SECONDS)
    return client.get_search(search_id).progress.done


@pytest.fixture
def stack(tmp_path: Path) -> Iterator["Stack"]:
    with ExitStack() as at_the_end:  # from the last to the first, whatever any of them raises
        stack = Stack(tmp_path)
        at_the_end.callback(stack.compose, "down", "--volumes")
        at_the_end.callback(stack.print_logs)
        if ASKED != "built":
            stack.compose("build")
        stack.up()
        yield stack


class Stack:
    """A project of its own, with its secrets in a temporary folder and the defaults of `.env.example`."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([ROOT / "docker" / "make-secrets.sh", folder / "secrets"], check=True)
        (folder / "datasets").mkdir()
        port = free_port(taken=())
        dashboard = free_port(taken=(port,))
        self.url, self.key = f"http://127.0.0.1:{port}", (folder / "secrets" / "gtn_nas_api_key").read_text()
        self._environment = os.environ | {
            "COMPOSE_PROJECT_NAME": f"gtn-nas-test-{uuid.uuid4().hex[:8]}",
            "COMPOSE_PROFILES": "cpu",
            "CONTROLLER_PORT": str(port),
            "RAY_DASHBOARD_PORT": str(dashboard),
            "SECRETS_DIR": str(folder / "secrets"),
            "DATASETS_DIR": str(folder / "datasets"),
            "WORKER_CPUS": "1",
        }

    def up(self) -> None:
        """Start what does not run, with two workers, and wait until the controller can serve."""
        self.compose("up", "--detach", "--scale", "ray-worker-cpu=2")
        wait_until(self._ready, JOB_SECONDS)

    def _ready(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
            return True
        return False

    def print_logs(self) -> None:
        """For pytest, which shows them when a test has failed."""
        print(self.compose("logs", "--no-color"))

    def compose(self, *words: str) -> str:
        command = ["docker", "compose", "--file", ROOT / "docker-compose.yml", *words]
        result = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout
