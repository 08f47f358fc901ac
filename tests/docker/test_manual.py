"""docs/cluster.md against the code: its commands, variables, services and files exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from services.cli import app
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "docs" / "cluster.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", MANUAL, re.DOTALL)).replace("\\\n", "")
LINES = [part for line in BLOCKS.splitlines() for part in line.split("&&")]
COMMANDS = [shlex.split(re.sub(r"^\s*([A-Z_]+=\S+ )*", "", line), comments=True) for line in LINES]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[:1] == ["gtn-nas"]], ids=" ".join)
def test_our_commands_exist(words: list[str]) -> None:
    _, *words = words
    flags = [word for word in words if word.startswith("--")]
    path = words[: words.index(flags[0])] if flags else words
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.output
    assert all(flag in result.output for flag in flags)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("words", [words for words in COMMANDS if words[:1] == ["ray"]], ids=" ".join)
def test_rays_commands_exist(words: list[str]) -> None:
    from ray.scripts.scripts import cli as ray_cli  # its import warns about Ray's own code

    ray_cli.commands[words[1]].make_context(words[1], words[2:])


def test_settings_know_every_variable() -> None:
    ours = {name.lower() for name in re.findall(r"\bGTN_NAS_([A-Z_]+)", MANUAL)}
    assert ours
    assert ours <= set(Settings.model_fields)


def test_compose_has_the_services() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    stops = [words for words in COMMANDS if words[:2] == ["docker", "compose"] and "stop" in words]
    named = {word for words in stops for word in words[words.index("stop") + 1 :]}
    assert named
    assert named <= set(services)


def test_the_files_that_it_names_exist() -> None:
    for name in re.findall(r"`((?:docker|tests)/[\w./-]*)`", MANUAL):
        assert (ROOT / name).exists()
