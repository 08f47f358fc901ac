"""When a request is sent again, and after which pause."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from services.client.errors import ApiError, ControllerUnreachableError

Failure = ApiError | ControllerUnreachableError

RETRIED_STATUSES: set[int] = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
LONGEST_PAUSE_SECONDS = 10.0
LONGEST_RETRY_AFTER_SECONDS = 120.0
"""A server that asks for a longer pause is not waited for; the caller hears of it at once."""


@dataclass(frozen=True, slots=True)
class Retries:
    """`most` further attempts; the pause before the first is up to `backoff` seconds, and doubles."""

    most: int
    backoff: float

    def pause(self, attempt: int, failure: Failure) -> float:
        """Seconds until the attempt after `attempt` (0-based). Raises the failure when there should be none.

        Half of a pause is random, so that many clients do not come back at the same moment. No attempt comes
        before the time that the controller has asked for.
        """
        asked = 0.0
        if isinstance(failure, ApiError):
            asked = failure.retry_after
            if failure.status not in RETRIED_STATUSES or asked > LONGEST_RETRY_AFTER_SECONDS:
                raise failure
        if attempt >= self.most:
            raise failure
        return asked + min(self.backoff * 2.0**attempt, LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)


def retry_after(header: str) -> float:
    """Seconds that a `Retry-After` header asks for, given as such or as a date; 0 when it is neither."""
    if header.isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
