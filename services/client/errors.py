"""What can go wrong between a client and the controller."""

from gtn_core.errors import GtnNasError
from services.schemas.problems import ProblemDetails


class ApiError(GtnNasError):
    """The controller refused or failed a request; `problem` names the field at fault and what would do.

    `retry_after`: the seconds it asks to wait before another attempt; 0 when it does not say.
    """

    def __init__(self, status: int, problem: ProblemDetails, retry_after: float = 0.0) -> None:
        self.status, self.problem, self.retry_after = status, problem, retry_after
        super().__init__(" ".join(str(problem).split()))

    def __reduce__(self) -> tuple[type["ApiError"], tuple[int, ProblemDetails, float]]:
        return type(self), (self.status, self.problem, self.retry_after)


class ControllerUnreachableError(GtnNasError):
    """Nothing that speaks this API answers at the URL."""

    message = "no controller at {url} ({reason}): start one with `gtn-nas up` or pass --url"

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(self.message.format(url=url, reason=reason))

    def __reduce__(self) -> tuple[type["ControllerUnreachableError"], tuple[str, str]]:
        return type(self), (self.url, self.reason)


class ControllerSilentError(ControllerUnreachableError):
    """Something took the request at the URL, and no answer came in time."""

    message = "the controller at {url} does not answer in time: it may be busy; try again later"


class InvalidApiKeyError(GtnNasError):
    """Something that no HTTP header can carry was given as the API key; the message does not repeat it."""

    def __init__(self) -> None:
        super().__init__("the API key has a line break or a letter beyond ASCII in it, which no key has")
