"""Settings: defaults, environment, and secrets that stay secret."""

import errno
import json
import logging
import os
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from pydantic import ValidationError

from services.errors import ServiceError
from services.logging import configure_logging
from services.settings import Settings, misspelt
from services.store import upgrade
from services.wiring import load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("GTN_NAS_")]:
        monkeypatch.delenv(name)


def test_defaults():
    settings = Settings()
    home = Path.home() / ".local/share/gtn-nas"
    assert settings.data_dir == home
    assert settings.resolved_database_url == f"sqlite:///{home}/gtn-nas.db"
    assert settings.resolved_artifacts_url == f"{home}/artifacts"
    assert (settings.host, settings.port, settings.ray_address, settings.ray_jobs_url) == (
        "127.0.0.1",
        8000,
        "",
        "",
    )
    assert settings.api_key is None


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name, value in {
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": "postgresql://user:password@db/gtn",
        "PORT": "9000",
        "API_KEY": "a-bootstrap-key-of-length\n",
        "DATASET_ROOTS": f"{tmp_path}/a:{tmp_path}/b",
        "LOG_LEVEL": "DEBUG",
        "RAY_ADDRESS": "",
    }.items():
        monkeypatch.setenv(f"GTN_NAS_{name}", value)
    settings = Settings()
    assert settings.resolved_database_url == "postgresql://user:password@db/gtn"
    assert settings.port == 9000
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "a-bootstrap-key-of-length"
    assert settings.dataset_roots == (tmp_path / "a", tmp_path / "b")
    assert settings.log_level == "debug"
    assert settings.ray_address == ""


def test_secrets_are_never_printed():
    settings = Settings(
        database_url="postgresql://user:hunter2hunter2@db/gtn", api_key="hunter2hunter2hunter2"
    )
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "hunter2" not in text


def test_an_error_does_not_repeat_a_secret():
    with pytest.raises(ValidationError) as error:
        Settings(api_key="tooshort")
    assert "tooshort" not in str(error.value)


def test_home_is_expanded():
    assert Settings(data_dir="~/elsewhere").data_dir == Path.home() / "elsewhere"


@pytest.mark.parametrize("name", ["my data", "50%20", "what?x=1#2", "Übung", "a@b:c"])
def test_a_database_lies_in_the_data_folder_whatever_that_is_called(name: str, tmp_path: Path):
    settings = Settings(data_dir=tmp_path / name)
    upgrade(settings.resolved_database_url)
    assert (tmp_path / name / "gtn-nas.db").is_file()
    assert [folder.name for folder in tmp_path.iterdir()] == [name]


def test_a_data_folder_has_a_name_in_utf_8():
    with pytest.raises(ValidationError, match=r"b'/b\\xe4d' is no text in UTF-8"):
        Settings(data_dir=Path(os.fsdecode(b"/b\xe4d")))


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 70_000},
        {"lease_seconds": 0},
        {"lease_seconds": 1e12},
        {"poll_seconds": 1e12},
        {"shutdown_grace_seconds": float("inf")},
        {"resource_wait_seconds": float("inf")},
        {"event_retention_days": 999_999},
        {"failed_candidate_retention_days": 999_999},
        {"log_level": "loud"},
        {"unknown": 1},
    ],
)
def test_values_out_of_bounds_are_refused(bad: dict[str, object]):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        Settings(**bad)


def test_loopback():
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert Settings(host=host).loopback, host
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org", ""):
        assert not Settings(host=host).loopback, host


def test_misspelt_settings_are_told_apart_from_variables_that_are_none():
    variables = ["GTN_NAS_DATADIR", "GTN_NAS_PROT", "GTN_NAS_PORT", "GTN_NAS_URL", "PROT"]
    of_kubernetes = ["GTN_NAS_SERVICE_HOST", "GTN_NAS_SERVICE_PORT", "GTN_NAS_PORT_8000_TCP_ADDR"]
    assert misspelt([*variables, *of_kubernetes]) == {
        "GTN_NAS_DATADIR": "GTN_NAS_DATA_DIR",
        "GTN_NAS_PROT": "GTN_NAS_PORT",
    }


def test_a_process_says_which_setting_is_misspelt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setenv("GTN_NAS_DATADIR", "/data")
    (tmp_path / "gtn_nas_databse_url").write_text("postgresql://host/db")
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logging(Settings(log_json=True, secrets_dir=tmp_path), process="controller")
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["given"], line["meant"]) for line in said] == [
        ("GTN_NAS_DATADIR", "GTN_NAS_DATA_DIR"),
        ("GTN_NAS_DATABSE_URL", "GTN_NAS_DATABASE_URL"),
    ]


def test_json_that_is_none_and_secrets_that_may_not_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("GTN_NAS_TRAINING_RESOURCES", "CPU=1")
    with pytest.raises(ServiceError, match=r'"training_resources".*it is not JSON'):
        load_settings()
    monkeypatch.delenv("GTN_NAS_TRAINING_RESOURCES")

    def refused(folder: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setenv("GTN_NAS_SECRETS_DIR", str(tmp_path))
    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(ServiceError, match=r"GTN_NAS_SECRETS_DIR: .*Permission denied"):
        load_settings()
