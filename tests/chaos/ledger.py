"""What the service has acknowledged, noted by one who was told, and held against what it has in the end."""

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from services.client import ApiError, Client, ControllerUnreachableError
from services.schemas import CandidateMetrics

Key = tuple[str, int]
"""Search and number of a candidate."""


@dataclass(frozen=True)
class Verdict:
    evaluations: int
    acknowledged: int  # before the end, so that a kill could have lost them
    losses: list[str]
    duplicates: list[str]


class Ledger:
    """Follows searches by their event streams and by their lists, both of which are acknowledgements."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._metrics: dict[Key, Any] = {}
        self._candidate_events: Counter[Key] = Counter()
        self._event_ids: dict[str, list[int]] = {}
        self._changed: list[str] = []
        self._lock = threading.Lock()
        self._followers: list[threading.Thread] = []

    def follow(self, search_id: str) -> None:
        """Read its events in a thread, until it has ended."""
        thread = threading.Thread(target=self._follow, args=[search_id], daemon=True)
        self._followers.append(thread)
        thread.start()

    def look(self, client: Client, search_id: str) -> None:
        """Note what the list of candidates says."""
        for candidate in client.candidates(search_id, order_by="number", state="succeeded"):
            assert candidate.metrics is not None
            self._note((search_id, candidate.number), candidate.metrics)

    def judge(self, client: Client, searches: list[str]) -> Verdict:
        """Hold the acknowledgements against the service as it is now."""
        for thread in self._followers:
            thread.join(120)
        for search_id in searches:
            self._follow(search_id)  # what came after a reader had seen the end, by an extension
        acknowledged = dict(self._metrics)
        losses, duplicates = list(self._changed), []
        present: dict[Key, Any] = {}
        for search_id in searches:
            candidates = list(client.candidates(search_id, order_by="number"))
            present |= {
                (search_id, each.number): each.metrics.model_dump() for each in candidates if each.metrics
            }
            hashes = Counter(each.canonical_hash for each in candidates)
            duplicates += [
                f"{search_id}: {digest} evaluated {n} times" for digest, n in hashes.items() if n > 1
            ]
            ids = self._event_ids.get(search_id, [])
            duplicates += [f"{search_id}: events out of order"] if ids != sorted(set(ids)) else []
        losses += [f"{key}" for key, metrics in acknowledged.items() if present.get(key) != metrics]
        losses += [f"{key} has no event" for key in present if not self._candidate_events[key]]
        duplicates += [f"{key}: {n} events" for key, n in self._candidate_events.items() if n > 1]
        return Verdict(len(present), len(acknowledged), losses, duplicates)

    def _follow(self, search_id: str) -> None:
        ids = self._event_ids.setdefault(search_id, [])
        after = ids[-1] if ids else 0
        with Client(self._url, retries=0) as client:
            while True:
                try:
                    for event in client.events(search_id, after=after):
                        after = event.id
                        ids.append(event.id)
                        if event.type == "candidate":
                            key = (search_id, event.data["number"])
                            self._candidate_events[key] += 1
                            if event.data["state"] == "succeeded":
                                self._note(key, CandidateMetrics.model_validate(event.data["metrics"]))
                    return
                except (ApiError, ControllerUnreachableError):
                    threading.Event().wait(0.2)

    def _note(self, key: Key, metrics: CandidateMetrics) -> None:
        with self._lock:
            known = self._metrics.setdefault(key, metrics.model_dump())
        if known != metrics.model_dump():
            self._changed.append(f"{key} was told as {known} and then as {metrics}")
