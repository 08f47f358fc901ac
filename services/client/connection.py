"""One HTTP connection pool to a controller: authentication, retries, pages and problems."""

import time
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from services.client.errors import ApiError, ControllerUnreachableError
from services.schemas import Page, ProblemDetails

Model = TypeVar("Model", bound=BaseModel)

DEFAULT_URL = "http://127.0.0.1:8000"
PAGE_SIZE = 100
LONGEST_PAUSE_SECONDS = 10.0
RETRIED_STATUSES = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Connection:
    """Sends requests and reads answers as models.

    Requests that change nothing, and those that carry an idempotency key, are tried again when the network or
    the controller falters; all others are sent once, because their first attempt may have succeeded.

    `timeout` is in seconds and bounds each read, not the whole answer. `retries` counts further attempts; the
    pause before the first is `backoff` seconds and doubles from one to the next.

    Every call raises ApiError when the controller refuses it, ControllerUnreachableError when none answers.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 4,
        backoff: float = 0.1,
    ) -> None:
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise ControllerUnreachableError(url, "not an http:// or https:// address")
        self._retries, self._backoff = retries, backoff
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(timeout, connect=5.0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._http.close()

    def _get(self, path: str, model: type[Model], params: Mapping[str, Any] | None = None) -> Model:
        return self._read(model, self._send("GET", path, params=params))

    def _get_bytes(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        return self._send("GET", path, params=params).content

    def _create(
        self,
        path: str,
        model: type[Model],
        body: Mapping[str, Any] | bytes,
        params: Mapping[str, Any] | None = None,
    ) -> Model:
        """POST something new. One idempotency key covers all attempts, so that it is made once."""
        content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        return self._read(model, self._send("POST", path, params=params, headers=headers, **content))

    def _act(self, path: str, model: type[Model]) -> Model:
        return self._read(model, self._send("POST", path))

    def _pages(
        self, path: str, model: type[Model], params: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> Iterator[Model]:
        """The items of a list, fetched page by page as they are consumed; at most `limit` of them."""
        query: dict[str, Any] = {**given(params or {}), "limit": PAGE_SIZE}
        while limit is None or limit > 0:
            if limit is not None:
                query["limit"] = min(limit, PAGE_SIZE)
            page = self._get(path, Page[model], query)  # type: ignore[valid-type]  # a class made at run time
            yield from page.items
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor
            limit = None if limit is None else limit - len(page.items)

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        repeatable = method == "GET" or "Idempotency-Key" in options.get("headers", {})
        attempt = 0
        while True:
            retry = repeatable and attempt < self._retries
            try:
                response = self._http.request(method, path, **options)
            except httpx2.TransportError as error:
                if not retry:
                    raise ControllerUnreachableError(self.url, reason_of(error)) from error
                self._pause(attempt)
            else:
                if not retry or response.status_code not in RETRIED_STATUSES:
                    return checked(response)
                self._pause(attempt, response.headers.get("Retry-After"))
            attempt += 1

    def _pause(self, attempt: int, retry_after: str | None = None) -> None:
        seconds = self._backoff * 2**attempt
        if retry_after is not None and retry_after.isdecimal():
            seconds = max(seconds, float(retry_after))
        time.sleep(min(seconds, LONGEST_PAUSE_SECONDS))

    def _read(self, model: type[Model], response: httpx2.Response) -> Model:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ControllerUnreachableError(self.url, "something else answers there") from error


def checked(response: httpx2.Response) -> httpx2.Response:
    """The response when it is a success. Raises ApiError with the problem that it tells otherwise."""
    if response.is_success:
        return response
    response.read()
    try:
        problem = ProblemDetails.model_validate_json(response.content)
    except ValidationError:  # a proxy in between, for instance
        problem = ProblemDetails(
            title=f"{response.status_code} {response.reason_phrase} from {response.url}",
            status=response.status_code,
        )
    raise ApiError(response.status_code, problem)


def reason_of(error: httpx2.TransportError) -> str:
    """What went wrong, in words; some errors have none but their name."""
    return str(error) or type(error).__name__


def path_of(collection: str, identifier: str, *more: str) -> str:
    """The path of one resource; an identifier with slashes or dots stays one part of it."""
    return "/".join(("/v1", collection, quote(identifier, safe=""), *more))


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not None: what is left out gets the controller's default."""
    return {name: value for name, value in values.items() if value is not None}
