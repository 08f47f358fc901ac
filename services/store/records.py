"""What the store answers with: frozen records, never rows. Datetimes are UTC and aware."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from services.lifecycle import CandidateState, JobKind, JobState

JsonObject = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A meta-training, a search, a final training or a fidelity report."""

    id: str
    kind: JobKind
    name: str
    state: JobState
    request: JsonObject  # as submitted and validated, defaults filled in
    subject_id: str | None  # the checkpoint of a search or report, the candidate of a final training
    progress_done: int  # in the unit of its kind; the furthest point, so it never goes back
    progress_total: int
    result: JsonObject | None
    error: JsonObject | None  # problem details
    lease_owner: str | None
    lease_expires_at: datetime | None
    attempts: int  # claims since the job last made progress; giving it back in order is not counted
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    priority: int = 0  # higher first
    owner_key_id: str | None = None  # the API key that submitted it; None: the bootstrap key, or none at all
    waiting_for: str | None = None  # why a job does not get on
    origin: JsonObject | None = None  # the request that submitted it: its id, and its trace if there is one


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """One evaluation of one architecture in one search."""

    id: str  # candidate_id(search_id, number)
    search_id: str
    number: int  # 0-based, in order of proposal
    rank: int | None  # 1 is the best reward among the succeeded of its search; None otherwise
    state: CandidateState
    space: str
    encoding: str
    canonical_hash: str
    seed: int
    metrics: JsonObject | None  # accuracy, loss, params, flops, seconds and the estimator's own
    loss_curve: list[float] | None  # training loss before each inner step, [T]
    error: JsonObject | None  # {"reason", "detail"}
    created_at: datetime
    finished_at: datetime | None
    parents: tuple[int, ...] = ()  # numbers of the candidates it was made from


@dataclass(frozen=True, slots=True)
class NewCandidate:
    """What is known of a candidate before its evaluation."""

    number: int
    space: str
    encoding: str
    canonical_hash: str
    seed: int
    parents: tuple[int, ...] = ()  # at most two


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A frozen GTN; its bytes are the artifact of the same id."""

    id: str  # sha256 hex of the content
    manifest: JsonObject
    size_bytes: int
    created_at: datetime
    name: str | None = None


@dataclass(frozen=True, slots=True)
class AddedCheckpoint:
    """A checkpoint, and whether it was stored by this request instead of being there already."""

    checkpoint: CheckpointRecord
    created: bool


class EventType(StrEnum):
    """The types of events the store itself writes; runners may append their own."""

    STATE = "state"  # {"state", "action"}; with {"error"} if it failed, with {"held_until"} if its runner did
    PROGRESS = "progress"  # {"done", "total"}
    EXTENDED = "extended"  # {"max_candidates", "max_seconds"}, what they are now
    EDITED = "edited"  # of {"name", "priority"} those that are other than before
    WAITING = "waiting"  # {"waiting_for"}: a reason, or null once there is none
    SUSPENDED = "suspended"  # {"seconds"}: its runner goes on, whose lease had run out so long before
    CANDIDATE = "candidate"  # {"id", "number", "state", "encoding", "metrics", "error", "done", "total"}
    LOG = "log"  # {"message"}: what the job is doing beside its steps


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened to a job. Ids grow in the order in which a job's events became visible."""

    id: int
    job_id: str
    type: str
    data: JsonObject
    created_at: datetime


class Scope(StrEnum):
    """What an API key may do; each scope includes those before it."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """An API key without its secret, which is stored nowhere."""

    id: str
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    last_used_at: datetime | None  # to the minute
    revoked_at: datetime | None

    def allows(self, scope: Scope) -> bool:
        """Whether the key carries `scope`, or one that includes it."""
        order = list(Scope)
        return any(order.index(held) >= order.index(scope) for held in self.scopes)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A browser that is logged in."""

    key: ApiKeyRecord | None  # None: it logged in with the bootstrap key
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What makes a repeated POST recognisable: the client's key, where it went, what it said."""

    key: str
    method_path: str  # "POST /v1/searches"
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """A stretch of a metric, both ends included; a candidate without the metric is outside."""

    metric: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class CandidateFilter:
    """Which candidates a list holds; None does not restrict."""

    search_id: str | None = None
    state: CandidateState | None = None
    search_space: str | None = None
    within: tuple[Bounds, ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A stretch of a list; `next_cursor` asks for the one after it, None when this is the last."""

    items: list[T]
    next_cursor: str | None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def candidate_id(search_id: str, number: int) -> str:
    """The id of candidate `number` of a search."""
    return f"{search_id}-{number}"
