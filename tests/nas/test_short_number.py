from nas.short_number import short


def test_short_numbers() -> None:
    assert [short(number) for number in (0, 999, 1000, 14464, 999_499, 999_600, 2_500_000, 3 * 10**9)] == [
        "0", "999", "1k", "14.5k", "999k", "1M", "2.5M", "3G",
    ]  # fmt: skip
