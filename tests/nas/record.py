"""An observer that keeps what an engine says; tests derive those that act on it."""

from nas.candidates import CandidateResult, Proposal


class Record:
    def __init__(self, stop_after: int = 10**9) -> None:
        self.proposals: list[Proposal] = []
        self.results: list[CandidateResult] = []
        self.polls = 0
        self._stop_after = stop_after

    def on_proposal(self, proposal: Proposal) -> None:
        self.proposals.append(proposal)

    def on_result(self, result: CandidateResult) -> None:
        self.results.append(result)

    def should_stop(self) -> bool:
        self.polls += 1
        return len(self.results) >= self._stop_after

    @property
    def numbers(self) -> list[int]:
        """Of the candidates that have results; one that had two would be there twice."""
        return sorted(result.proposal.number for result in self.results)

    @property
    def failures(self) -> dict[int, tuple[str, str]]:
        """Reason and detail of each candidate that failed."""
        return {r.proposal.number: (r.failure.reason, r.failure.detail) for r in self.results if r.failure}

    def readouts(self, name: str) -> list[float]:
        return [result.score.extra[name] for result in self.results if result.score]

    @property
    def pids(self) -> list[int]:
        """The processes in which the scripted estimator gave its scores."""
        return [int(pid) for pid in self.readouts("pid")]
