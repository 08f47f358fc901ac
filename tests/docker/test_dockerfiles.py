"""The Dockerfiles against the files they copy, the commands they start and the versions pinned elsewhere."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser
from ray import __version__ as ray_version

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
DOCKERFILES = sorted(path.name for path in (ROOT / "docker").glob("*.Dockerfile"))

each_file = pytest.mark.parametrize("name", DOCKERFILES)


@each_file
def test_hadolint_finds_nothing(name: str) -> None:
    command = [PROGRAMS / "hadolint", "--failure-threshold=warning", ROOT / "docker" / name]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@each_file
def test_copies_what_the_build_context_has(name: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored  # so that a file must be allowed to get in
    for *sources, _target in (value.split() for value in values(name, "COPY") if not value.startswith("--")):
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored


@each_file
def test_copies_every_package(name: str) -> None:
    packages = {folder.parent.name for folder in ROOT.glob("*/py.typed")}
    assert packages == {"gtn_core", "nas", "services"}
    assert packages <= set(" ".join(values(name, "COPY")).split())


@each_file
def test_stages_exist(name: str) -> None:
    stages = [value.split(" AS ")[1] for value in values(name, "FROM") if " AS " in value]
    used = re.findall(r"--from=(\S+)", " ".join(values(name, "COPY")))
    assert set(used) == set(stages)


@each_file
def test_runs_as_a_numbered_user_that_is_not_root(name: str) -> None:
    user, group = values(name, "USER")[-1].split(":")  # a number: Kubernetes checks runAsNonRoot against it
    assert int(user) > 0
    assert int(group) > 0
    assert f"--uid {user} " in " ".join(values(name, "RUN"))


@each_file
def test_commands_exist(name: str) -> None:
    for command in [values(name, "CMD")[-1], values(name, "HEALTHCHECK")[-1].partition(" CMD ")[2]]:
        program = json.loads(command)[0]  # the exec form: signals reach the program, not a shell
        assert shutil.which(program, path=str(PROGRAMS)) is not None


@each_file
def test_runs_the_same_python_as_the_others(name: str) -> None:
    pins = {tuple(pinned(other, "PYTHON")) for other in DOCKERFILES}
    assert len(pins) == 1
    assert len(pinned(name, "PYTHON")) == 1


def test_nodes_take_no_cuda_wheel_unasked_and_the_versions_of_the_makefile() -> None:
    name = "ray-node.Dockerfile"
    assert "TORCH_BUILD=cpu" in values(name, "ARG")
    torch = [value for value in values(name, "RUN") if "torch" in value]
    assert len(torch) == 1
    assert '--index-url "${TORCH_INDEX}/${TORCH_BUILD}" "torch==${TORCH_VERSION}+${TORCH_BUILD}"' in torch[0]
    makefile = re.search(r"^TORCH \?= torch==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert makefile is not None
    assert pinned(name, "TORCH") == [f"TORCH_VERSION={makefile[1]}"]
    assert pinned(name, "RAY") == [f"RAY_VERSION={ray_version}"]


def test_nodes_have_what_every_export_needs() -> None:
    (install,) = [value for value in values("ray-node.Dockerfile", "RUN") if 'pip install ".[' in value]
    extras = re.findall(r'"\.\[(.*)\]"', install)
    assert extras == ["onnx"]
    assert "onnx" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_the_controller_installs_everything_but_what_learning_needs() -> None:
    (command,) = [value for value in values("controller.Dockerfile", "RUN") if "tomllib" in value]
    script = re.search(r'python -c "(.*?)"', command, re.DOTALL)
    assert script is not None
    run = subprocess.run(
        [sys.executable, "-c", script[1]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    left_out = [each for each in declared if each not in run.stdout.splitlines()]
    # Those whose absence `tests/services/controller/test_without_torch.py` bears.
    assert {re.split(r"\W", each)[0] for each in left_out} == {"optuna", "ray", "scikit", "torch"}
    assert len(run.stdout.splitlines()) == len(declared) - len(left_out)


def pinned(name: str, what: str) -> list[str]:
    return [value for value in values(name, "ARG") if value.startswith(f"{what}_VERSION=")]


def values(name: str, instruction: str) -> list[str]:
    """What follows each occurrence of an instruction, continuation lines joined, variables as written."""
    parser = DockerfileParser(str(ROOT / "docker" / name), env_replace=False)
    return [part["value"] for part in parser.structure if part["instruction"] == instruction]
