"""The HTTP server around the application, and an end of it that does not wait for event streams."""

import asyncio
import math
import socket
import sys

import uvicorn
from fastapi import FastAPI
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.controller import descriptors
from services.ports import BACKLOG
from services.settings import Settings

KEPT_DESCRIPTORS = 128
"""For the database and other files, or half of those that the process may have; clients get the rest."""

SWITCH_SECONDS = 0.0005
"""After how long the interpreter passes from a thread that computes to one that waits."""


class ControllerServer(uvicorn.Server):
    """Uvicorn that tells event streams to end before it waits for open answers, so that they do end."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        settings: Settings = app.state.settings
        open_files = descriptors.raise_limit()
        kept = min(KEPT_DESCRIPTORS, open_files // 2)
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=_BoundedProtocol,
                backlog=max(1, kept // 8),  # asyncio accepts so many before it hears the first of them
                log_config=None,
                access_log=False,  # the application logs requests itself, with their ids
                server_header=False,
                # Without a descriptor for the next client, asyncio logs thousands of failures a second.
                limit_concurrency=open_files - kept,
                timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_seconds),
            )
        )
        self._app = app

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to end."""
        # A thread that reads 100,000 candidates would else keep the interpreter from the event loop for 5 ms
        # at every turn: the files of a page would come ten times as late.
        sys.setswitchinterval(SWITCH_SECONDS)
        super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, again with a queue for all who come at once: asyncio has shortened it."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let answers end within the grace of the settings, end the application."""
        self._app.state.streams.close()
        await super().shutdown(sockets)


class _BoundedProtocol(H11Protocol):
    """Who comes beyond the limit is told so in the answer to a request; who comes in a burst is not heard.

    Else those who say nothing would hold the descriptors that are kept.
    """

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > (self.config.limit_concurrency or 0) + self.config.backlog:
            transport.close()
