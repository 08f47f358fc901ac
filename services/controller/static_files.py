"""The dashboard's static files, which browsers keep for as long as their address names their content."""

from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

KEEP = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


class VersionedFiles(StaticFiles):
    """Files whose address carries a digest (`?v=`) never change; all others are asked for again, cheaply."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file with what a browser may do with it, or the 304 that says it has it."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = KEEP if b"v=" in scope["query_string"] else ASK_AGAIN
        return response
