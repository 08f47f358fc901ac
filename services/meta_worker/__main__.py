"""`python -m services.meta_worker`: work on meta-trainings and final trainings until SIGTERM or Ctrl-C."""

import sys

from services.errors import ServiceError
from services.logging import configure_logging
from services.meta_worker.worker import Worker
from services.processes import end_with_parent
from services.settings import Settings
from services.shutdown import Shutdown
from services.telemetry import configure_telemetry
from services.wiring import load_settings


def main() -> int:
    """Run one worker with the settings of the environment; 1 when it cannot start."""
    end_with_parent()
    try:
        run(load_settings())
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(settings: Settings) -> None:
    """Run one worker until SIGTERM or Ctrl-C. Raises ServiceError when it cannot start."""
    configure_logging(settings, process="meta-worker")
    configure_telemetry(process="meta-worker")
    shutdown = Shutdown()
    shutdown.listen()
    Worker(settings, shutdown).run()


if __name__ == "__main__":
    sys.exit(main())
