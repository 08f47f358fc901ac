"""The Dockerfiles against the files they copy, the commands they start and the versions pinned elsewhere."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
DOCKERFILES = sorted(path.name for path in (ROOT / "docker").glob("*.Dockerfile"))

pytestmark = pytest.mark.parametrize("name", DOCKERFILES)


def test_hadolint_finds_nothing(name: str) -> None:
    command = [PROGRAMS / "hadolint", "--failure-threshold=warning", ROOT / "docker" / name]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_copies_what_the_build_context_has(name: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored  # so that a file must be allowed to get in
    for *sources, _target in (value.split() for value in values(name, "COPY") if not value.startswith("--")):
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored


def test_copies_every_package(name: str) -> None:
    packages = {folder.parent.name for folder in ROOT.glob("*/py.typed")}
    assert packages == {"gtn_core", "nas", "services"}
    assert packages <= set(" ".join(values(name, "COPY")).split())


def test_stages_exist(name: str) -> None:
    stages = [value.split(" AS ")[1] for value in values(name, "FROM") if " AS " in value]
    used = re.findall(r"--from=(\S+)", " ".join(values(name, "COPY")))
    assert set(used) == set(stages)


def test_runs_as_a_numbered_user_that_is_not_root(name: str) -> None:
    user, group = values(name, "USER")[-1].split(":")  # a number: Kubernetes checks runAsNonRoot against it
    assert int(user) > 0
    assert int(group) > 0
    assert f"--uid {user} " in " ".join(values(name, "RUN"))


def test_commands_exist(name: str) -> None:
    for command in [values(name, "CMD")[-1], values(name, "HEALTHCHECK")[-1].partition(" CMD ")[2]]:
        program = json.loads(command)[0]  # the exec form: signals reach the program, not a shell
        assert shutil.which(program, path=str(PROGRAMS)) is not None


def test_takes_no_cuda_wheel_unasked(name: str) -> None:
    assert "TORCH_BUILD=cpu" in values(name, "ARG")
    torch = [value for value in values(name, "RUN") if "torch" in value]
    assert len(torch) == 1
    assert '--index-url "${TORCH_INDEX}/${TORCH_BUILD}" "torch==${TORCH_VERSION}+${TORCH_BUILD}"' in torch[0]


def test_pins_what_the_other_images_and_the_makefile_pin(name: str) -> None:
    pins = [value for value in values(name, "ARG") if re.search(r"(PYTHON|TORCH|RAY)_VERSION=", value)]
    assert len(pins) == 3
    for other in DOCKERFILES:
        assert set(pins) <= set(values(other, "ARG"))
    torch = re.search(r"^TORCH \?= torch==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert torch is not None
    assert f"TORCH_VERSION={torch[1]}" in pins


def values(name: str, instruction: str) -> list[str]:
    """What follows each occurrence of an instruction, continuation lines joined, variables as written."""
    parser = DockerfileParser(str(ROOT / "docker" / name), env_replace=False)
    return [part["value"] for part in parser.structure if part["instruction"] == instruction]
