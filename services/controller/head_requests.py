"""HEAD: what GET would answer, without the body, as monitors and `curl -I` ask for it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Has HEAD carried out as GET and keeps the body back. Not of event streams, whose body has no end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].endswith("/events"):
            await self._app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.start" and "route" in as_get:
                scope["route"] = as_get["route"]  # for whoever counts requests by it
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(as_get, receive, send_without_body)
