"""What every call is made of: requests that are tried again, answers read as models, pages and problems."""

import logging
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from services.client.errors import (
    ApiError,
    ControllerSilentError,
    ControllerUnreachableError,
    InvalidApiKeyError,
)
from services.client.network import Network, Request
from services.client.retries import Failure, Retries, retry_after
from services.given import given
from services.proxies import route_to
from services.schemas import EventView, Page, ProblemDetails

Model = TypeVar("Model", bound=BaseModel)

DEFAULT_URL = "http://127.0.0.1:8000"
PAGE_SIZE = 100
ATTEMPTS_UNTOLD = 4
"""Watching goes on in silence across a stream that breaks; an outage is told once, after so many attempts."""

LASTING_SECONDS = 1.0
"""A stream that was open for so long was no failure, although it told of nothing and broke."""

_log = logging.getLogger(__name__)


class NothingMore(Exception):  # noqa: N818 - an answer, not a failure
    """The job has ended and every event was received."""


class Connection:
    """Sends requests and reads answers as models; what blocks or suspends is the network's business.

    Requests that change nothing, and those that carry an idempotency key, are tried again when the network or
    the controller falters; all others are sent once, because their first attempt may have succeeded, unless
    they came too often and were not looked at. Whoever watches a job stays longer: a controller that is
    restarted comes back, and its jobs go on meanwhile.

    Every call raises ApiError when the controller refuses it, ControllerUnreachableError when none answers.
    """

    network: ClassVar[type[Network]]
    """Of the client's kind."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
        retries: int = 4,
        watch_retries: int = 20,
        backoff: float = 0.1,
    ) -> None:
        """`timeout` is in seconds and bounds each read, not the whole answer.

        `retries` counts further attempts; the pause before the first is up to `backoff` seconds, and doubles
        up to ten. `watch_retries` is the same for `wait` and `events` once they have found their job: by
        default they outlast about two minutes without an answer.
        """
        self.url = _address(url)
        self._retries, self._watch_retries = Retries(retries, backoff), Retries(watch_retries, backoff)
        headers = _authorization(api_key or "")
        try:
            self._network = self.network(
                base_url=self.url,
                headers=headers,
                timeout=httpx2.Timeout(timeout, connect=connect_timeout),
                **route_to(self.url),
            )
        except (ImportError, ValueError) as error:  # such as SOCKS without the package for it
            reason = f"the proxy that the environment names cannot be used: {error}"
            raise ControllerUnreachableError(self.url, reason) from error

    async def _get(self, path: str, model: type[Model], params: Mapping[str, Any] | None = None) -> Model:
        return self._read(model, await self._send(Request("GET", path, params)))

    async def _look(self, path: str, model: type[Model]) -> Model:
        """What a path shows now, in one attempt: for those who look again and again."""
        return self._read(model, await self._send_once(Request("GET", path)))

    async def _get_bytes(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        return (await self._send(Request("GET", path, params))).content

    async def _create(
        self,
        path: str,
        model: type[Model],
        body: Mapping[str, Any] | bytes,
        params: Mapping[str, Any] | None = None,
    ) -> Model:
        """POST something new. One idempotency key covers all attempts, so that it is made once."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
            request = Request("POST", path, params, headers, content=body)
        else:
            request = Request("POST", path, params, headers, json=body)
        return self._read(model, await self._send(request))

    async def _act(self, path: str, model: type[Model]) -> Model:
        return self._read(model, await self._send(Request("POST", path)))

    async def _edit(self, path: str, model: type[Model], body: Mapping[str, Any]) -> Model:
        return self._read(model, await self._send(Request("PATCH", path, json=body)))

    async def _pages(
        self, path: str, model: type[Model], params: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> AsyncGenerator[Model]:
        """The items of a list, fetched page by page as they are consumed; at most `limit` of them."""
        query: dict[str, Any] = {**given(**(params or {})), "limit": PAGE_SIZE}
        while limit is None or limit > 0:
            if limit is not None:
                query["limit"] = min(limit, PAGE_SIZE)
            page = await self._get(path, Page[model], query)  # type: ignore[valid-type]  # a class made at run time
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor
            limit = None if limit is None else limit - len(page.items)

    async def _follow(self, path: str, after: int) -> AsyncGenerator[EventView]:
        """A job's events with ids above `after`, across streams that break, until the job has ended."""
        failures = 0
        while True:
            received, open_since = after, None
            failure: Failure = self._unreachable("the stream of events keeps ending early")
            try:
                async with aclosing(self._stream(path, after)) as events:
                    async for event in events:
                        if event is None:
                            open_since = time.monotonic()
                        else:
                            after = event.id
                            yield event
            except NothingMore:
                return
            except httpx2.RequestError as error:
                failure = self._unreachable(error)
            except ApiError as refusal:
                failure = refusal
            # Proxies end what is silent, or open, for longer than they like: of a job that waits in the queue
            # nothing else may be heard for hours.
            lasted = open_since is not None and time.monotonic() - open_since >= LASTING_SECONDS
            if after > received or lasted:
                failures = 0
                continue
            await self._network.sleep(self._pause_of_watching(failures, failure))
            failures += 1

    def _pause_of_watching(self, failures: int, failure: Failure) -> float:
        """Seconds until a watcher looks again, after `failures` others in a row. Raises the last failure."""
        pause = self._watch_retries.pause(failures, failure)
        if failures == ATTEMPTS_UNTOLD:
            _log.warning("%s (still trying; the job may go on meanwhile)", failure)
        return pause

    async def _stream(self, path: str, after: int) -> AsyncGenerator[EventView | None]:
        """None once the stream is open, then its events."""
        request = Request("GET", path, headers={"Last-Event-ID": str(after)})
        async with self._network.stream(request) as stream:
            if checked(stream.response).status_code == httpx2.codes.NO_CONTENT:
                raise NothingMore
            yield None
            async for message in stream.events:
                try:
                    event = EventView.model_validate_json(message.data)
                except ValidationError as error:
                    raise self._unreachable(_ANOTHER) from error
                yield event

    async def _send(self, request: Request) -> httpx2.Response:
        """The answer, which is a success. Raises ApiError or ControllerUnreachableError."""
        repeatable = request.method == "GET" or "Idempotency-Key" in request.headers
        attempt = 0
        while True:
            try:
                return await self._send_once(request)
            except (ApiError, ControllerUnreachableError) as failure:
                if not (repeatable or _came_too_often(failure)):
                    raise
                await self._network.sleep(self._retries.pause(attempt, failure))
            attempt += 1

    async def _send_once(self, request: Request) -> httpx2.Response:
        try:
            return checked(await self._network.send(request))
        except httpx2.RequestError as error:
            raise self._unreachable(error) from error

    def _read(self, model: type[Model], response: httpx2.Response) -> Model:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise self._unreachable(_ANOTHER) from error

    def _unreachable(self, reason: str | httpx2.RequestError) -> ControllerUnreachableError:
        kind = ControllerSilentError if isinstance(reason, httpx2.ReadTimeout) else ControllerUnreachableError
        # Some errors of the network have no text but their name.
        return kind(self.url, str(reason) or type(reason).__name__)


def _came_too_often(failure: Failure) -> bool:
    return isinstance(failure, ApiError) and failure.status == httpx2.codes.TOO_MANY_REQUESTS


def _address(url: str) -> str:
    """The URL without a slash at its end. Raises ControllerUnreachableError when none can be connected to."""
    try:
        address = httpx2.URL(url.rstrip("/"))
        address.host.encode("idna")  # as the resolver does, which would not say what is wrong
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ControllerUnreachableError(url, str(error)) from error
    if address.scheme not in {"http", "https"} or not address.host:
        raise ControllerUnreachableError(url, "not an http:// or https:// address")
    return str(address)


def _authorization(api_key: str) -> dict[str, str]:
    key = api_key.strip()  # files and secrets of keys tend to end with a line break
    if not (key.isascii() and key.isprintable()):
        raise InvalidApiKeyError
    return {"Authorization": f"Bearer {key}"} if key else {}


_ANOTHER = "something else answers there, or a controller of another version"


def checked(response: httpx2.Response) -> httpx2.Response:
    """The response when it is a success. Raises ApiError with the problem that it tells otherwise."""
    if response.is_success:
        return response
    try:
        problem = ProblemDetails.model_validate_json(response.content)
    except ValidationError:  # a proxy in between, for instance
        problem = ProblemDetails(
            title=f"{response.status_code} {response.reason_phrase} from {response.url}",
            status=response.status_code,
        )
    if problem.detail == f"there is nothing at {response.url.path}":
        problem = problem.model_copy(
            update={"remedy": "check the address, and that the controller there is of this version"}
        )
    raise ApiError(response.status_code, problem, retry_after(response.headers.get("Retry-After", "")))


def path_of(collection: str, identifier: str, *more: str) -> str:
    """The path of one resource; an identifier with slashes or dots stays one part of it."""
    part = quote(identifier, safe="")
    if not part.strip("."):  # "." and ".." would be resolved on the way
        part = part.replace(".", "%2E")
    return "/".join(("/v1", collection, part, *more))
