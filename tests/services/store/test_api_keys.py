"""API keys: who gets in, who does not, and what is kept of a secret."""

import itertools
from typing import NoReturn

import pytest
import sqlalchemy as sa

from services.errors import NotFoundError, StoreUnavailableError
from services.store import Scope, Store
from services.store.engine import Database, create_engine


def test_a_token_authenticates_as_its_key(store: Store, clock):
    key, token = store.create_api_key("alice", [Scope.SUBMIT, Scope.READ])
    assert token.startswith(f"gtn_{key.prefix}_")
    authenticated = store.authenticate(token)
    assert authenticated is not None
    assert (authenticated.id, authenticated.name) == (key.id, "alice")
    assert set(authenticated.scopes) == {Scope.READ, Scope.SUBMIT}


def test_the_secret_has_32_bytes_and_no_two_are_alike(store: Store):
    secrets = [store.create_api_key("same name", [Scope.READ])[1].split("_", 2)[2] for _ in range(20)]
    assert all(len(secret) == 43 for secret in secrets)  # base64 of 32 bytes
    assert len(set(secrets)) == 20


def test_the_database_does_not_hold_the_secret(store: Store, database_url: str):
    _, token = store.create_api_key("alice", [Scope.READ])
    secret = token.split("_", 2)[2]
    with create_engine(database_url).connect() as connection:
        row = connection.execute(sa.text("SELECT * FROM api_keys")).one()
    assert all(secret not in str(value) for value in row)


def test_a_key_opens_although_its_use_cannot_be_noted(store: Store, monkeypatch: pytest.MonkeyPatch):
    """As on a full disk: what there is can still be read."""
    key, token = store.create_api_key("alice", [Scope.READ])

    def full(_: Database) -> NoReturn:
        raise StoreUnavailableError("database or disk is full")

    monkeypatch.setattr(Database, "write", full)
    authenticated = store.authenticate(token)
    assert authenticated is not None
    assert (authenticated.id, authenticated.last_used_at) == (key.id, None)


def test_a_wrong_token_is_nobody(store: Store):
    key, token = store.create_api_key("alice", [Scope.READ])
    wrong = "A" if token[-1] != "A" else "B"
    for other in [
        "",
        "gtn",
        "gtn__",
        "gtn_" + key.prefix,
        f"gtn_{key.prefix}_",
        token[:-1],
        token + "x",
        token[:-1] + wrong,
        token.upper(),
        token.replace("gtn_", "xyz_"),
        "gtn_000000000000_" + token.split("_", 2)[2],
        "gtn_a\0b_secret",
        f"gtn_{key.prefix}_\udcff",
        "é" * 100,
    ]:
        assert store.authenticate(other) is None, other


def test_a_revoked_key_is_nobody_and_revoking_again_keeps_the_time(store: Store, clock):
    key, token = store.create_api_key("alice", [Scope.ADMIN])
    revoked = store.revoke_api_key(key.id)
    assert revoked.revoked_at == clock()
    clock.advance(1)
    assert store.revoke_api_key(key.id) == revoked
    assert store.authenticate(token) is None
    with pytest.raises(NotFoundError, match="no API key"):
        store.revoke_api_key("nosuchkey")


def test_has_api_keys_counts_revoked_ones_too(store: Store):
    assert not store.has_api_keys()
    key, _ = store.create_api_key("alice", [Scope.READ])
    assert store.has_api_keys()
    store.revoke_api_key(key.id)
    assert store.has_api_keys()
    assert [each.name for each in store.list_api_keys()] == ["alice"]


def test_last_use_is_noted_once_a_minute(store: Store, clock):
    key, token = store.create_api_key("alice", [Scope.READ])
    assert key.last_used_at is None
    noted = []
    for _ in range(5):
        store.authenticate(token)
        noted.append(store.list_api_keys()[0].last_used_at)
        clock.advance(25)
    start = noted[0]
    assert [(each - start).total_seconds() for each in noted] == [0, 0, 0, 75, 75]


def test_scopes_include_the_lesser_ones(store: Store):
    for held, asked in itertools.product(Scope, Scope):
        key, _ = store.create_api_key("key", [held])
        assert key.allows(asked) == (list(Scope).index(held) >= list(Scope).index(asked))
    assert not store.create_api_key("nothing", [])[0].allows(Scope.READ)
