"""The dispatcher that the settings ask for, with a lane for searches and, on a cluster, one for trainings."""

from services.dispatch.dispatcher import Dispatcher
from services.dispatch.housekeeping import Housekeeping
from services.dispatch.lane import Lane
from services.dispatch.launcher import Launcher, SubprocessLauncher
from services.dispatch.ray_jobs import RayJobs
from services.dispatch.ray_jobs_launcher import RayJobsLauncher
from services.lifecycle import JobKind
from services.settings import Settings
from services.store import Store
from services.wiring import child_environment, make_artifacts


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
