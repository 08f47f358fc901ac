"""Sessions of browsers that logged in with an API key: a random token of which only the hash is kept.

A session can do what its key can, for as long as the key can: nothing about the key is copied into it.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta

import sqlalchemy as sa

from services.store.api_keys import key_record, note_use
from services.store.records import SessionRecord
from services.store.repository import Repository
from services.store.tables import ApiKey, BrowserSession


class SessionRepository(Repository):
    """Who is logged in."""

    def create_session(
        self, api_key_id: str | None, lifetime: timedelta, *, bootstrap_key: str | None = None
    ) -> str:
        """A new session's token, which cannot be shown again; without a key it is the bootstrap key's.

        Sessions that have expired are removed on the way.
        """
        token = secrets.token_urlsafe(32)
        with self._database.write() as database:
            now = self._now(database)
            database.execute(sa.delete(BrowserSession).where(BrowserSession.expires_at <= now))
            session = BrowserSession(
                token_hash=_hash(token),
                api_key_id=api_key_id,
                bootstrap_hash=None if bootstrap_key is None else _bootstrap_hash(token, bootstrap_key),
                created_at=now,
                expires_at=now + lifetime,
            )
            database.add(session)
        return token

    def find_session(self, token: str, *, bootstrap_key: str | None = None) -> SessionRecord | None:
        """The session of a token; None for one that is unknown, over or expired, or whose key is revoked.

        One of the bootstrap key is over once that key is another. Notes the use of the API key.
        """
        if not token.isascii():
            return None
        with self._database.read() as database:
            now = self._now(database)
            session = database.get(BrowserSession, _hash(token))
            if session is None or session.expires_at <= now:
                return None
            if session.api_key_id is None:
                expected = session.bootstrap_hash or b""
                if bootstrap_key is None or not hmac.compare_digest(
                    expected, _bootstrap_hash(token, bootstrap_key)
                ):
                    return None
                return SessionRecord(None, session.created_at, session.expires_at)
            row = database.get(ApiKey, session.api_key_id)
            if row is None or row.revoked_at is not None:
                return None
            record = SessionRecord(key_record(row), session.created_at, session.expires_at)
        if record.key is not None:
            note_use(self._database, record.key, now)
        return record

    def end_session(self, token: str) -> None:
        """Make a session's token useless; one that is unknown changes nothing."""
        if not token.isascii():
            return
        with self._database.write() as database:
            database.execute(sa.delete(BrowserSession).where(BrowserSession.token_hash == _hash(token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _bootstrap_hash(token: str, bootstrap_key: str) -> bytes:
    # Keyed with the token, which is stored nowhere: two sessions do not show that they share a key.
    return hmac.new(token.encode(), bootstrap_key.encode(), hashlib.sha256).digest()
