"""docker/slurm.sh with Slurm's commands acted: what it starts on the nodes, and with which settings."""

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ray.scripts.scripts import start

from services.settings import Settings

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "slurm.sh"
ACTED = {
    "scontrol": 'printf "n7\\nn8\\nn9\\n"',
    "srun": 'printf "%s\\n" "$@"; env | grep -E "^(RAY_|GTN_NAS_)" >&2',
}


Run = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the script in a job of three nodes, whose `srun` says what it is given."""
    for name, does in ACTED.items():
        command = tmp_path / name
        command.write_text(f"#!/bin/sh\n{does}\n")
        command.chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "n[7-9]", "SLURM_JOB_NUM_NODES": "3", "SLURM_CPUS_PER_TASK": "6"}
    environment = job | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    return lambda: subprocess.run(
        ["bash", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )


def test_a_ray_node_on_each_machine_and_the_service_on_the_first(run: Run) -> None:
    given = run().stdout.splitlines()
    split = given.index("--")
    assert given[split + 1 :] == ["gtn-nas", "up"]
    assert given[0] == "--cpus-per-task=6"
    assert given[1:3] == ["ray", "symmetric-run"]
    options = dict(zip(given[3:split:2], given[4:split:2], strict=False))
    assert options["--address"] == "n7:6379"
    assert (options["--min-nodes"], options["--num-cpus"]) == ("3", "6")
    ours = {name for name in given[3:split] if name.startswith("--")} - {"--address", "--min-nodes"}
    assert ours <= {name for parameter in start.params for name in parameter.opts}


def test_all_nodes_have_the_settings_and_a_token_that_stays(run: Run, tmp_path: Path) -> None:
    variables = dict(line.split("=", 1) for line in run().stderr.splitlines())
    prefix = "GTN_NAS_"
    ours = {name[len(prefix) :].lower(): each for name, each in variables.items() if name.startswith(prefix)}
    assert Settings(**ours).max_running_trainings == 0  # refuses what is no setting
    assert ours["data_dir"] == str(tmp_path / "gtn-nas")
    assert (variables["RAY_AUTH_MODE"], variables["RAY_TMPDIR"]) == ("token", "/tmp")
    token = Path(variables["RAY_AUTH_TOKEN_PATH"])
    assert re.fullmatch(r"[0-9a-f]{64}", token.read_text())
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    before = token.read_text()
    run()  # as when the job is queued again
    assert token.read_text() == before
