"""How often a key may ask, and how often an address may come without a good one.

Counted in this process alone: behind several controllers a client gets the limit of each.
"""

import hashlib
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from services.controller.problems import TOO_MANY_REQUESTS, Problem

Name = TypeVar("Name")
Value = TypeVar("Value")

MOST_REMEMBERED = 10_000
"""Keys and addresses remembered at a time; whoever was not seen for the longest is forgotten first."""


class RateLimits:
    """The limits of one application. Safe to use from several threads."""

    def __init__(
        self, *, per_key: int, failures_per_address: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Requests and failures per minute, in bursts of as many; 0 stands for no limit."""
        self._requests = TokenBuckets(per_key, clock)
        self._failures = TokenBuckets(failures_per_address, clock)
        self._good_tokens: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def admit_request(self, key_id: str) -> None:
        """Count a request of a key. Answers 429 when it has used up its share."""
        _refuse_if(self._requests.take(key_id), "this API key has sent too many requests")

    def admit_attempt(self, address: str, token: str | None) -> None:
        """Let a client try a key. Answers 429 to an address that was wrong too often.

        A token that was good the last time may be tried in any case: one client with a stale key must not
        lock out the others behind the same proxy.
        """
        if token is not None:
            with self._lock:
                if _digest(token) in self._good_tokens:
                    return
        wait = self._failures.wait(_network(address))
        _refuse_if(wait, "too many requests without a valid API key came from this address")

    def note_failure(self, address: str, token: str | None = None) -> None:
        """A request from this address carried no valid key; a token that was good is no more."""
        self._failures.take(_network(address))
        if token is not None:
            with self._lock:
                self._good_tokens.pop(_digest(token), None)

    def note_success(self, token: str) -> None:
        """This token was good."""
        with self._lock:
            _remember(self._good_tokens, _digest(token), None)


class TokenBuckets:
    """One bucket per name: it holds `per_minute` tokens, fills up at that rate, and is full at first."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._per_second, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> (tokens, when)
        self._lock = threading.Lock()

    def take(self, name: str) -> float:
        """Take a token: 0, or the seconds until there is one, in which case nothing was taken."""
        if not self._capacity:
            return 0.0
        with self._lock:
            tokens, now = self._level(name)
            if tokens < 1:
                return (1 - tokens) / self._per_second
            _remember(self._buckets, name, (tokens - 1, now))
            return 0.0

    def wait(self, name: str) -> float:
        """The seconds until a token could be taken; 0 if there is one."""
        if not self._capacity:
            return 0.0
        with self._lock:
            return max(0.0, (1 - self._level(name)[0]) / self._per_second)

    def _level(self, name: str) -> tuple[float, float]:
        now = self._clock()
        tokens, when = self._buckets.get(name, (self._capacity, now))
        return min(self._capacity, tokens + (now - when) * self._per_second), now


def _refuse_if(wait: float, detail: str) -> None:
    if wait > 0:
        seconds = math.ceil(wait)
        raise Problem(
            TOO_MANY_REQUESTS,
            detail,
            remedy=f"try again in {seconds} s; the limits are GTN_NAS_RATE_LIMIT_PER_MINUTE and "
            "GTN_NAS_FAILED_KEYS_PER_MINUTE of the controller",
            headers={"Retry-After": str(seconds)},
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _network(address: str) -> str:
    """The address, or for IPv6 its /64: one customer's machines have that many addresses to choose from."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))


def _remember(kept: OrderedDict[Name, Value], name: Name, value: Value) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)
