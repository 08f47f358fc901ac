"""What it means for a candidate that its evaluation raised something."""

import traceback
from pathlib import Path

from nas.device_errors import WorkerUnusable, breaks_the_process, is_out_of_memory
from nas.estimators.base import CandidateFailed


def failure_of(error: Exception) -> CandidateFailed:
    """The candidate's failure, whatever was raised: one candidate must not end the work on the others.

    It refers to nothing that the error does: tracebacks hold networks and batches. Raises WorkerUnusable when
    it was no fault of the candidate: the device of this process answers no more.
    """
    if isinstance(error, CandidateFailed):
        return CandidateFailed(error.reason, error.detail)
    if breaks_the_process(error):
        raise WorkerUnusable(f"{type(error).__name__}: {error}") from error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"in {frame.name}, {Path(frame.filename).name}:{frame.lineno}"
    reason = "out of memory" if is_out_of_memory(error) else "error"
    return CandidateFailed(reason, f"{type(error).__name__}: {error} ({place})")
