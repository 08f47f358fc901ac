"""Idempotency keys: a POST that is sent twice creates one thing and is answered twice."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from services.errors import IdempotencyConflictError
from services.store.records import IdempotencyKey, JobRecord
from services.store.tables import IdempotentRequest

_ANSWER = TypeAdapter(JobRecord)


def first_answer(
    session: Session, request: IdempotencyKey, answer: JobRecord, now: datetime
) -> JobRecord | None:
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
                    answer=_ANSWER.dump_python(answer, mode="json"),
                    created_at=now,
                )
            )
    except sa.exc.IntegrityError:
        return earlier_answer(session, request)
    return None


def earlier_answer(session: Session, request: IdempotencyKey) -> JobRecord | None:
    """What this key was answered with; None if it never came.

    Raises IdempotencyConflictError when it came with another body.
    """
    earlier = session.get(IdempotentRequest, (request.key, request.method_path))
    if earlier is None:
        return None
    if earlier.body_sha256 != request.body_sha256:
        raise IdempotencyConflictError(request.key) from None
    return _ANSWER.validate_python(earlier.answer)
