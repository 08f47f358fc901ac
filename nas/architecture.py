"""One point of a search space: the space's name and the encoding, nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """A candidate's identity. `encoding` is the space's own string; `str()` and `parse` round-trip."""

    space: str
    encoding: str

    def __str__(self) -> str:
        return f"{self.space}:{self.encoding}"

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """Read `space:encoding`. Raises ValueError when there is no colon; spaces check the encoding."""
        space, separator, encoding = text.partition(":")
        if not separator:
            raise ValueError(f"architecture {text!r} has no 'space:' prefix; write 'nasbench201:|...|'")
        return cls(space, encoding)
