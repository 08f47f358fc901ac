"""Sharing out measurements: each made once while all live, none lost with who took it."""

from nas.estimators.measurements import OwnMeasurements, measure_all


def test_each_is_given_out_once_before_any_is_again() -> None:
    shared = OwnMeasurements()
    assert [shared.due("key", 4) for _ in range(4)] == [0, 1, 2, 3]
    shared.record("key", 0, "a")
    shared.record("key", 2, "c")
    assert [shared.due("key", 4) for _ in range(4)] == [1, 3, 1, 3], "who took them may have died"
    shared.record("key", 3, "d")
    shared.record("key", 1, "b")
    assert shared.due("key", 4) == ["a", "b", "c", "d"]


def test_the_first_value_stays() -> None:
    shared = OwnMeasurements()
    shared.record("key", 0, "first")
    shared.record("key", 0, "second")
    assert shared.due("key", 1) == ["first"]


def test_what_is_recorded_without_being_given_out_counts() -> None:
    """As after a restart, which forgets who has what."""
    shared = OwnMeasurements()
    shared.record("key", 1, "b")
    assert [shared.due("key", 3) for _ in range(3)] == [0, 2, 0]


def test_who_finds_nothing_left_makes_what_others_hold_and_all_get_the_same() -> None:
    shared, made = OwnMeasurements(), []

    def slow(number: int) -> tuple[str, int]:
        if number == 4:
            others.extend(measure_all(shared, "key", range(10), quick))
        made.append(("slow", number))
        return made[-1]

    def quick(number: int) -> tuple[str, int]:
        made.append(("quick", number))
        return made[-1]

    others: list[tuple[str, int]] = []
    values = measure_all(shared, "key", range(10), slow)
    assert made == [("slow", n) for n in range(4)] + [("quick", n) for n in (5, 6, 7, 8, 9, 4)] + [
        ("slow", 4)
    ]
    assert others == values == sorted(made[:-1], key=lambda each: each[1])


def test_keys_do_not_mix() -> None:
    shared = OwnMeasurements()
    assert measure_all(shared, "one", "ab", str.upper) == ["A", "B"]
    assert measure_all(shared, "other", "cd", str.upper) == ["C", "D"]
    assert measure_all(shared, "one", "ab", str.swapcase) == ["A", "B"], "it is not made again"
