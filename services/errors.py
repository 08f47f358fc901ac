"""The errors of the services, drawn once; the HTTP layer turns each into one problem type.

GtnNasError
└── ServiceError
    ├── NotFoundError             no such job, candidate, checkpoint, key or artifact
    ├── ConflictError             the request is sound, the thing's present state forbids it
    │   └── IllegalTransitionError    ... because its life cycle has no such step
    ├── LeaseLostError            the job belongs to another runner now, or is gone
    ├── IdempotencyConflictError  the key was used before, with another body
    ├── InvalidCursorError        a page cursor that is not of this list
    ├── InvalidValueError         a value that cannot be stored, such as NaN
    ├── StoreUnavailableError     the database cannot be reached
    │   └── ArtifactsUnavailableError     ... or the artifact store
    ├── ClusterUnavailableError   Ray cannot be reached, or was lost during a search
    │   └── UnknownToRayError         ... or answers, and knows no such job
    ├── BusyError                 as much of the kind is under way as there may be at once
    ├── SchemaMismatchError       the database is older or newer than the code
    └── ArtifactCorruptError      stored bytes are not those that were put there
"""

import errno

from gtn_core.errors import GtnNasError
from services.redaction import redact
from services.visible import NO_CONTROLS


class ServiceError(GtnNasError):
    """Base of the errors of controller, runners and store."""


class NotFoundError(ServiceError):
    """No such thing; carries what was looked for."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"no {kind} with id {identifier!r}")
        self.kind, self.id = kind, identifier


class ConflictError(ServiceError):
    """The request is sound, but the present state of the thing forbids it."""


class IllegalTransitionError(ConflictError):
    """A step that the life cycle of a job does not have."""

    def __init__(self, state: str, action: str, reason: str) -> None:
        super().__init__(f"cannot {action} a {state} job: {reason}")
        self.state, self.action, self.reason = state, action, reason


class LeaseLostError(ServiceError):
    """The caller no longer owns the job: it must stop, and nothing it was writing has been stored."""

    def __init__(self, job_id: str, owner: str | None, holder: str | None) -> None:
        whose = (
            f"it is held by {holder!r}" if holder else "nobody holds it: it was given back, ended or deleted"
        )
        super().__init__(f"{owner!r} does not hold the lease of job {job_id!r}; {whose}")
        self.job_id, self.owner, self.holder = job_id, owner, holder


class IdempotencyConflictError(ServiceError):
    """An idempotency key that came before with another body."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"idempotency key {key!r} was used with another body; send a new key for a new request"
        )
        self.key = key


class InvalidCursorError(ServiceError):
    """A cursor that this list did not give out, or gave out for another order."""


class InvalidValueError(ServiceError):
    """A value that must not be stored: not finite, not JSON, or out of range. Names its place."""


class StoreUnavailableError(ServiceError):
    """The database cannot be reached, or does not answer."""


class ArtifactsUnavailableError(StoreUnavailableError):
    """The artifact store cannot be reached, or refuses what it is asked for."""


class ClusterUnavailableError(ServiceError):
    """Ray cannot be started or reached, or was lost while it was at work."""

    def __init__(self, message: str, *, is_local: bool = False) -> None:
        """`is_local`: a Ray that was to run for one job alone, which that job may have brought down.

        The message is what jobs are said to wait for, to whoever may read: an address loses its password.
        """
        super().__init__(redact(message))
        self.is_local = is_local


class BusyError(ServiceError):
    """As much of the kind is under way as there may be at once; the same request succeeds later."""


class SchemaMismatchError(ServiceError):
    """The schema of the database is not the one this version of the code works with."""


class ArtifactCorruptError(ServiceError):
    """An artifact whose bytes do not have the hash they are stored under."""

    def __init__(self, sha256: str, actual: str, location: str) -> None:
        super().__init__(
            f"artifact {sha256} at {location} is corrupt: its bytes hash to {actual}; "
            "put the original content again to repair it"
        )
        self.sha256, self.actual, self.location = sha256, actual, location


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room for what was to be written, or `ulimit -f` allows none: nobody's fault."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def in_own_words(message: str) -> str:
    """A message of pydantic; without its introduction where a validator of ours has found the words."""
    if NO_CONTROLS in message:
        return "there must be no control characters in it, such as line breaks"
    return message.removeprefix("Value error, ")


def problem_urn(slug: str) -> str:
    """The `type` of problem details, by what is theirs in it: `memory-limit`."""
    return f"urn:gtn-nas:problem:{slug}"
