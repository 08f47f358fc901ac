"""`python -m services.meta_worker`: work on trainings and fidelity reports until SIGTERM or Ctrl-C.

`python -m services.meta_worker JOB_ID` runs that one job and ends, as `services.exit_codes` says.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from services.errors import SchemaMismatchError, ServiceError, StoreUnavailableError
from services.execution import Ending, find_job
from services.exit_codes import EXIT_CODES
from services.logging import configure_logging
from services.processes import end_with_parent
from services.settings import Settings
from services.shutdown import Shutdown
from services.telemetry import configure_telemetry
from services.wiring import load_settings, make_store

if TYPE_CHECKING:
    from services.meta_worker.worker import Worker


def main() -> int:
    """Run one worker, or one job, with the settings of the environment; 1 when it cannot start."""
    end_with_parent()
    parser = argparse.ArgumentParser(prog="python -m services.meta_worker", description="Run trainings.")
    parser.add_argument("job_id", nargs="?", help="the only job to run; default: whatever is queued")
    job_id: str | None = parser.parse_args().job_id
    try:
        if job_id is not None:
            return EXIT_CODES[run_one(job_id, load_settings())]
        run(load_settings())
    except (StoreUnavailableError, SchemaMismatchError) as error:
        print(error, file=sys.stderr)
        return EXIT_CODES[Ending.ABANDONED] if job_id is not None else 1
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(settings: Settings) -> None:
    """Run one worker until SIGTERM or Ctrl-C. Raises ServiceError when it cannot start."""
    _worker(settings).run()


def run_one(job_id: str, settings: Settings) -> Ending | None:
    """Run one job, as far as it can be run; None when it is not queued, or someone else has it."""
    return _worker(settings, job_id).work_on(job_id)


def _worker(settings: Settings, job_id: str | None = None) -> "Worker":
    configure_logging(settings, process="meta-worker")
    configure_telemetry(process="meta-worker")
    with make_store(settings) as store:  # what is wrong with it is told before PyTorch takes seconds to load
        if job_id is not None:
            find_job(store, job_id)

    import torch
    from joblib import cpu_count

    from services.meta_worker.worker import Worker

    # PyTorch takes all processors, also where a container may use a few.
    torch.set_num_threads(min(torch.get_num_threads(), cpu_count()))
    shutdown = Shutdown()
    shutdown.listen()
    return Worker(settings, shutdown)


if __name__ == "__main__":
    sys.exit(main())
