"""From settings to the parts: the store, the artifacts, and what child processes are told."""

import json
import os
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from services.artifacts import ArtifactStore
from services.errors import ServiceError, in_own_words
from services.settings import Settings
from services.store import Store, open_store


def load_settings(**given: Any) -> Settings:
    """Settings from the environment; values given here win, None leaves the decision to it.

    Raises ServiceError naming the setting that does not hold.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = (
            f"{_PREFIX}{'.'.join(map(str, problem['loc'])).upper()}: {in_own_words(problem['msg'])}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ServiceError("; ".join(problems)) from None
    except SettingsError as error:
        match error.__cause__:
            case OSError() as cause:
                reason = f"{_PREFIX}SECRETS_DIR: {cause}; let the service's user read it"
            case ValueError() as cause:
                reason = f"{error}: it is not JSON: {cause}"
            case _:
                reason = str(error)
        raise ServiceError(reason) from None


def make_store(settings: Settings) -> Store:
    """The store behind `database_url`; its schema must be up to date."""
    return open_store(settings.resolved_database_url)


def make_artifacts(settings: Settings) -> ArtifactStore:
    """The content-addressed store of checkpoints and weights."""
    return ArtifactStore(settings.resolved_artifacts_url)


@dataclass(frozen=True, slots=True)
class Backend:
    """What a job is run with: where to read and write, and under which settings."""

    settings: Settings
    store: Store
    artifacts: ArtifactStore


def make_backend(settings: Settings) -> Backend:
    """Store and artifacts of the settings. Raises StoreUnavailableError or SchemaMismatchError."""
    return Backend(settings, make_store(settings), make_artifacts(settings))


def child_environment(settings: Settings, *, with_api_key: bool = False) -> dict[str, str]:
    """This process's environment, with exactly these settings in place of its own GTN_NAS_* variables.

    Only a controller has a use for the API key.
    """
    if not with_api_key:
        settings = settings.model_copy(update={"api_key": None})
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    for name, value in settings:
        if value is not None:
            environment[_PREFIX + name.upper()] = _as_text(value)
    # OpenMP's threads wait by spinning unless told otherwise. Where several processes share the cores, as
    # they do here, that slows a meta step down tenfold.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


_PREFIX = "GTN_NAS_"


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)
