"""What every command has in common: help with an example, clear errors, exit codes, a quick start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from gtn_core.errors import GtnNasError
from services.cli.app import app
from services.cli.failures import message_of
from services.settings import Settings


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(_commands(typer.main.get_command(app)))


def test_the_contracts_commands_are_there() -> None:
    expected = (
        "demo, up, serve, meta-worker, train-gtn, search, rank, show, retrain, export, fidelity, "
        "checkpoint list, checkpoint show, checkpoint samples, checkpoint import, checkpoint export, "
        "api-key create, api-key list, api-key revoke, db upgrade, db current"
    )
    assert {*expected.split(", ")} <= {" ".join(command) for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_it_does_and_gives_an_example(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert f"Example: gtn-nas {' '.join(command)}" in " ".join(result.stdout.split())


def test_the_version_is_that_of_the_installed_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"gtn-nas {version('gtn-nas')}\n")


def test_every_command_with_a_result_has_json() -> None:
    services = {("demo",), ("up",), ("serve",), ("meta-worker",)}
    without = {
        command
        for command in COMMANDS
        if "--json" not in CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).stdout
    }
    assert without == services


def test_shells_complete_commands_and_values() -> None:
    def completed(words: str) -> list[str]:
        environment = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        result = CliRunner().invoke(
            app, [], prog_name="gtn-nas", env=environment | {"_GTN_NAS_COMPLETE": "complete_bash"}
        )
        return result.stdout.split()

    assert completed("gtn-nas che") == ["checkpoint"]
    assert completed("gtn-nas jobs --state pa") == ["paused"]


def test_help_needs_none_of_the_heavy_libraries() -> None:
    heavy = {"torch", "ray", "sqlalchemy", "fastapi", "httpx2"}
    code = f"import sys, services.cli; print({heavy} & {{*sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("search --candidates 0", "--candidates"),
        ("search --candidates many", "--candidates"),
        ("search --space nasbench201 --space-option channels", "KEY=VALUE"),
        ("search --space-option channels=8", "--space-option"),
        ("train-gtn", "--dataset"),
        ("train-gtn --dataset digits --config /nowhere.toml", "/nowhere.toml"),
        ("train-gtn --dataset digits --set =3", "KEY=VALUE"),
        ("export c-1", "--output"),
        ("export c-1 -o out --format pickle", "pickle"),
        ("fidelity --candidates 1", "--candidates"),
        ("api-key create alice --scope root", "root"),
        ("extend a1", "--candidates"),
        ("jobs --state asleep", "asleep"),
        ("launch", "no such command 'launch'; how it is used: gtn-nas --help"),
        ("db lanch", "no such command 'lanch'; how it is used: gtn-nas db --help"),
        ("--verbose jobs", "no such option: --verbose"),
        ("rank", "; how it is used: gtn-nas rank --help"),
        ("rank a b c", "(b c); how it is used: gtn-nas rank --help"),
        ("rank a --order", "--order-by"),
        ("rank a --limit", "requires an argument"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line_that_names_what_is_wrong(
    arguments: str, complaint: str
) -> None:
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("gtn-nas: ")
    assert complaint in line
    assert line.endswith(" --help")
    assert result.stdout == ""


def test_what_a_command_says_of_its_options_stands_in_one_line() -> None:
    result = CliRunner().invoke(app, ["search", "--algorithm-option", "a=\x1b1"], env={"COLUMNS": "40"})
    assert result.stderr == (
        "gtn-nas: --algorithm-option is given without --algorithm; name what it is an option of; "
        "how it is used: gtn-nas search --help\n"
    )


def test_no_command_at_all_shows_the_commands() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "train-gtn" in result.output


def test_a_toml_file_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("inner_steps = ")
    result = CliRunner().invoke(app, ["train-gtn", "--dataset", "digits", "--config", str(config)])
    assert result.exit_code == 2
    assert "TOML" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["rank", "a1", "--url", "http://127.0.0.1:9"], "gtn-nas up"),
        (["db", "current", "--database-url", "mysql://localhost/x"], "GTN_NAS_DATABASE_URL"),
        (["serve", "--host", "0.0.0.0", "--data-dir", "{tmp}"], "api-key create"),
        (["serve", "--api-key", "hushhush", "--data-dir", "{tmp}"], "GTN_NAS_API_KEY: "),
        (["up", "--log-level", "shout", "--data-dir", "{tmp}"], "GTN_NAS_LOG_LEVEL"),
        (["fidelity", "--checkpoint", __file__, "--table", __file__], "header"),
        (["api-key", "list", "--data-dir", f"{__file__}/\x1b[2J"], r"\x1b[2J/gtn-nas.db; make it"),
    ],
)
def test_a_failure_is_one_line_on_stderr_and_exit_code_1(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    answer = subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments], capture_output=True, text=True
    )
    assert answer.returncode == 1
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1, answer.stderr
    assert lines[0].startswith("gtn-nas: ")
    assert complaint in lines[0]
    assert "hushhush" not in lines[0]
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("command", "runs", "names"),
    [
        ("up", "services.local_stack.LocalStack", "data-dir database-url host port api-key ray-address"),
        ("serve", "services.controller.serving.serve", "data-dir database-url host port api-key ray-address"),
        ("meta-worker", "services.meta_worker.__main__.run", "data-dir database-url ray-address"),
    ],
)
def test_settings_are_options_that_win_over_the_environment(
    command: str, runs: str, names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Settings] = []

    def note(settings: Settings) -> NoReturn:
        told.append(settings)
        raise GtnNasError("nothing runs here")

    monkeypatch.setattr(runs, note)
    monkeypatch.setattr("services.processes.end_with_parent", lambda: None)
    monkeypatch.setattr("services.logging.configure_logging", lambda settings, process: None)
    monkeypatch.setattr("services.shutdown.Shutdown.listen", lambda shutdown: None)
    values = {
        "data-dir": tmp_path,
        "database-url": "sqlite:////nowhere",
        "host": "::1",
        "port": 8123,
        "api-key": "a key of sixteen characters",
        "ray-address": "head:6379",
    }
    given = {name: value for name, value in values.items() if name in names.split()}
    monkeypatch.setenv("GTN_NAS_API_KEY", "another key of the environment")
    arguments = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    CliRunner().invoke(app, [command, *arguments])
    (settings,) = told
    found = {name: getattr(settings, name.replace("-", "_")) for name in given}
    assert {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in found.items()
    } == given


def test_what_is_given_in_another_encoding_is_named() -> None:
    with pytest.raises(UnicodeEncodeError) as refused:
        os.fsdecode(b"S\xfcche").encode()
    message = message_of(refused.value)
    assert message is not None
    assert message.startswith(r"'\udcfc' cannot be sent")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["up"], "Linux and macOS"),
        (["serve"], "Linux and macOS"),
        (["rank", "a1", "--url", "http://127.0.0.1:9"], "no controller at"),
    ],
)
def test_where_the_services_do_not_run_the_client_does(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    code = (
        "import sys\nsys.modules['fcntl'] = sys.modules['resource'] = None\n"
        f"sys.argv[1:] = {arguments}\nfrom services.cli import main; main()"
    )
    environment = os.environ | {"GTN_NAS_DATA_DIR": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert complaint in line
