"""Requests that compute for long: a few at a time, and the others wait where they hold no thread.

All endpoints share the server's threads and the interpreter. Without turns, one caller with some dozens of
such requests would keep everybody from both.
"""

from asyncio import Semaphore
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, TypeVar
from weakref import WeakValueDictionary

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from services.controller.security import AuthenticatedCaller

Part = TypeVar("Part", str, bytes)

AT_ONCE = 4
"""Heavy requests that are worked on at a time; threads of one interpreter do no more if they are more."""

OF_ONE_CALLER = 2
"""Of them, so that nobody has to wait behind all that another has sent."""


class Turns:
    """Who may work on something heavy. Belongs to the event loop of the server."""

    def __init__(self) -> None:
        self._of_all = Semaphore(AT_ONCE)
        self._of_callers: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, caller_id: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it for as long as the block runs."""
        of_caller = self._of_callers.setdefault(caller_id, Semaphore(OF_ONE_CALLER))
        async with of_caller, self._of_all:
            yield

    async def by_parts(self, caller_id: str, content: Iterator[Part]) -> AsyncIterator[Part]:
        """The content, each part of it made in a turn; who reads them slowly has none meanwhile."""
        while True:
            async with self.turn(caller_id):
                part = await run_in_threadpool(next, content, None)
            if part is None:
                return
            yield part


async def _turn(request: Request, caller: AuthenticatedCaller) -> AsyncIterator[None]:
    turns: Turns = request.app.state.turns
    async with turns.turn(caller.id):
        yield


async def _by_parts(request: Request, caller: AuthenticatedCaller) -> Callable[..., AsyncIterator[str]]:
    turns: Turns = request.app.state.turns
    return partial(turns.by_parts, caller.id)


HEAVY = Depends(_turn, scope="function")
"""A dependency of a route that computes for long. The turn ends before the answer is sent."""

ByParts = Annotated[Callable[[Iterator[str]], AsyncIterator[str]], Depends(_by_parts)]
"""What the content of an answer goes through that is made while it is sent."""
