"""Jobs as their users see them: submit, look, steer, delete. Runners' side: `leases`."""

import sqlalchemy as sa

from services.errors import NotFoundError
from services.lifecycle import Action, JobKind, JobState
from services.store.events import record_event
from services.store.idempotency import first_answer
from services.store.json_values import check_json
from services.store.pagination import Order, read_page
from services.store.records import EventType, IdempotencyKey, JobRecord, JsonObject, Page
from services.store.repository import Repository, find, new_id
from services.store.tables import JOBS, Job
from services.store.transitions import job_record, transition

NEWEST_FIRST = Order(
    "newest", JOBS.columns.created_at, (JOBS.columns.id,), descending=True, ties_descending=True
)


class JobRepository(Repository):
    """Jobs of every kind."""

    def create_job(
        self,
        kind: JobKind,
        *,
        name: str,
        request: JsonObject,
        progress_total: int,
        subject_id: str | None = None,
        priority: int = 0,
        owner_key_id: str | None = None,
        origin: JsonObject | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> JobRecord:
        """Queue a job; `owner_key_id` is the API key that shares the queue fairly with the others.

        With an idempotency key that came before, nothing is created and the first answer is given
        again as it was then; of two equal requests at once, one creates and the other gets its answer.
        Raises IdempotencyConflictError when the key came with another body, InvalidValueError.
        """
        check_json(request, "request")
        check_json(name, "name")
        with self._database.write() as session:
            now = self._now(session)
            job = Job(
                id=new_id(),
                kind=kind,
                name=name,
                state=JobState.QUEUED,
                request=request,
                subject_id=subject_id,
                progress_done=0,
                progress_total=progress_total,
                attempts=0,
                created_at=now,
                priority=priority,
                owner_key_id=owner_key_id,
                origin=origin,
            )
            if idempotency is not None:
                earlier = first_answer(session, idempotency, job_record(job), now)
                if earlier is not None:
                    return earlier
            session.add(job)
            session.flush()
            record_event(session, job, EventType.STATE, {"state": job.state, "action": "create"}, now)
            return job_record(job)

    def get_job(self, job_id: str, kind: JobKind | None = None) -> JobRecord:
        """One job. Raises NotFoundError, also when the job is of another kind."""
        with self._database.read() as session:
            job = find(session, Job, kind or "job", job_id)
            if kind is not None and job.kind is not kind:
                raise NotFoundError(kind, job_id)
            return job_record(job)

    def list_jobs(
        self,
        kind: JobKind,
        *,
        state: JobState | None = None,
        name: str | None = None,
        subject_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[JobRecord]:
        """Jobs of a kind, newest first; `name` is a part of theirs, with a to z in either case.

        Raises InvalidCursorError, InvalidValueError (limit, name).
        """
        jobs = sa.select(JOBS).where(JOBS.columns.kind == kind)
        if state is not None:
            jobs = jobs.where(JOBS.columns.state == state)
        if name:
            check_json(name, "name")
            jobs = jobs.where(JOBS.columns.name.icontains(name, autoescape=True))
        if subject_id is not None:
            jobs = jobs.where(JOBS.columns.subject_id == subject_id)
        with self._database.read() as session:
            rows, next_cursor = read_page(session, jobs, NEWEST_FIRST, limit=limit, cursor=cursor)
            return Page([job_record(job) for job in rows], next_cursor)

    def count_jobs(self) -> dict[tuple[JobKind, JobState], int]:
        """How many jobs of each kind are in each state; absent pairs are zero."""
        with self._database.read() as session:
            counts = session.execute(
                sa.select(Job.kind, Job.state, sa.func.count()).group_by(Job.kind, Job.state)
            )
            return {(kind, state): count for kind, state, count in counts if kind is not None}

    def act(self, job_id: str, action: Action) -> JobRecord:
        """Pause, resume or cancel a job, and say so in its events. One that failed is resumed to try again.

        The job's row is locked, its state compared with what the action needs, then set. Who comes
        second is judged by the state the first one left: the same action again is a no-op, an illegal
        one raises IllegalTransitionError and changes nothing. A runner keeps its lease and learns of
        the new state at its next heartbeat. Raises NotFoundError.
        """
        with self._database.write() as session:
            job = find(session, Job, "job", job_id, lock=True)
            transition(session, job, action, self._now(session))
            return job_record(job)

    def edit_job(self, job_id: str, *, name: str | None = None, priority: int | None = None) -> JobRecord:
        """Give a job another name, or another place among those that wait; None leaves what there is.

        Its request tells the same from then on, so that a clone begins with it. Raises NotFoundError,
        InvalidValueError.
        """
        check_json(name, "name")
        edits = {key: value for key, value in (("name", name), ("priority", priority)) if value is not None}
        with self._database.write() as session:
            job = find(session, Job, "job", job_id, lock=True)
            edits = {key: value for key, value in edits.items() if getattr(job, key) != value}
            for key, value in edits.items():
                setattr(job, key, value)
            job.request = job.request | {key: value for key, value in edits.items() if key in job.request}
            if edits:
                record_event(session, job, EventType.EDITED, edits, self._now(session))
            return job_record(job)
