"""One point of a search space: the space's name and the encoding, nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """A candidate's identity. `encoding` is the space's own string."""

    space: str
    encoding: str

    def __str__(self) -> str:
        return f"{self.space}:{self.encoding}"
