"""The Idempotency-Key header: a POST that is sent twice creates one thing."""

import asyncio
import hashlib
from typing import Annotated

from fastapi import Depends, Header, Request

from services.controller.security import AuthenticatedCaller
from services.store import IdempotencyKey


async def _idempotency_key(
    request: Request,
    caller: AuthenticatedCaller,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="any text of your own; the same request with the same key is carried out once",
        ),
    ] = None,
) -> IdempotencyKey | None:
    if key is None:
        return None
    body = await request.body()
    # Two callers who happen to choose one key do not meet.
    place = f"{request.method} {request.url.path} {caller.id}".rstrip()
    digest = await asyncio.to_thread(hashlib.sha256, body)  # of a checkpoint it takes half a second
    return IdempotencyKey(key, place, digest.hexdigest())


IdempotencyKeyHeader = Annotated[IdempotencyKey | None, Depends(_idempotency_key)]
