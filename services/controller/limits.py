"""Bounds on what a request may carry, checked before anything is read into memory."""

import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gtn_core.checkpoint import MAX_BYTES as MAX_CHECKPOINT_BYTES
from services.controller.problems import TOO_LARGE, Problem, problem_response

MAX_BODY_BYTES = 2**20
UPLOAD_PATH = "/v1/checkpoints"
MULTIPART_ALLOWANCE = 2**16
"""Bytes that the wrapping of an upload may add."""

_LENGTH = re.compile("[0-9]{1,15}")


class BodyLimit:
    """Answers 413 to a body that is too large, by its announced length or by what actually arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_CHECKPOINT_BYTES + MULTIPART_ALLOWANCE if scope["path"] == UPLOAD_PATH else MAX_BODY_BYTES
        detail = f"a body may have at most {limit:,} bytes here"
        announced = Headers(scope=scope).get("content-length", "0")
        if not _LENGTH.fullmatch(announced) or int(announced) > limit:
            response = problem_response(Problem(TOO_LARGE, detail), Request(scope).url.path)
            await response(scope, receive, send)
            return

        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(TOO_LARGE.status, detail)
            return message

        await self._app(scope, receive_within_limit, send)
