"""docker-compose.yml against the Compose specification and against the code it starts."""

import importlib.util
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from services.cli import app
from services.controller.routes import ROUTERS
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
COMPOSE: dict[str, Any] = yaml.safe_load(VARIABLE.sub(r"\2", TEXT))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COMMANDS = {name: service["command"] for name, service in SERVICES.items() if "command" in service}
RAY_HEALTH_PATHS = {"/api/gcs_healthz", "/api/local_raylet_healthz"}


def test_follows_the_compose_specification() -> None:
    errors = Draft202012Validator(get_builtin_schema("vendor.compose-spec")).iter_errors(COMPOSE)
    assert [error.message for error in errors] == []


def test_its_variables_are_those_of_the_example_file_with_the_same_defaults() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert example.pop("COMPOSE_PROFILES") == "cpu"  # read by Compose itself
    assert dict(VARIABLE.findall(TEXT)) == example


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("name", COMMANDS)
def test_command_exists(name: str) -> None:
    match COMMANDS[name]:
        case ["gtn-nas", *words]:
            result = CliRunner().invoke(app, [*words, "--help"])
            assert result.exit_code == 0, result.output
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case ["ray", subcommand, *flags]:
            from ray.scripts.scripts import cli as ray_cli  # its import warns about Ray's own code

            # Parses and checks every flag without starting anything.
            ray_cli.commands[subcommand].make_context(subcommand, list(flags))
        case command:
            pytest.fail(f"nothing here knows the command {command}")


@pytest.mark.parametrize("name", SERVICES)
def test_settings_know_every_variable(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = {key: value for key, value in environment(name).items() if key.startswith("GTN_NAS_")}
    assert {key.removeprefix("GTN_NAS_").lower() for key in ours} <= set(Settings.model_fields)
    for key, value in ours.items():
        monkeypatch.setenv(key, value.replace("/run/secrets", str(tmp_path)))
    for key, value in Settings().model_dump(include={"host", "port", "ray_jobs_url"}).items():
        assert str(value) == ours.get(f"GTN_NAS_{key}".upper(), str(Settings.model_fields[key].default))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_there(name: str) -> None:
    service = SERVICES[name]
    assert "build" not in service or (ROOT / service["build"]["dockerfile"]).is_file()
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert set(named_volumes(service)) <= set(COMPOSE["volumes"])
    for other, requirement in service.get("depends_on", {}).items():
        target = SERVICES[other]
        assert "profiles" not in target, f"{other} does not run in every profile"
        if requirement["condition"] == "service_healthy":
            assert "test" in target["healthcheck"]
        else:
            assert requirement["condition"] == "service_completed_successfully"
            assert "restart" not in target


def test_nothing_is_declared_in_vain() -> None:
    secrets = {secret for service in SERVICES.values() for secret in service["secrets"]}
    volumes = {volume for service in SERVICES.values() for volume in named_volumes(service)}
    assert (secrets, volumes) == (set(COMPOSE["secrets"]), set(COMPOSE["volumes"]))


@pytest.mark.parametrize("name", [name for name in SERVICES if "test" in SERVICES[name]["healthcheck"]])
def test_health_check_asks_something_that_answers(name: str) -> None:
    match SERVICES[name]["healthcheck"]["test"]:
        case ["CMD", "python", "-c", code]:
            port, path = re.search(r"'http://127\.0\.0\.1:(\d+)(/[^']+)'", code).groups()  # type: ignore[union-attr]
            assert port in re.findall(r"\d+", " ".join([*COMMANDS[name], *environment(name).values()]))
            ours = {route.path for router in ROUTERS for route in router.routes}
            assert path in (ours if name == "controller" else RAY_HEALTH_PATHS)
            with answering(200) as healthy, answering(503) as ill:
                assert exit_code(code.replace(port, str(healthy))) == 0
                assert exit_code(code.replace(port, str(ill))) == 1
        case ["CMD", "pg_isready", *flags]:
            assert f"--username={environment(name)['POSTGRES_USER']}" in flags
            assert f"--dbname={environment(name)['POSTGRES_DB']}" in flags
        case check:
            pytest.fail(f"nothing here knows the health check {check}")


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A port of this machine where every request gets the status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def exit_code(code: str) -> int:
    """Of a health check in a container that was given a proxy, which leads nowhere."""
    environment = os.environ | {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    environment = {name: value for name, value in environment.items() if name.lower() != "no_proxy"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    ).returncode


def test_no_secret_stands_in_the_file() -> None:
    assert re.findall(r"://[^\s/]*:[^\s/]*@", TEXT) == []
    for name, service in SERVICES.items():
        for key, value in environment(name).items():
            if re.search(r"PASSWORD|TOKEN|KEY|SECRET|CREDENTIAL", key):
                assert re.search(r"_(FILE|PATH|DIR)$", key), f"{name} has {key} in plain text"
                folder, _, secret = value.partition("/run/secrets")
                assert folder == ""
                assert secret[1:] in {"", *service["secrets"]}


def test_the_controllers_memory_is_bounded() -> None:
    assert SERVICES["controller"]["mem_limit"] == "4g"


def test_ports_are_published_to_this_machine_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_process_that_uses_ray_presents_the_token() -> None:
    of_ray = {name for name, command in COMMANDS.items() if command[0] == "ray" or command[1] == "serve"}
    assert of_ray == {name for name in SERVICES if "ray_token" in SERVICES[name]["secrets"]}
    for name in of_ray:
        assert environment(name)["RAY_AUTH_MODE"] == "token"
        assert environment(name)["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"


def test_whoever_runs_trainings_reads_the_database_and_the_shared_folder() -> None:
    for name in ("ray-head", "ray-worker-cpu", "ray-worker-gpu", "meta-worker-cpu", "controller"):
        assert "gtn_nas_database_url" in SERVICES[name]["secrets"]
        assert "data:/var/lib/gtn-nas" in SERVICES[name]["volumes"]
        assert environment(name)["GTN_NAS_SECRETS_DIR"] == "/run/secrets"


def test_the_settings_read_what_a_training_reserves(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment("controller")
    for name in ("GTN_NAS_TRAINING_RESOURCES", "GTN_NAS_MAX_RUNNING_TRAININGS"):
        monkeypatch.setenv(name, variables[name])
    assert Settings().training_resources == {"CPU": 1, "GPU": 0}
    assert Settings().max_running_trainings == 1


@pytest.mark.parametrize(
    "profile", sorted({each for one in SERVICES.values() for each in one.get("profiles", [])})
)
def test_no_two_services_of_a_profile_build_one_image_and_none_is_left_unbuilt(profile: str) -> None:
    together = [one for one in SERVICES.values() if profile in one.get("profiles", [profile])]
    built = [service["image"] for service in together if "build" in service]
    assert len(built) == len(set(built))
    assert {service["image"] for service in together} - set(built) == {SERVICES["postgres"]["image"]}


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command[0] == "ray"])
def test_the_object_store_lies_in_memory(name: str) -> None:
    (size,) = [word.partition("=")[2] for word in COMMANDS[name] if word.startswith("--object-store-memory=")]
    assert int(size) < int(SERVICES[name]["shm_size"].removesuffix("gb")) * 2**30


def test_the_profiles_differ_in_the_device_alone() -> None:
    for role in ("ray-worker", "meta-worker"):
        cpu, gpu = deepcopy(SERVICES[f"{role}-cpu"]), deepcopy(SERVICES[f"{role}-gpu"])
        profile = "" if role == "ray-worker" else f"{role}-"
        assert (cpu.pop("profiles"), gpu.pop("profiles")) == ([f"{profile}cpu"], [f"{profile}gpu"])
        assert gpu.pop("deploy")["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
        build = gpu.pop("build")
        assert build.pop("args")["TORCH_BUILD"].startswith("cu")
        assert build == SERVICES["ray-head"]["build"]
        assert (cpu.pop("image")[-4:], gpu.pop("image")[-4:]) == ("-cpu", "-gpu")
        assert cpu == gpu


def test_made_secrets_are_the_declared_ones_and_the_settings_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secrets"
    first, again = (make_secrets(folder) for _ in range(2))

    assert first == again
    assert set(first) == set(COMPOSE["secrets"])
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == set(first)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len({first["gtn_nas_api_key"], first["ray_token"], first["postgres_password"]}) == 3

    monkeypatch.setenv("GTN_NAS_SECRETS_DIR", str(folder))
    settings = Settings()
    postgres = environment("postgres")
    assert settings.resolved_database_url == (
        f"postgresql+psycopg://{postgres['POSTGRES_USER']}:{first['postgres_password']}"
        f"@postgres:5432/{postgres['POSTGRES_DB']}"
    )
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == first["gtn_nas_api_key"]
    assert first["gtn_nas_api_key"] not in repr(settings)


def environment(name: str) -> dict[str, str]:
    variables: dict[str, str] = SERVICES[name].get("environment", {})
    return variables


def named_volumes(service: dict[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        if not source.startswith((".", "/")):
            yield source


def make_secrets(folder: Path) -> dict[str, str]:
    subprocess.run([ROOT / "docker" / "make-secrets.sh", folder], check=True)
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_no_container_logs_without_bound() -> None:
    assert {service["logging"]["driver"] for service in SERVICES.values()} == {"local"}
