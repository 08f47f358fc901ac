"""Answers that never change under their name: sent once, then only confirmed."""

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Header, Response
from fastapi.responses import StreamingResponse

IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="an ETag; 304 if it is still the one")
]


def conditional(
    tag: str,
    if_none_match: str | None,
    content: Callable[[], bytes | Iterator[bytes]],
    *,
    media_type: str,
    file_name: str | None = None,
    size_bytes: int | None = None,
) -> Response:
    """The content with its ETag, or 304 to a client that has it; `content` is then not even made.

    Of content in pieces, `size_bytes` tells how much they are together.
    """
    # private: what a key opens is not for caches in between. no-cache: they ask again each time, cheaply.
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
    if if_none_match is not None and _matches(tag, if_none_match):
        return Response(status_code=304, headers=headers)
    if file_name is not None:
        headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    made = content()
    if isinstance(made, bytes):
        return Response(made, headers=headers, media_type=media_type)
    headers["Content-Length"] = str(size_bytes)
    return StreamingResponse(made, headers=headers, media_type=media_type)


def _matches(tag: str, if_none_match: str) -> bool:
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in given or f'"{tag}"' in given
