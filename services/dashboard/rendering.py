"""From templates and data to HTML. Knows nothing of HTTP beyond the addresses that it writes."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.dashboard import formats, metrics

STATIC = Path(__file__).parent / "static"
"""Files that pages load, served at /static."""


def render(template: str, **context: Any) -> str:
    """The page, or the part of one, that a template makes of `context`; everything is escaped."""
    return _environment().get_template(template).render(**context)


def compile_templates() -> None:
    """Make every template ready to render, so that the first who asks for a page does not wait for it."""
    for name in _environment().list_templates(extensions=["html"]):
        _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        ago=formats.ago,
        since=formats.since,
        left=formats.left,
        count=formats.count,
        short=formats.short,
        decimal=formats.decimal,
        measure=formats.measure,
        percent=formats.percent,
        seconds=formats.seconds,
        size=formats.size,
        short_id=formats.short_id,
        metric=metrics.metric,
        metric_name=metrics.metric_name,
        measured=metrics.measured,
        difference=metrics.difference,
    )
    environment.globals["static"] = static_url
    return environment


@cache
def static_url(name: str) -> str:
    """Where a static file is; the address changes with its content, so that browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
