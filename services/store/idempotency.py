"""Idempotency keys: a POST that is sent twice creates one thing and is answered twice."""

from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from services.errors import IdempotencyConflictError
from services.store.records import AddedCheckpoint, IdempotencyKey, JobRecord
from services.store.tables import IdempotentRequest

Answer = TypeVar("Answer")
_ANSWERS: dict[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (JobRecord, AddedCheckpoint)
}


def first_answer(session: Session, request: IdempotencyKey, answer: Answer, now: datetime) -> Answer | None:
    """None if this request is the first of its key, whose answer is now remembered; else the first answer.

    Two equal requests at once: the unique key makes the second wait for the first to commit, and then
    lose. Raises IdempotencyConflictError when the key came with another body.
    """
    try:
        with session.begin_nested():
            session.add(
                IdempotentRequest(
                    key=request.key,
                    method_path=request.method_path,
                    body_sha256=request.body_sha256,
                    answer=_ANSWERS[type(answer)].dump_python(answer, mode="json"),
                    created_at=now,
                )
            )
    except sa.exc.IntegrityError:
        return earlier_answer(session, request, type(answer))
    return None


def earlier_answer(session: Session, request: IdempotencyKey, kind: type[Answer]) -> Answer | None:
    """What this key was answered with, a record of that kind; None if it never came.

    Raises IdempotencyConflictError when it came with another body.
    """
    earlier = session.get(IdempotentRequest, (request.key, request.method_path))
    if earlier is None:
        return None
    if earlier.body_sha256 != request.body_sha256:
        raise IdempotencyConflictError(request.key) from None
    answer: Answer = _ANSWERS[kind].validate_python(earlier.answer)
    return answer
