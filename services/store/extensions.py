"""A search that is given more to do, also after it has ended."""

from collections.abc import Callable

from services.lifecycle import Action
from services.store.events import record_event
from services.store.idempotency import earlier_answer, first_answer
from services.store.json_values import check_json
from services.store.records import EventType, IdempotencyKey, JobRecord, JsonObject
from services.store.repository import Repository, find
from services.store.tables import Job
from services.store.transitions import job_record, transition

LIMITS = ("max_candidates", "max_seconds")
"""What an extension changes of a search's request."""


class ExtensionRepository(Repository):
    """More candidates or more time for a search."""

    def extend(
        self,
        search_id: str,
        extended: Callable[[JobRecord], JsonObject],
        *,
        idempotency: IdempotencyKey | None = None,
    ) -> JobRecord:
        """Replace a search's request by `extended(search)`; one that has ended is queued again.

        The row is locked meanwhile, so that two extensions add up. A runner that is at work goes on to its
        old budget and finds the search queued again then. What was cut off by the old end, as time ran out,
        is evaluated first. An idempotency key that came before gets the first answer again, and nothing is
        added. Raises NotFoundError, IllegalTransitionError, IdempotencyConflictError, and what `extended`
        raises, having changed nothing.
        """
        with self._database.write() as session:
            now = self._now(session)
            job = find(session, Job, "search", search_id, lock=True)
            earlier = earlier_answer(session, idempotency, JobRecord) if idempotency is not None else None
            if earlier is not None:
                return earlier
            request = extended(job_record(job))
            check_json(request, "request")
            transition(session, job, Action.EXTEND, now)
            limits = {name: request[name] for name in LIMITS}
            limits["max_seconds_before"] = job.request.get("max_seconds")
            job.request, job.progress_total = request, request["max_candidates"]
            record_event(session, job, EventType.EXTENDED, limits, now)
            answer = job_record(job)
            if idempotency is not None:
                first_answer(session, idempotency, answer, now)
            return answer
