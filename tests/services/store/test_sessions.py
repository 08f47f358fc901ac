"""Sessions: who is logged in, for how long, and what is kept of the token."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.store import Scope, Store
from services.store.engine import create_engine

HOUR = timedelta(hours=1)


def test_a_session_has_its_key_and_notes_its_use(store: Store, clock):
    key, _ = store.create_api_key("alice", [Scope.SUBMIT])
    token = store.create_session(key.id, HOUR)

    session = store.find_session(token)

    assert session is not None
    assert session.key is not None
    assert (session.key.id, session.key.scopes) == (key.id, (Scope.SUBMIT,))
    assert session.expires_at - session.created_at == HOUR
    assert store.list_api_keys()[0].last_used_at == clock.now


def test_tokens_differ_and_the_database_does_not_hold_them(store: Store, database_url: str):
    key, _ = store.create_api_key("alice", [Scope.READ])
    tokens = [store.create_session(key.id, HOUR), store.create_session(None, HOUR, bootstrap_key="bootstrap")]
    engine = create_engine(database_url)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM sessions")).all()
    engine.dispose()

    assert len(set(tokens)) == 2
    assert all(len(token) == 43 for token in tokens)  # base64 of 32 bytes
    for secret in (*tokens, "bootstrap"):
        assert secret not in str(rows)


@pytest.mark.parametrize("token", ["", "nosuch", "é" * 43, "\udcff", "a\0b", "x" * 100_000])
def test_any_other_token_is_nobody(store: Store, token: str):
    key, _ = store.create_api_key("alice", [Scope.READ])
    store.create_session(key.id, HOUR)

    assert store.find_session(token) is None
    store.end_session(token)


def test_a_session_expires_and_goes_with_the_next_one(store: Store, clock, database_url: str):
    key, _ = store.create_api_key("alice", [Scope.READ])
    token = store.create_session(key.id, HOUR)
    clock.advance(3599)
    assert store.find_session(token) is not None
    elsewhere = store.create_session(key.id, HOUR)
    clock.advance(1)
    assert store.find_session(token) is None

    store.create_session(key.id, HOUR)
    assert store.find_session(elsewhere) is not None, "who logs in logs nobody out"
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM sessions")).scalar() == 2
    engine.dispose()


def test_a_session_ends_with_its_key_or_by_itself_and_leaves_the_others(store: Store):
    leaked, _ = store.create_api_key("leaked", [Scope.ADMIN])
    good, _ = store.create_api_key("good", [Scope.READ])
    of_leaked, first, second = (store.create_session(id_, HOUR) for id_ in (leaked.id, good.id, good.id))

    store.revoke_api_key(leaked.id)
    store.end_session(first)
    store.end_session(first)

    assert store.find_session(of_leaked) is None
    assert store.find_session(first) is None
    assert store.find_session(second) is not None


def test_a_session_of_the_bootstrap_key_is_over_when_that_key_is_another(store: Store):
    token = store.create_session(None, HOUR, bootstrap_key="the-bootstrap-key")

    session = store.find_session(token, bootstrap_key="the-bootstrap-key")

    assert session is not None
    assert session.key is None
    assert store.find_session(token, bootstrap_key="another-bootstrap-key") is None
    assert store.find_session(token) is None
