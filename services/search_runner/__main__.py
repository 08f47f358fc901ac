"""`python -m services.search_runner SEARCH_ID`: run one search, as far as it can be run.

Its exit codes are in `services.exit_codes`.
"""

import argparse
import sys

from services.errors import SchemaMismatchError, ServiceError, StoreUnavailableError
from services.execution import Ending
from services.exit_codes import EXIT_CODES
from services.logging import configure_logging
from services.search_runner.runner import run_search
from services.shutdown import Shutdown
from services.telemetry import configure_telemetry
from services.wiring import load_settings


def main() -> int:
    """Run the search that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m services.search_runner", description="Run one search.")
    parser.add_argument("search_id")
    search_id: str = parser.parse_args().search_id
    settings = load_settings()
    configure_logging(settings, process="search-runner")
    configure_telemetry(process="search-runner")
    shutdown = Shutdown()
    shutdown.listen()
    try:
        ending = run_search(search_id, settings, shutdown)
    except (StoreUnavailableError, SchemaMismatchError) as error:
        print(error, file=sys.stderr)
        ending = Ending.ABANDONED
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return EXIT_CODES[ending]


if __name__ == "__main__":
    sys.exit(main())
