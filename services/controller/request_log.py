"""Around every request: its id, a log line, its latency, security headers, an answer if all else fails."""

import logging
import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.controller.metrics import Metrics
from services.controller.problems import INTERNAL, Problem, problem_response

log = structlog.get_logger(__name__)

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
DEFAULT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Sent unless the answer brings its own, as pages do."""
PROBES = {"/healthz", "/readyz", "/metrics"}
"""Asked every few seconds by machines; logged at the debug level."""


class RequestLog:
    """The outermost middleware. Headers and bodies are never logged: they carry keys."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = time.perf_counter()
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete_headers(MutableHeaders(scope=message), request_id)
                self._metrics.observe_request(scope, status, time.perf_counter() - started)
            await send(message)

        # Whose request it is turns out on the way: `authenticated` puts it in the place of None.
        known = {"request_id": request_id, "client": _address(scope), "caller": None}
        with structlog.contextvars.bound_contextvars(**known):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if status is not None:  # the answer has begun: only breaking it off tells the client
                    raise
                problem = Problem(
                    INTERNAL,
                    "an unexpected error",
                    remedy=f"the controller's log has it, as request {request_id}",
                )
                response = problem_response(problem, Request(scope).url.path)
                await response(scope, receive, send_with_headers)
            finally:
                log.log(
                    logging.DEBUG if scope["path"] in PROBES else logging.INFO,
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    milliseconds=round(1000 * (time.perf_counter() - started), 1),
                )


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is harmless, so that its logs and ours can be put side by side."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex


def _address(scope: Scope) -> str | None:
    return scope["client"][0] if scope.get("client") else None


def _complete_headers(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    for name, value in DEFAULT_HEADERS.items():
        headers.setdefault(name, value)
