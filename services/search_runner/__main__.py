"""`python -m services.search_runner SEARCH_ID`: run one search, as far as it can be run.

Exit codes:

    0   the search has ended, or was let go in order: paused, cancelled, SIGTERM, someone else has it
    1   the search failed; its error is in the database
    2   wrong usage
    3   the lease was lost while the search ran
    4   the database or the cluster is away; the search goes on once its lease has run out
"""

import argparse
import sys

from services.errors import StoreUnavailableError
from services.execution import Ending
from services.logging import configure_logging
from services.search_runner.runner import run_search
from services.shutdown import Shutdown
from services.wiring import load_settings

EXIT_CODES: dict[Ending | None, int] = {
    None: 0,
    Ending.SUCCEEDED: 0,
    Ending.LET_GO: 0,
    Ending.FAILED: 1,
    Ending.LEASE_LOST: 3,
    Ending.ABANDONED: 4,
}


def main() -> int:
    """Run the search that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m services.search_runner", description="Run one search.")
    parser.add_argument("search_id")
    search_id: str = parser.parse_args().search_id
    settings = load_settings()
    configure_logging(settings, process="search-runner")
    shutdown = Shutdown()
    shutdown.listen()
    try:
        ending = run_search(search_id, settings, shutdown)
    except StoreUnavailableError as error:
        print(error, file=sys.stderr)
        ending = Ending.ABANDONED
    return EXIT_CODES[ending]


if __name__ == "__main__":
    sys.exit(main())
