"""The life of a job: its states, what may be done to it in each, and the one function that knows.

           claim                succeed
queued ────────────▶ running ────────────▶ succeeded
 ▲  ▲ ╲               │ │ │ ╲    fail
 │  │  ╲ pause  pause │ │ │  ╲──────────▶ failed
 │  │   ▼             ▼ │ │
 │  └── paused ◀────────┘ │ release: the runner went away, the work is anyone's again
 │  resume                │
 └────────────────────────┘          cancel: queued, running, paused ──▶ cancelled

resume: failed ──▶ queued, for another try from where it was
extend (searches): succeeded, failed ──▶ queued; queued, running and paused stay what they are
"""

from enum import StrEnum

from services.errors import IllegalTransitionError

LONGEST_LEASE_SECONDS = 86_400
"""A lease that claims to last longer was given by a clock that has been put back since."""


class JobKind(StrEnum):
    """The kinds of long work; all share one life cycle."""

    SEARCH = "search"
    META_TRAINING = "meta_training"
    FINAL_TRAINING = "final_training"
    FIDELITY_REPORT = "fidelity_report"

    @property
    def noun(self) -> str:
        """What people call one: "final training"."""
        return "meta-training" if self is JobKind.META_TRAINING else self.value.replace("_", " ")

    @property
    def plural(self) -> str:
        """What they call several."""
        return f"{self.noun}{'es' if self is JobKind.SEARCH else 's'}"

    @property
    def place(self) -> str:
        """Where they lie, in addresses: "final-trainings"."""
        return self.plural.replace(" ", "-")


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended; one that failed may be resumed, and a search extended."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


TERMINAL_STATES = tuple(state for state in JobState if state.terminal)


class CandidateState(StrEnum):
    """Where one evaluation of a search stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """What can be done to a job: by its user, its runner, or the reconciler."""

    CLAIM = "claim"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    SUCCEED = "succeed"
    FAIL = "fail"
    RELEASE = "release"
    EXTEND = "extend"


def next_state(state: JobState, action: Action) -> JobState:
    """The state that `action` leads to from `state`; the only judge of transitions.

    Repeating a transition is a no-op, so that a caller who never saw the answer may simply ask again.
    The exception is `claim`: two runners that claim one job must not both win. `release` gives work
    back and therefore only changes a running job.

    Raises IllegalTransitionError with the reason.
    """
    if action is Action.RELEASE:
        return JobState.QUEUED if state is JobState.RUNNING else state
    target = _TRANSITIONS.get((state, action))
    if target is None:
        raise IllegalTransitionError(state, action, _reason(state, action))
    return target


_TRANSITIONS = {
    (JobState.QUEUED, Action.CLAIM): JobState.RUNNING,
    (JobState.QUEUED, Action.PAUSE): JobState.PAUSED,
    (JobState.QUEUED, Action.RESUME): JobState.QUEUED,
    (JobState.QUEUED, Action.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, Action.PAUSE): JobState.PAUSED,
    (JobState.RUNNING, Action.RESUME): JobState.RUNNING,
    (JobState.RUNNING, Action.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, Action.SUCCEED): JobState.SUCCEEDED,
    (JobState.RUNNING, Action.FAIL): JobState.FAILED,
    (JobState.PAUSED, Action.PAUSE): JobState.PAUSED,
    (JobState.PAUSED, Action.RESUME): JobState.QUEUED,
    (JobState.FAILED, Action.RESUME): JobState.QUEUED,
    (JobState.PAUSED, Action.CANCEL): JobState.CANCELLED,
    (JobState.SUCCEEDED, Action.SUCCEED): JobState.SUCCEEDED,
    (JobState.FAILED, Action.FAIL): JobState.FAILED,
    (JobState.CANCELLED, Action.CANCEL): JobState.CANCELLED,
    (JobState.QUEUED, Action.EXTEND): JobState.QUEUED,
    (JobState.RUNNING, Action.EXTEND): JobState.RUNNING,
    (JobState.PAUSED, Action.EXTEND): JobState.PAUSED,
    (JobState.SUCCEEDED, Action.EXTEND): JobState.QUEUED,
    (JobState.FAILED, Action.EXTEND): JobState.QUEUED,
}


def _reason(state: JobState, action: Action) -> str:
    if action is Action.EXTEND:
        return "a cancelled search is over for good; clone it"
    if state.terminal:
        ended = "been cancelled" if state is JobState.CANCELLED else state
        if action in {Action.PAUSE, Action.CANCEL}:
            return f"it has already {ended}: nothing is left to {action}"
        return f"it has already {ended}; submit a new one"
    if action is Action.CLAIM:
        return "a runner has it" if state is JobState.RUNNING else "resume it first"
    return "only a running job can end; it must be claimed first"
