"""Structured logs: lines for people, or one JSON object per line for machines.

Logs go to stderr, so that stdout stays free for what a command was asked to print. The standard library's
loggers (uvicorn, Alembic, Ray) pass through the same formatter.
"""

import io
import logging
import sys
from typing import Any, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, ExcInfo, Processor

from services.redaction import Redact, redactor
from services.settings import Settings, misspelt, names_given
from services.visible import hanging, visible

TOO_TALKATIVE = (
    "alembic", "httpx2",  # every look at the schema, and every request
    "httpcore2", "urllib3", "botocore", "aiobotocore", "s3fs", "fsspec",  # headers, with what is in them
    "sqlalchemy", "psycopg",  # every statement, with its parameters
    "python_multipart", "multipart",  # every piece of a body
)  # fmt: skip
"""Loggers that only warn, at the debug level too."""
INDENT = 4
"""Of the further lines of one message, such as tracebacks: what begins a line is a time."""


def configure_logging(settings: Settings, *, process: str) -> None:
    """Set up logging for this process; `process` names it in every line: `controller`, `meta-worker`, ..."""
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED_PROCESSORS,
        processors=[without_meta, *_renderers(settings.log_json), _redaction(redactor(settings))],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in TOO_TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    for name, meant in misspelt(names_given(settings)).items():
        structlog.get_logger(__name__).warning("no such setting", given=name, meant=meant)


def _with_trace(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The ids of the span that the line was written in, to find one by the other."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


_SHARED_PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _with_trace,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _redaction(redact: Redact) -> Processor:
    """The last step: it sees the line as it will be written, tracebacks included."""

    def redact_line(_logger: object, _method: str, line: Any) -> str:
        return redact(line)

    return redact_line


def _renderers(as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        _only_visible,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_traceback),
    ]


def _only_visible(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Paths of requests and messages of errors hold what anybody sent."""
    shown = {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}
    return shown | {"event": hanging(str(shown.get("event")), INDENT)}


def _write_traceback(line: TextIO, error: ExcInfo) -> None:
    """A plain one: the others print the values of variables, and some of those are secrets."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    line.write(hanging(visible(text.getvalue()), INDENT))
