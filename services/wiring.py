"""From settings to the parts: the store, the artifacts, the launcher, and what child processes are told."""

import json
import os
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from services.artifacts import ArtifactStore
from services.controller.dispatcher import Dispatcher
from services.controller.lane import Lane
from services.controller.launcher import Launcher, SubprocessLauncher
from services.controller.ray_jobs_launcher import RayJobsLauncher
from services.errors import ServiceError, in_own_words
from services.housekeeping import Housekeeping
from services.lifecycle import JobKind
from services.ray_jobs import RayJobs
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


def make_dispatcher(store: Store, settings: Settings) -> Dispatcher:
    """The thread that keeps jobs moving; not yet started.

    Searches run as child processes and trainings in meta-workers; where a Jobs API is configured, both run
    as Ray Jobs.
    """
    on_ray = bool(settings.ray_jobs_url)
    lanes = [_searches_on_ray(store, settings) if on_ray else _searches_here(store, settings)]
    if on_ray and settings.max_running_trainings:
        lanes.append(_trainings_on_ray(store, settings))
    return Dispatcher(
        store,
        lanes,
        poll_seconds=settings.poll_seconds,
        housekeeping=Housekeeping(store, make_artifacts(settings), settings).turn,
    )


TRAININGS = (JobKind.META_TRAINING, JobKind.FINAL_TRAINING, JobKind.FIDELITY_REPORT)


def _searches_here(store: Store, settings: Settings) -> Lane:
    launcher = SubprocessLauncher(
        child_environment(settings), settings.log_dir, database_id=store.database_id()
    )
    return _search_lane(store, launcher, settings)


def _searches_on_ray(store: Store, settings: Settings) -> Lane:
    """They reserve nothing: they score nothing themselves, and so run on the head."""
    launcher = RayJobsLauncher(
        RayJobs(settings.ray_jobs_url),
        prefix="search",
        entrypoint="python -P -m services.search_runner",
        environment={"GTN_NAS_RAY_ADDRESS": "auto"},
        resources={},
    )
    return _search_lane(store, launcher, settings)


def _search_lane(store: Store, launcher: Launcher, settings: Settings) -> Lane:
    return Lane(
        store,
        launcher,
        [JobKind.SEARCH],
        max_running=settings.max_running_searches,
        max_attempts=settings.max_attempts,
    )


def _trainings_on_ray(store: Store, settings: Settings) -> Lane:
    resources = {name: amount for name, amount in settings.training_resources.items() if amount > 0}
    # One thread per reserved core; and a device is seen only by a training that has reserved it. The job's
    # environment does not say so, since its ranks inherit that and reserve for themselves.
    alone = [f"OMP_NUM_THREADS={max(1, int(resources.get('CPU', 1)))}"]
    if "GPU" not in resources:
        alone.append("CUDA_VISIBLE_DEVICES=")
    # Less memory on a CPU (`services.heap`). Ray clears a node's own LD_PRELOAD for what it starts; where the
    # library is missing, a line in the job's log says so and the job goes on.
    alone.append("LD_PRELOAD=libjemalloc.so.2")
    launcher = RayJobsLauncher(
        RayJobs(settings.ray_jobs_url),
        prefix="training",
        entrypoint=" ".join(["env", *alone, "python -P -m services.meta_worker"]),
        environment={"GTN_NAS_RAY_ADDRESS": "auto"},
        resources=resources,
    )
    return Lane(
        store,
        launcher,
        TRAININGS,
        max_running=settings.max_running_trainings,
        max_attempts=settings.max_attempts,
    )


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
