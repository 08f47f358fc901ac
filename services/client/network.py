"""Requests over HTTP and pauses between them: blocking for Client, awaited for AsyncClient."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, Unpack

import httpx2

from services.proxies import Route


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on; of one that is no success, the whole body is there."""

    response: httpx2.Response
    events: AsyncIterator[httpx2.ServerSentEvent]


class HttpOptions(Route):
    """What a network is made with."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx2.Timeout


class Network(Protocol):
    """What a client needs of the outside world. Raises httpx2.RequestError."""

    def __init__(self, **options: Unpack[HttpOptions]) -> None: ...

    async def send(self, request: Request) -> httpx2.Response:
        """Send a request and read the whole answer."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Open a stream of server-sent events."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class BlockingNetwork:
    """Coroutines that never suspend."""

    def __init__(self, **options: Unpack[HttpOptions]) -> None:
        self._http = httpx2.Client(**options)

    async def send(self, request: Request) -> httpx2.Response:
        """Send a request and read the whole answer."""
        return self._http.request(**_options(request))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream]:
        """Open a stream of server-sent events."""
        with self._http.sse(**_options(request)) as source:
            if not source.response.is_success:
                source.response.read()
            yield Stream(source.response, _without_suspending(source))

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    async def close(self) -> None:
        """Close all connections."""
        self._http.close()


class AsyncNetwork:
    """The same on asyncio."""

    def __init__(self, **options: Unpack[HttpOptions]) -> None:
        self._http = httpx2.AsyncClient(**options)

    async def send(self, request: Request) -> httpx2.Response:
        """Send a request and read the whole answer."""
        return await self._http.request(**_options(request))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream]:
        """Open a stream of server-sent events."""
        async with self._http.sse(**_options(request)) as source:
            if not source.response.is_success:
                await source.response.aread()
            yield Stream(source.response, aiter(source))

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def _options(request: Request) -> dict[str, Any]:
    body = {"content": request.content} if request.json is None else {"json": request.json}
    return {
        "method": request.method,
        "url": request.path,
        "params": request.params,
        "headers": request.headers,
        **body,
    }


async def _without_suspending(
    events: Iterable[httpx2.ServerSentEvent],
) -> AsyncIterator[httpx2.ServerSentEvent]:
    for event in events:
        yield event
