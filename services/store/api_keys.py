"""API keys: 32 random bytes of which only a salted hash is kept.

SHA-256 and not a slow password hash: the secret has 256 bits of entropy, so there is nothing to guess
and nothing for slowness to protect, while every request would pay for it, or an attacker make it pay.
The salt keeps equal secrets, should there be any, from looking equal.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.errors import StoreUnavailableError
from services.store.engine import Database
from services.store.json_values import check_json
from services.store.records import ApiKeyRecord, Scope
from services.store.repository import Repository, find, new_id
from services.store.tables import ApiKey

LAST_USED_RESOLUTION = timedelta(minutes=1)  # a write per request would cost more than the request


class ApiKeyRepository(Repository):
    """Who may talk to the controller."""

    def create_api_key(self, name: str, scopes: Iterable[Scope]) -> tuple[ApiKeyRecord, str]:
        """A new key and its token, `gtn_PREFIX_SECRET`, which cannot be shown again."""
        check_json(name, "name")
        prefix, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
        with self._database.write() as session:
            key = ApiKey(
                id=new_id(),
                name=name,
                prefix=prefix,
                salt=salt,
                secret_hash=_hash(salt, secret),
                scopes=sorted({Scope(scope) for scope in scopes}),
                created_at=self._now(session),
            )
            session.add(key)
        return key_record(key), f"gtn_{prefix}_{secret}"

    def list_api_keys(self) -> list[ApiKeyRecord]:
        """All keys, revoked ones too, oldest first."""
        with self._database.read() as session:
            keys = session.scalars(sa.select(ApiKey).order_by(ApiKey.created_at, ApiKey.id))
            return [key_record(key) for key in keys]

    def revoke_api_key(self, api_key_id: str) -> ApiKeyRecord:
        """Make a key useless from now on; a second time changes nothing. Raises NotFoundError."""
        with self._database.write() as session:
            key = find(session, ApiKey, "API key", api_key_id, lock=True)
            key.revoked_at = key.revoked_at or self._now(session)
            return key_record(key)

    def authenticate(self, token: str) -> ApiKeyRecord | None:
        """The key of a token; None for one that is unknown, wrong or revoked.

        Takes the same time however much of the secret is right. Notes the use, once a minute at most.
        """
        scheme, _, rest = token.partition("_")
        prefix, _, secret = rest.partition("_")
        if scheme != "gtn" or not prefix.isalnum() or not secret.isascii():
            return None
        with self._database.read() as session:
            key = session.scalars(sa.select(ApiKey).where(ApiKey.prefix == prefix)).one_or_none()
            # An unknown prefix costs a hash too, so that the time does not tell which prefixes there are.
            salt, expected = (b"", b"") if key is None else (key.salt, key.secret_hash)
            if not hmac.compare_digest(_hash(salt, secret), expected) or key is None:
                return None
            record, now = key_record(key), self._now(session)
        if record.revoked_at is not None:
            return None
        note_use(self._database, record, now)
        return record

    def has_api_keys(self) -> bool:
        """Whether there ever was a key: revoking the last one must not let everybody in."""
        with self._database.read() as session:
            return bool(session.scalar(sa.select(sa.exists(sa.select(ApiKey.id)))))


def note_use(database: Database, key: ApiKeyRecord, now: datetime) -> None:
    """Remember that a key was used, unless that was done a moment ago.

    Reading goes on where that cannot be written, as on a full disk.
    """
    if key.last_used_at is not None and now - key.last_used_at < LAST_USED_RESOLUTION:
        return
    with suppress(StoreUnavailableError), database.write() as session:
        session.execute(sa.update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))


def _hash(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()


def key_record(key: ApiKey) -> ApiKeyRecord:
    """A row as a record."""
    return ApiKeyRecord(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=tuple(Scope(scope) for scope in key.scopes),
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )
