from services.controller.rising_counts import RisingCounts


def test_what_was_counted_stays_and_what_comes_after_is_added() -> None:
    counts = RisingCounts[str]()
    assert counts.read({"search": 5}) == {"search": 5}
    assert counts.read({"search": 7, "training": 1}) == {"search": 7, "training": 1}
    assert counts.read({"search": 2}) == {"search": 7, "training": 1}
    assert counts.read({"search": 4, "training": 3}) == {"search": 9, "training": 4}
