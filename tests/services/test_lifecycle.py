"""Every state meets every action; the table below is the specification, written out by hand."""

import pytest

from services.errors import IllegalTransitionError
from services.lifecycle import Action, JobKind, JobState, next_state

# "-" is refused. A cell equal to its row's state is a no-op.
TABLE = """
           claim    pause   resume   cancel     succeed    fail    release    extend
queued     running  paused  queued   cancelled  -          -       queued     queued
running    -        paused  running  cancelled  succeeded  failed  queued     running
paused     -        paused  queued   cancelled  -          -       paused     paused
succeeded  -        -       -        -          succeeded  -       succeeded  queued
failed     -        -       queued   -          -          failed  failed     queued
cancelled  -        -       -        cancelled  -          -       cancelled  -
"""


def _cells() -> list[tuple[JobState, Action, str]]:
    header, *rows = (line.split() for line in TABLE.strip().splitlines())
    return [
        (JobState(state), Action(action), outcome)
        for state, *outcomes in rows
        for action, outcome in zip(header, outcomes, strict=True)
    ]


def test_every_kind_has_a_noun_a_plural_and_a_place():
    assert [(kind.noun, kind.plural, kind.place) for kind in JobKind] == [
        ("search", "searches", "searches"),
        ("meta-training", "meta-trainings", "meta-trainings"),
        ("final training", "final trainings", "final-trainings"),
        ("fidelity report", "fidelity reports", "fidelity-reports"),
    ]


def test_the_table_has_every_state_and_every_action():
    assert {(state, action) for state, action, _ in _cells()} == {(s, a) for s in JobState for a in Action}


@pytest.mark.parametrize(("state", "action", "outcome"), _cells())
def test_transition(state: JobState, action: Action, outcome: str):
    if outcome == "-":
        with pytest.raises(IllegalTransitionError, match=f"cannot {action} a {state} job: .+") as refusal:
            next_state(state, action)
        assert (refusal.value.state, refusal.value.action) == (state, action)
    else:
        assert next_state(state, action) is JobState(outcome)


@pytest.mark.parametrize(("state", "action", "outcome"), _cells())
def test_repeating_a_transition_is_a_no_op_except_for_claims(state: JobState, action: Action, outcome: str):
    if outcome == "-" or action is Action.CLAIM:
        return
    reached = next_state(state, action)
    assert next_state(reached, action) is reached


def test_terminal_states_are_those_that_only_another_try_and_an_extension_leave():
    for state in JobState:
        cells = [(action, outcome) for start, action, outcome in _cells() if start is state]
        again = {Action.EXTEND, Action.RESUME} if state is JobState.FAILED else {Action.EXTEND}
        left = {outcome for action, outcome in cells if action not in again} - {"-", state.value}
        assert state.terminal == (not left)


def test_reasons_tell_what_to_do():
    with pytest.raises(IllegalTransitionError, match="already been cancelled; submit a new one"):
        next_state(JobState.CANCELLED, Action.RESUME)
    with pytest.raises(IllegalTransitionError, match="already succeeded: nothing is left to pause"):
        next_state(JobState.SUCCEEDED, Action.PAUSE)
    with pytest.raises(IllegalTransitionError, match="over for good; clone it"):
        next_state(JobState.CANCELLED, Action.EXTEND)
    with pytest.raises(IllegalTransitionError, match="resume it first"):
        next_state(JobState.PAUSED, Action.CLAIM)
