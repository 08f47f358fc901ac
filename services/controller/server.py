"""The HTTP server around the application, and an end of it that does not wait for event streams."""

import math
import socket

import uvicorn
from fastapi import FastAPI

from services.settings import Settings


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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let answers end within the grace of the settings, end the application."""
        self._app.state.streams.close()
        await super().shutdown(sockets)
