"""Secrets taken out of text that leaves the process: log lines and problem details.

Nothing should put one there in the first place. Libraries do, in messages that nobody has read before they
come up; this is the net below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from services.settings import Settings

HIDDEN = "***"
SHORTEST = 4
"""Characters; a shorter password would take innocent words out of the text, and is none."""

Redact = Callable[[str], str]

_PATTERNS = (
    (re.compile(r"\b(gtn_[0-9a-f]{12})_[A-Za-z0-9_-]{20,}"), rf"\1_{HIDDEN}"),  # API keys
    (re.compile(r"(://[^\s/:@'\"]*):[^\s/@'\"]+@"), rf"\1:{HIDDEN}@"),  # passwords in URLs
    (re.compile(r"(?i)\b(bearer) +[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b(authorization['\"]?\s*[:=]\s*['\"]?\w+) +[^\s'\"]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b(password|passwd|secret_access_key|aws_session_token)=[^\s&'\"]+"), rf"\1={HIDDEN}"),
)


def redact(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redactor(settings: Settings) -> Redact:
    """Like `redact`, and it knows the secrets of these settings, whatever they look like."""
    spellings = sorted(set(_spellings(_secrets(settings))), key=len, reverse=True)
    if not spellings:
        return redact
    known = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, spellings))})(?!\w)")

    def redact_known(text: str) -> str:
        return redact(known.sub(HIDDEN, text))

    return redact_known


def _secrets(settings: Settings) -> Iterable[str]:
    if settings.api_key is not None:
        yield settings.api_key.get_secret_value()
    addresses = settings.resolved_database_url, settings.resolved_artifacts_url, settings.ray_jobs_url
    for url in addresses:
        password = _password(url)
        if len(password) >= SHORTEST:
            yield password


def _password(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:  # not a URL at all; who opens it will say so
        return ""


def _spellings(secrets: Iterable[str]) -> Iterable[str]:
    for secret in secrets:
        yield from (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])
