"""Copies of searches in memory: the furthest is kept, and the ones not read for longest go."""

from dataclasses import dataclass

from services.store.copies import Copies


@dataclass(frozen=True)
class Part:
    done: int
    size: int


NOTHING = Part(-1, 0)


def test_a_copy_that_goes_less_far_does_not_replace_one():
    copies: Copies[str, Part] = Copies(10)
    assert copies.get("a", NOTHING) is NOTHING
    further = copies.keep("a", Part(5, 1))
    assert copies.keep("a", Part(4, 1)) is further
    assert copies.get("a", NOTHING) is further
    furthest = Part(6, 1)
    assert copies.keep("a", furthest) is furthest


def test_the_ones_not_read_for_longest_go():
    copies: Copies[str, Part] = Copies(10)
    for key in "abc":
        copies.keep(key, Part(1, 3))
    copies.get("a", NOTHING)
    copies.keep("d", Part(1, 3))
    assert [key for key in "abcd" if copies.get(key, NOTHING) is not NOTHING] == ["a", "c", "d"]


def test_one_that_is_larger_than_all_are_allowed_is_kept_alone():
    copies: Copies[str, Part] = Copies(10)
    copies.keep("a", Part(1, 3))
    large = copies.keep("b", Part(1, 11))
    assert copies.get("b", NOTHING) is large
    assert copies.get("a", NOTHING) is NOTHING
