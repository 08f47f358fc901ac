"""The HTTP server around the application, and an end of it that does not wait for event streams."""

import math
import socket
import sys

import uvicorn
from fastapi import FastAPI

from services.settings import Settings

SWITCH_SECONDS = 0.0005
"""After how long the interpreter passes from a thread that computes to one that waits."""


class ControllerServer(uvicorn.Server):
    """Uvicorn that tells event streams to end before it waits for open answers, so that they do end."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        settings: Settings = app.state.settings
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,  # the application logs requests itself, with their ids
                server_header=False,
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
