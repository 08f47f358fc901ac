"""The store: everything that must outlive a process, in SQLite or PostgreSQL.

    upgrade("sqlite:////path/to/file.db")
    with open_store("sqlite:////path/to/file.db") as store:
        job = store.create_job(JobKind.SEARCH, name="first", request={}, progress_total=100)

Users create jobs and steer them (`jobs`); runners claim them under a lease (`leases`) and write their
candidates (`candidates`); readers ask for ranked pages (`ranked_candidates`). Every method is one
transaction, and every method that may lose a race says in its docstring what the loser gets.
"""

from types import TracebackType

from services.store.api_keys import ApiKeyRepository
from services.store.backup import back_up, restore
from services.store.candidates import CandidateRepository
from services.store.checkpoints import CheckpointRepository
from services.store.deletion import DeletionRepository
from services.store.engine import Clock, Database, create_engine, require_there, utc_now
from services.store.events import EventRepository
from services.store.extensions import ExtensionRepository
from services.store.jobs import JobRepository
from services.store.leases import LeaseRepository
from services.store.measurements import MeasurementRepository, Measurements
from services.store.pagination import page_of_names
from services.store.ranked_candidates import RankedCandidateRepository
from services.store.records import (
    AddedCheckpoint,
    ApiKeyRecord,
    Bounds,
    CandidateFilter,
    CandidateRecord,
    CheckpointRecord,
    EventRecord,
    EventType,
    IdempotencyKey,
    JobRecord,
    JsonObject,
    NewCandidate,
    Page,
    Scope,
    SessionRecord,
    candidate_id,
)
from services.store.retention import RetentionRepository
from services.store.schema import current, downgrade, head, remedy, require_schema, upgrade
from services.store.sessions import SessionRepository
from services.store.summaries import SummaryRepository
from services.store.tables import METRIC_COLUMNS
from services.store.transfer import copy_database


class Store(
    JobRepository,
    LeaseRepository,
    ExtensionRepository,
    DeletionRepository,
    CandidateRepository,
    RankedCandidateRepository,
    MeasurementRepository,
    CheckpointRepository,
    EventRepository,
    ApiKeyRepository,
    SessionRepository,
    SummaryRepository,
    RetentionRepository,
):
    """All subjects of the store over one database. Safe to share between threads, not across a fork."""

    def check(self) -> None:
        """Raises StoreUnavailableError or SchemaMismatchError unless the store can do its work."""
        require_schema(self._database)

    def close(self) -> None:
        """Close all connections; the store opens new ones if it is used again."""
        self._database.engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self._database)


def open_store(database_url: str, *, clock: Clock | None = None) -> Store:
    """The store at `database_url`, whose schema must be the code's (see `upgrade`). Tests set its `clock`.

    Raises StoreUnavailableError when the database cannot be reached or is not there, SchemaMismatchError when
    its schema is older or newer than the code; both say what to do.
    """
    require_there(database_url)
    store = Store(Database(create_engine(database_url), clock))
    try:
        store.check()
    except Exception:
        store.close()
        raise
    return store


__all__ = [
    "METRIC_COLUMNS",
    "AddedCheckpoint",
    "ApiKeyRecord",
    "Bounds",
    "CandidateFilter",
    "CandidateRecord",
    "CheckpointRecord",
    "Clock",
    "EventRecord",
    "EventType",
    "IdempotencyKey",
    "JobRecord",
    "JsonObject",
    "Measurements",
    "NewCandidate",
    "Page",
    "Scope",
    "SessionRecord",
    "Store",
    "back_up",
    "candidate_id",
    "copy_database",
    "current",
    "downgrade",
    "head",
    "open_store",
    "page_of_names",
    "remedy",
    "restore",
    "upgrade",
    "utc_now",
]
