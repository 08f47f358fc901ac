"""`gtn-nas`, the command line. Commands that talk to a controller do so through `services.client` alone.

Results go to stdout; progress, advice and errors go to stderr. Exit codes: 0, 1 for a failure (one line says
which), 2 for wrong usage, 130 after Ctrl-C.
"""

import io
import sys

from services.cli.app import app
from services.cli.failures import message_of


def main() -> None:
    """The console script."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of jobs may be in letters that the locale has not
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        message = message_of(error)
        if message is None:  # a defect: its traceback is what helps
            raise
        print(f"gtn-nas: {message}", file=sys.stderr)
        sys.exit(1)
