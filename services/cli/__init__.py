"""`gtn-nas`, the command line. Commands that talk to a controller do so through `services.client` alone.

Results go to stdout; progress, advice and errors go to stderr. Exit codes: 0, 1 for a failure (one line says
which), 2 for wrong usage, 130 after Ctrl-C.
"""

import io
import os
import sys
from pathlib import Path

from services.cli.app import app
from services.cli.failures import complain, message_of


def main() -> None:
    """The console script."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller has closed it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of jobs may be in letters that the locale has not
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        message = message_of(error)
        if message is None:  # a defect: its traceback is what helps
            raise
        complain(message)
        sys.exit(1)
