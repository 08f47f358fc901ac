"""README and docs against the code: their commands, variables, services, links and examples hold."""

import json
import re
import shlex
import tomllib
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from nas import get_search_space
from services.cli import app
from services.schemas.requests import SearchRequest
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
MANUALS = {str(path.relative_to(ROOT)): path.read_text() for path in FILES}
README = MANUALS["README.md"]
ENVIRONMENT = {"COLUMNS": "200", "NO_COLOR": "1"}


def blocks(language: str, manual: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", manual, re.DOTALL)


def commands() -> list[list[str]]:
    """The words of every command in every manual, once."""
    scripts = [block for manual in MANUALS.values() for block in blocks("sh", manual)]
    sessions = [block for manual in MANUALS.values() for block in blocks("console", manual)]
    scripts += ["\n".join(re.findall(r"^\$ (.*)", session, re.MULTILINE)) for session in sessions]
    scripts += re.findall(r"`(gtn-nas [^`]+)`", "\n".join(MANUALS.values()))
    found = []
    for script in scripts:
        text = re.sub(r"(^|\s)#.*$", "", script, flags=re.MULTILINE).replace("\\\n", " ")
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|\n")
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
        for between, words in groupby(lexer, key=lambda word: set(word) <= set(";&|\n")):
            if not between:
                command = list(words)
                while command and re.match(r"[A-Z_]+=", command[0]):
                    command.pop(0)
                found.append(command)
    return [list(command) for command in dict.fromkeys(map(tuple, found)) if command]


COMMANDS = commands()


def of(program: str) -> list[list[str]]:
    return [words for words in COMMANDS if words[0] == program]


@pytest.mark.parametrize("words", of("gtn-nas"), ids=" ".join)
def test_our_commands_exist(words: list[str]) -> None:
    _, *words = words
    flags = [word for word in words if word.startswith("--")]
    path: list[str] = []
    command: Any = get_command(app)
    while words[len(path) :] and words[len(path)] in getattr(command, "commands", {}):
        command = command.commands[words[len(path)]]
        path.append(words[len(path)])
    result = CliRunner().invoke(app, [*path, "--help"], env=ENVIRONMENT)
    assert result.exit_code == 0, result.output
    assert not hasattr(command, "commands") or words == flags, f"{words} is no command"
    assert [flag for flag in flags if flag not in result.output] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("words", of("ray"), ids=" ".join)
def test_rays_commands_exist(words: list[str]) -> None:
    from ray.scripts.scripts import cli as ray_cli  # its import warns about Ray's own code

    ray_cli.commands[words[1]].make_context(words[1], words[2:])


@pytest.mark.parametrize("words", of("make"), ids=" ".join)
def test_make_has_the_targets(words: list[str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[1] in targets


def test_settings_know_every_variable() -> None:
    text = "\n".join(MANUALS.values())
    ours = {name.lower() for name in re.findall(r"\bGTN_NAS_(?!TEST_)([A-Z_]+)", text)}
    assert ours
    assert ours <= {*Settings.model_fields, "url"}


def test_compose_has_the_services() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    stops = [words for words in of("docker") if words[:2] == ["docker", "compose"] and "stop" in words]
    named = {word for words in stops for word in words[words.index("stop") + 1 :]}
    assert named
    assert named <= set(services)


@pytest.mark.parametrize("manual", MANUALS)
def test_the_files_that_it_names_exist(manual: str) -> None:
    text = MANUALS[manual]
    ours = r"`((?:benchmarks|docker|docs|gtn_core|nas|services|tests)/[\w./-]*)`"
    assert [name for name in re.findall(ours, text) if not (ROOT / name).exists()] == []
    results = re.findall(r"`(bench_\w+\.(?:py|json))`", text)
    in_benchmarks = [ROOT / "benchmarks", ROOT / "benchmarks" / "results"]
    assert [name for name in results if not any((folder / name).exists() for folder in in_benchmarks)] == []


def test_the_benchmarks_that_it_runs_exist() -> None:
    scripts = [words[1] for words in of("python") if words[1].startswith("benchmarks/")]
    assert scripts
    assert [name for name in scripts if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("manual", MANUALS)
def test_its_links_lead_somewhere(manual: str) -> None:
    text = MANUALS[manual]
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for link in (link for link in links if "://" not in link):
        file, _, anchor = link.partition("#")
        target = (ROOT / manual).parent / file if file else ROOT / manual
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def anchors(text: str) -> set[str]:
    """Of the headings of a manual, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_method_runs_as_the_readme_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = [block for block in blocks("python", README) if "meta_train(" in block]
    exec(script.replace("meta_steps=200", "meta_steps=2"), {})
    lines = capsys.readouterr().out.splitlines()
    steps, accuracy, found = lines[:2], lines[2], lines[3:]
    assert all(step.startswith("MetaStepReport(") for step in steps)
    assert 0 < float(accuracy) < 1
    accuracies = [float(line.split()[0]) for line in found]
    assert len(accuracies) == 20
    assert accuracies == sorted(accuracies, reverse=True)


def test_a_space_of_ones_own_is_made_as_the_readme_shows_it() -> None:
    (description,) = [block for block in blocks("toml", README) if "[[stages]]" in block]
    space = get_search_space("macro", description=tomllib.loads(description))
    architecture = space.sample(np.random.default_rng(0))
    assert space.parse(architecture.encoding) == architecture


def test_a_plugin_is_made_as_the_readme_shows_it() -> None:
    (script,) = [block for block in blocks("python", README) if "class Ladder" in block]
    names: dict[str, Any] = {}
    exec(script, names)
    ladder = names["Ladder"](names["LadderConfig"](rungs=3))
    architecture = ladder.sample(np.random.default_rng(0))
    assert re.fullmatch(r"(8|16|32)(-(8|16|32)){2}", architecture.encoding)
    assert ladder.mutate(architecture, np.random.default_rng(1)) != architecture


def test_the_search_that_is_posted_is_one() -> None:
    bodies = re.findall(r"-d '(\{.*?\})'", README, re.DOTALL)
    assert bodies
    for body in bodies:
        fields = json.loads(body) | {"checkpoint_id": "0" * 64}
        assert SearchRequest.model_validate(fields).max_candidates > 0
