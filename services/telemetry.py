"""Traces by OpenTelemetry, across processes: a job's spans hang under the request that submitted it.

They are recorded once the standard OTEL_* variables name a collector and the `telemetry` extra is there;
until then every call here does next to nothing. Where a job came from is stored with it, for its runner may
start much later, as another process, on another machine.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from services.errors import ServiceError
from services.store import JobRecord, JsonObject

P = ParamSpec("P")
Result = TypeVar("Result")

_TRACEPARENT = ("traceparent", "tracestate")


def configure_telemetry(*, process: str) -> None:
    """Export this process's spans if the environment asks for it; `process` names them: `controller`, ...

    Reads OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_TRACES_EXPORTER (`otlp` or
    `none`), OTEL_SDK_DISABLED, and what the SDK itself reads, such as OTEL_SERVICE_NAME. Raises ServiceError
    when the exporter is not installed or cannot be made.
    """
    if not _wanted():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ServiceError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} is not installed; "
            "pip install 'gtn-nas[telemetry]', or set OTEL_SDK_DISABLED=true"
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME") or f"gtn-nas-{process}"
    # At exit the provider sends what is left.
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def current_origin() -> JsonObject:
    """Where the work that is under way comes from: the request's id, and its trace if there is one."""
    origin: dict[str, str] = {}
    propagate.inject(origin)
    origin = {name: value for name, value in origin.items() if name in _TRACEPARENT}
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return origin | ({"request_id": request_id} if request_id else {})


def traced_job(run: Callable[P, Result]) -> Callable[P, Result]:
    """Run a job in a span under the request that submitted it, and with that request's id in the logs."""

    @wraps(run)
    def traced(*args: P.args, **kwargs: P.kwargs) -> Result:
        job = next(each for each in (*args, *kwargs.values()) if isinstance(each, JobRecord))
        origin = job.origin or {}
        attributes: dict[str, AttributeValue] = {
            "gtn_nas.job.id": job.id,
            "gtn_nas.job.attempt": job.attempts,
        }
        span = _tracer().start_as_current_span(
            f"{job.kind.value} job",
            context=propagate.extract(origin),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )
        known = {"request_id": origin["request_id"]} if "request_id" in origin else {}
        with span as current, structlog.contextvars.bound_contextvars(**known):
            result = run(*args, **kwargs)
            current.set_attribute("gtn_nas.job.ending", str(result))
            if str(result) == "failed":
                current.set_status(Status(StatusCode.ERROR))
            return result

    return traced


class CandidateSpans:
    """A span per candidate, from its proposal to its result, under the span in which this was made."""

    def __init__(self) -> None:
        self._parent = trace.set_span_in_context(trace.get_current_span())
        self._spans: dict[int, trace.Span] = {}

    def start(self, number: int, encoding: str) -> None:
        """A candidate was proposed."""
        attributes: dict[str, AttributeValue] = {
            "gtn_nas.candidate.number": number,
            "gtn_nas.candidate.encoding": encoding,
        }
        span = _tracer().start_span("candidate", context=self._parent, attributes=attributes)
        if span.is_recording():
            self._spans[number] = span

    def end(self, number: int, *, accuracy: float | None, failure: str | None) -> None:
        """A candidate was scored, or failed for this reason."""
        span = self._spans.pop(number, None)
        if span is None:
            return
        if accuracy is not None:
            span.set_attribute("gtn_nas.candidate.accuracy", accuracy)
        if failure is not None:
            span.set_attribute("error.type", failure)
            span.set_status(Status(StatusCode.ERROR, failure))
        span.end()


def _wanted() -> bool:
    given = os.environ.get
    if given("OTEL_SDK_DISABLED", "").lower() == "true" or given("OTEL_TRACES_EXPORTER") == "none":
        return False
    return bool(given("OTEL_EXPORTER_OTLP_ENDPOINT") or given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def _tracer() -> trace.Tracer:
    return trace.get_tracer("gtn-nas")
