"""How numbers and times are written on pages: a unit always, and no more digits than they are worth."""

from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

NOTHING = "–"
"""Stands where a value is not known, or not yet."""


def ago(moment: datetime | None) -> str | Markup:
    """When something happened, relative to now, with the absolute time on hover; scripts keep it current."""
    if moment is None:
        return NOTHING
    moment = moment.astimezone(UTC)
    passed = (datetime.now(UTC) - moment).total_seconds()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), f"{moment:%Y-%m-%d %H:%M:%S} UTC", _relative(passed)
    )


def since(moment: datetime) -> Markup:
    """How long something has been going on; scripts count on."""
    passed = (datetime.now(UTC) - moment).total_seconds()
    return Markup('<span data-since="{}">{}</span>').format(moment.isoformat(), seconds(passed))


def left(value: float) -> Markup:
    """How many seconds are left; scripts count down."""
    end = datetime.now(UTC) + timedelta(seconds=value)
    return Markup('<span data-until="{}">{}</span>').format(end.isoformat(), seconds(value))


def seconds(value: float | None) -> str:
    """A duration: `350 ms`, `4.2 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`."""
    if value is None:
        return NOTHING
    value = max(value, 0.0)  # a clock was put back meanwhile, or another machine's is ahead
    if value < 0.9995:
        return f"{round(value * 1000, 3):.3g} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def count(value: float | None) -> str:
    """A whole number in groups of three digits: `1,234,567`."""
    return NOTHING if value is None else f"{value:,.0f}"


def short(value: float | None, unit: str = "") -> str:
    """A large number in three digits: `123`, `4.56 k`, `7.89 M`; `unit` is written after it."""
    if value is None:
        return NOTHING
    size, prefix = float(value), ""
    for larger in ("k", "M", "G", "T", "P", "E"):
        if abs(size) < 999.5:
            break
        size, prefix = size / 1000, larger
    digits = f"{size:.0f}" if not prefix and size == int(size) else f"{size:.3g}"
    return f"{digits} {prefix}{unit}".rstrip()


def bound(value: float) -> str:
    """A bound as people write it: `0.5`, `512`, `10,000,000`."""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A number with so many digits after the point."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def measure(value: float | None, digits: int = 3) -> str:
    """As `decimal`; with an exponent where that would be all zeros, or longer than anyone reads."""
    if value and not 0.5 * 10**-digits <= abs(value) < 1e6:
        return f"{value:.2e}"
    return decimal(value, digits)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction of one as a percentage: `91.2 %`."""
    return NOTHING if value is None else f"{100 * value:.{digits}f} %"


def size(value: float | None) -> str:
    """A number of bytes: `1.5 MB`."""
    return short(value, "B")


def short_id(identifier: Any) -> str:
    """The first characters of a long id, enough to recognise it."""
    text = str(identifier)
    return text if len(text) <= 16 else text[:12] + "…"


def _relative(passed: float) -> str:
    # Also what a clock that is ahead dates to the future: it has happened.
    return "just now" if passed < 5 else f"{_span(passed)} ago"


def _span(passed: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= length:
            return f"{int(passed // length)} {unit}"
    return f"{int(passed)} s"
