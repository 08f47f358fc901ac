"""Frozen checkpoints: their manifests; the bytes are artifacts of the same id."""

from typing import Any

import sqlalchemy as sa

from services.errors import ConflictError
from services.lifecycle import JobKind
from services.store.idempotency import earlier_answer, first_answer
from services.store.json_values import check_json
from services.store.pagination import Order, read_page
from services.store.records import AddedCheckpoint, CheckpointRecord, IdempotencyKey, JsonObject, Page
from services.store.repository import Repository, find
from services.store.tables import CHECKPOINTS, JOBS, Checkpoint

NEWEST_FIRST = Order(
    "newest", CHECKPOINTS.columns.created_at, (CHECKPOINTS.columns.id,), descending=True, ties_descending=True
)


USERS = (JobKind.SEARCH, JobKind.FIDELITY_REPORT)
"""Kinds of jobs whose subject is a checkpoint."""


class CheckpointRepository(Repository):
    """Checkpoints, named by the hash of their content."""

    def add_checkpoint(
        self,
        checkpoint_id: str,
        manifest: JsonObject,
        size_bytes: int,
        *,
        name: str | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> AddedCheckpoint:
        """Store a checkpoint. The id is its content, so one that is there already is the answer: it keeps
        its name, or takes this one if it has none.

        Of two that add the same checkpoint at once, one stores it and both get the same record. An
        idempotency key that came before gets the first answer again. Raises IdempotencyConflictError when
        it came with another body, having stored nothing.
        """
        check_json(manifest, "manifest")
        with self._database.write() as session:
            now = self._now(session)
            earlier = earlier_answer(session, idempotency, AddedCheckpoint) if idempotency else None
            if earlier is not None:
                return earlier
            created = True
            try:
                with session.begin_nested():
                    session.add(
                        Checkpoint(
                            id=checkpoint_id,
                            name=name,
                            manifest=manifest,
                            size_bytes=size_bytes,
                            created_at=now,
                        )
                    )
            except sa.exc.IntegrityError:
                created = False
            stored = session.get_one(Checkpoint, checkpoint_id, with_for_update=True)
            stored.name = stored.name or name
            added = AddedCheckpoint(_record(stored), created)
            if idempotency is not None:
                return first_answer(session, idempotency, added, now) or added
            return added

    def get_checkpoint(self, checkpoint_id: str) -> CheckpointRecord:
        """One checkpoint. Raises NotFoundError."""
        with self._database.read() as session:
            return _record(find(session, Checkpoint, "checkpoint", checkpoint_id))

    def list_checkpoints(self, *, limit: int = 50, cursor: str | None = None) -> Page[CheckpointRecord]:
        """Checkpoints, newest first. Raises InvalidCursorError, InvalidValueError (limit)."""
        with self._database.read() as session:
            rows, next_cursor = read_page(
                session, sa.select(CHECKPOINTS), NEWEST_FIRST, limit=limit, cursor=cursor
            )
            return Page([_record(row) for row in rows], next_cursor)

    def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Remove a checkpoint. Raises ConflictError while a search or a fidelity report is about it, whose
        candidates could not be trained without it, and NotFoundError.
        """
        jobs = JOBS.columns
        about_it = sa.select(jobs.id).where(jobs.subject_id == checkpoint_id, jobs.kind.in_(USERS))
        with self._database.write() as session:
            checkpoint = find(session, Checkpoint, "checkpoint", checkpoint_id, lock=True)
            first = session.scalars(about_it.order_by(jobs.created_at).limit(1)).first()
            if first is not None:
                count = session.scalar(sa.select(sa.func.count()).select_from(about_it.subquery()))
                raise ConflictError(
                    f"checkpoint {checkpoint_id!r} is used by {count} job(s), the first is {first!r}; "
                    "delete them before it"
                )
            session.delete(checkpoint)


def _record(checkpoint: Checkpoint | sa.Row[Any]) -> CheckpointRecord:
    return CheckpointRecord(
        checkpoint.id, checkpoint.manifest, checkpoint.size_bytes, checkpoint.created_at, checkpoint.name
    )
