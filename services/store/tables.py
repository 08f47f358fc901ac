"""The tables, as typed mappings. Only `services/store` sees them; everyone else sees records."""

from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.lifecycle import CandidateState, JobKind, JobState
from services.store.size_classes import SIZES, class_sql


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """Aware UTC datetimes on both engines; SQLite keeps no offset, so one is neither stored nor lost."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """For those who read cursors."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database. Raises ValueError for a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; the store takes aware datetimes only")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _enum(kind: type[JobKind] | type[JobState] | type[CandidateState]) -> sa.Enum:
    # Stored as its plain value, without a database type: a new state then needs no migration of types.
    return sa.Enum(
        kind, native_enum=False, length=20, values_callable=lambda kind: [each.value for each in kind]
    )


def _candidate_indexes() -> list[sa.Index]:
    """Lists of candidates are read along one of these, forwards or backwards (see `candidate_order`).

    A candidate gets its metrics when it succeeds, so that the indexes of metrics leave the others out: a
    proposal then costs few entries, and those without an accuracy are found at once.
    """
    indexes = [
        sa.Index("ix_candidates_search_created_at", "search_id", "created_at", "number"),
        sa.Index("ix_candidates_all_created_at", "created_at", "search_id", "number"),
        sa.Index("ix_candidates_all_number", "number", "search_id"),
        sa.Index("ix_candidates_search_state", "search_id", "state", "number"),
        sa.Index("ix_candidates_search_completion", "search_id", "completion"),  # replay, ranks
        _partial("ix_candidates_unscored", "accuracy IS NULL", "search_id", "number"),
        _partial("ix_candidates_unscored_state", "accuracy IS NULL", "state", "search_id", "number"),
        sa.Index("ix_candidates_space_accuracy", "space", _BEST, "search_id", "number"),
        _partial(
            "ix_candidates_search_reward",
            "reward IS NOT NULL",
            "search_id",
            sa.text("reward DESC"),
            "number",
            "accuracy",
            *FILTERS_IN_INDEX["accuracy"],
        ),
    ]
    indexes += [
        _partial(f"ix_candidates_{name}", f"{name} IS NOT NULL", "search_id", name, "number")
        for name in ("parent", "other_parent")
    ]
    indexes += [
        _partial(
            f"ix_candidates_{name}_class",
            f"{name} IS NOT NULL",
            sa.text(class_sql(name)),
            _BEST,
            "search_id",
            "number",
            *FILTERS_IN_CLASSES,
        )
        for name in SIZES
    ]
    for name in METRIC_COLUMNS:
        column = _BEST if name == "accuracy" else name
        # The best of the small ones, the smallest of the good ones: such filters are looked at in the index.
        filters = FILTERS_IN_INDEX.get(name, ())
        given = f"{name} IS NOT NULL"
        indexes += [
            _partial(f"ix_candidates_search_{name}", given, "search_id", column, "number", *filters),
            _partial(f"ix_candidates_all_{name}", given, column, "search_id", "number", *filters),
        ]
    return indexes


def _partial(name: str, condition: str, *columns: str | sa.TextClause) -> sa.Index:
    where = sa.text(condition)
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


MAX_INTEGER = 2**63 - 1
METRIC_COLUMNS = ("accuracy", "loss", "params", "flops", "seconds")
FILTERS_IN_INDEX = {
    "accuracy": ("params", "flops"),
    "params": ("accuracy", "flops"),
    "flops": ("accuracy", "params"),
}
FILTERS_IN_CLASSES = (*SIZES, "space")
_BEST = sa.text("accuracy DESC")
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
EventId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up INTEGER keys only


class Table(DeclarativeBase):
    """Base of all tables; constraint names follow one convention so that migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy, never changed
        datetime: UtcDateTime(),
        int: sa.BigInteger(),
        float: sa.Double(),
        dict[str, Any]: Json,
        list[Any]: Json,
        JobKind: _enum(JobKind),
        JobState: _enum(JobState),
        CandidateState: _enum(CandidateState),
    }


class Job(Table):
    """Long work of any kind. One that was deleted has none, so that nobody who asks for a kind finds it."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[JobKind | None]
    name: Mapped[str]
    state: Mapped[JobState]
    request: Mapped[dict[str, Any]]
    subject_id: Mapped[str | None]
    progress_done: Mapped[int]
    progress_total: Mapped[int]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    priority: Mapped[int] = mapped_column(server_default=sa.text("0"))
    owner_key_id: Mapped[str | None]  # no foreign key: a key may be gone and its jobs stay
    waiting_for: Mapped[str | None]
    origin: Mapped[dict[str, Any] | None]
    lease_losses: Mapped[int] = mapped_column(server_default=sa.text("0"))

    __table_args__ = (
        sa.Index(None, "kind", "created_at", "id"),  # lists
        sa.Index(None, "kind", "state", "created_at", "id"),  # lists of one state
        sa.Index(None, "kind", "state", "owner_key_id"),  # how many jobs of a key run
        sa.Index(None, "subject_id", "kind"),  # the jobs about a checkpoint or a candidate
        sa.Index(None, "lease_expires_at"),  # the reconciler
    )


class Candidate(Table):
    """One evaluation. Its id is (search_id, number); metrics that lists sort by are columns."""

    __tablename__ = "candidates"

    search_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[CandidateState]
    space: Mapped[str]
    encoding: Mapped[str]
    canonical_hash: Mapped[str]
    seed: Mapped[int]
    completion: Mapped[int | None]  # 1 for the first to finish: the order in which a search is replayed
    reward: Mapped[float | None]  # what the search's algorithm was told, more is better: ranks go by it
    accuracy: Mapped[float | None]
    loss: Mapped[float | None]
    params: Mapped[int | None]
    flops: Mapped[int | None]
    seconds: Mapped[float | None]
    extra_metrics: Mapped[dict[str, Any] | None]
    loss_curve: Mapped[list[Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    parent: Mapped[int | None]  # numbers, within the search, of what it was made from
    other_parent: Mapped[int | None]

    __table_args__ = (
        *_candidate_indexes(),
        # "Has an accuracy" and "succeeded" are the same thing: rank and NULL ordering lean on it.
        sa.CheckConstraint("(state = 'succeeded') = (accuracy IS NOT NULL)", name="succeeded_has_accuracy"),
    )


class Checkpoint(Table):
    """A frozen GTN; the bytes are in the artifact store."""

    __tablename__ = "checkpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]  # for people, and need not be unique
    manifest: Mapped[dict[str, Any]]
    size_bytes: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (sa.Index(None, "created_at", "id"),)


class Event(Table):
    """Something that happened to a job; append-only."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(EventId, primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"))
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (
        sa.Index(None, "job_id", "id"),
        {"sqlite_autoincrement": True},  # an id that a client has seen never comes back
    )


class ApiKey(Table):
    """An API key: a public prefix to find it by, and a salted hash of the secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    salt: Mapped[bytes]
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class BrowserSession(Table):
    """A browser that logged in; one with the bootstrap key has no API key but proof of that one."""

    __tablename__ = "sessions"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    api_key_id: Mapped[str | None] = mapped_column(sa.ForeignKey("api_keys.id", ondelete="CASCADE"))
    bootstrap_hash: Mapped[bytes | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (sa.Index(None, "expires_at"),)


class IdempotentRequest(Table):
    """The first answer to a POST that carried an idempotency key."""

    __tablename__ = "idempotent_requests"

    key: Mapped[str] = mapped_column(primary_key=True)
    method_path: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (sa.Index(None, "created_at"),)  # those that are old go


class Identity(Table):
    """The one row that tells this database from every other; a copy that is restored elsewhere has it too."""

    __tablename__ = "identity"

    id: Mapped[str] = mapped_column(primary_key=True)


JOBS = cast(sa.Table, Job.__table__)
CANDIDATES = cast(sa.Table, Candidate.__table__)
CHECKPOINTS = cast(sa.Table, Checkpoint.__table__)
EVENTS = cast(sa.Table, Event.__table__)
IDENTITY = cast(sa.Table, Identity.__table__)
IDEMPOTENT_REQUESTS = cast(sa.Table, IdempotentRequest.__table__)


def metric_column(name: str) -> sa.ColumnElement[Any]:
    """A metric that has a column, or one of the estimator's own."""
    columns = CANDIDATES.columns
    return columns[name] if name in METRIC_COLUMNS else columns.extra_metrics[name].as_float()
