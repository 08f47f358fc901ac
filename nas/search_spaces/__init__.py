"""Search spaces by name; other packages add theirs under the entry point group `gtn_nas.search_spaces`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nas.architecture import Architecture
from nas.refusals import refusal
from nas.registry import Registry
from nas.search_spaces.base import SearchSpace
from nas.search_spaces.macro import Macro
from nas.search_spaces.nasbench201 import NasBench201
from nas.search_spaces.nasnet_micro import NasNetMicro
from nas.search_spaces.resnet_macro import ResNetMacro

SEARCH_SPACES: Registry[Callable[[Any], SearchSpace]] = Registry(
    kind="search space",
    group="gtn_nas.search_spaces",
    built_in=(NasBench201, NasNetMicro, ResNetMacro, Macro),
)


def get_search_space(name: str, **config: Any) -> SearchSpace:
    """Make the named space. Raises UnknownNameError, or pydantic.ValidationError for a bad option."""
    return SEARCH_SPACES.get(name)(SEARCH_SPACES.config(name, **config))


def with_options(space: SearchSpace, options: Mapping[str, Any]) -> SearchSpace:
    """The same space, some of its options changed, in which its architectures still are what they are.

    Raises pydantic.ValidationError for a bad option.
    """
    held = sorted(set(options) & getattr(space, "options_in_encodings", frozenset()))
    if held:
        raise refusal(
            space.name,
            (held[0],),
            options[held[0]],
            f"encodings of {space.name} hold what {held[0]} gives, so that it cannot be changed afterwards; "
            "search with the value that you want",
        )
    return get_search_space(space.name, **(space.config.model_dump() | dict(options))) if options else space


def sample(space: SearchSpace, size: int, seed: int) -> Sequence[Architecture]:
    """Architectures of different canonical hash, as many as `size` unless the space has hardly more."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, Architecture] = {}
    for _ in range(20 * size):
        architecture = space.sample(rng)
        drawn.setdefault(space.canonical_hash(architecture), architecture)
        if len(drawn) == size:
            break
    return list(drawn.values())
