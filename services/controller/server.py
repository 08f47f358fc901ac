"""The HTTP server around the application, and an end of it that does not wait for event streams."""

import math
import socket
import sys

import uvicorn
from fastapi import FastAPI

from services.controller import descriptors
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
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,  # the application logs requests itself, with their ids
                server_header=False,
                # Without a descriptor for the next client, asyncio logs thousands of failures a second.
                limit_concurrency=max(open_files // 2, open_files - KEPT_DESCRIPTORS),
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let answers end within the grace of the settings, end the application."""
        self._app.state.streams.close()
        await super().shutdown(sockets)
