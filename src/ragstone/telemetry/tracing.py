"""Traces over OpenTelemetry: a span for each operation and each outgoing call, and the ids that calls carry.

Without a receiver a span is a shared object that does nothing. Attributes are ids, counts and names; texts
among them are masked, and an exception is recorded by its class alone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import structlog
from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ragstone.errors import ConfigurationError
from ragstone.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Attribute = str | float | bool  # whole numbers are floats to the type checker
TRACES_PATH = "/v1/traces"  # OTLP/HTTP, https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
MAX_ATTRIBUTE_CHARS = 256
MAX_REQUEST_ID_CHARS = 64  # of an id that a client sent; longer ones are cut
_INSTRUMENTATION = "ragstone"


class Span:
    """Span without a recorder; ignores all calls."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing; exceptions propagate."""

    def note(self, **attributes: Attribute) -> None:
        """Add attributes."""

    def rename(self, name: str) -> None:
        """Change the name of the span."""


class _Recorded(Span):
    """Recorded span; it is the current span inside its `with` block."""

    __slots__ = ("_before", "_mine", "_redactor", "_span")

    def __init__(self, span: trace.Span, redactor: Redactor) -> None:
        self._span = span
        self._redactor = redactor

    def __enter__(self) -> Self:
        self._before = context.get_current()
        self._mine = trace.set_span_in_context(self._span, self._before)
        context.attach(self._mine)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._span.set_status(trace.StatusCode.ERROR, type(error).__name__)
        elif error is not None:  # cancelled, or a closed generator
            self._span.set_attribute("ended", type(error).__name__)
        self._span.end()
        # A generator can be closed in another context than its own; the current span of that context must not change.
        if context.get_current() is self._mine:
            context.attach(self._before)

    def note(self, **attributes: Attribute) -> None:
        """See `Span.note`."""
        self._span.set_attributes(_safe(attributes, self._redactor))

    def rename(self, name: str) -> None:
        """See `Span.rename`."""
        self._span.update_name(self._redactor.masked(name))


class _Recorder:
    """Receiver of spans; one per process, like OpenTelemetry's current span."""

    __slots__ = ("redactor", "tracer")

    def __init__(self) -> None:
        self.tracer: trace.Tracer | None = None
        self.redactor: Redactor | None = None

    def current(self) -> trace.Tracer | None:
        """Ragstone's tracer, else the tracer of a host with OpenTelemetry, else None."""
        if self.tracer is not None:
            return self.tracer
        host = trace.get_tracer_provider()
        return None if isinstance(host, trace.ProxyTracerProvider) else host.get_tracer(_INSTRUMENTATION)


_NOTHING = Span()
_recorder = _Recorder()


def span(name: str, **attributes: Attribute) -> Span:
    """Start a span for a `with` block; its parent is the current span."""
    tracer = _recorder.current()
    return _begun(tracer, name, attributes) if tracer else _NOTHING


def served(name: str, traceparent: str, **attributes: Attribute) -> Span:
    """Start the server span of a request; `traceparent` is the caller's W3C Trace Context header, or empty."""
    tracer = _recorder.current()
    if tracer is None:
        return _NOTHING
    carrier = {"traceparent": traceparent}
    around = TraceContextTextMapPropagator().extract(carrier, context.Context())
    return _begun(tracer, name, attributes, around=around, kind=trace.SpanKind.SERVER)


def traceparent() -> str:
    """W3C Trace Context header of the current span; "" without a recorded span."""
    current = trace.get_current_span()
    if not current.is_recording():
        return ""
    known = current.get_span_context()
    return f"00-{known.trace_id:032x}-{known.span_id:016x}-{int(known.trace_flags):02x}"


def configure_tracing(
    endpoint: str, service_name: str, *, redactor: Redactor | None = None, exporter: SpanExporter | None = None
) -> Callable[[], None]:
    """Send the spans of this process to an OTLP/HTTP receiver.

    Args:
        endpoint: Base URL of the receiver, such as http://127.0.0.1:4318.
        service_name: Name of this process in traces.
        redactor: Masks texts in attributes.
        exporter: Receives the spans instead of `endpoint`.

    Returns:
        Function that sends the remaining spans and stops; it can take seconds, so call it in a thread.

    Raises:
        ConfigurationError: the extra `otel` is not installed, or the endpoint is not a URL.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            "Traces need OpenTelemetry's SDK. Install it with `pip install 'ragstone[otel]'`, "
            "or unset RAGSTONE_TELEMETRY__OTLP_ENDPOINT."
        ) from error
    sink = exporter or OTLPSpanExporter(endpoint=_traces_url(endpoint))
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(sink))
    before = _recorder.tracer, _recorder.redactor
    _recorder.tracer, _recorder.redactor = provider.get_tracer(_INSTRUMENTATION), redactor or Redactor()

    def close() -> None:
        _recorder.tracer, _recorder.redactor = before
        provider.shutdown()

    return close


def _traces_url(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            "RAGSTONE_TELEMETRY__OTLP_ENDPOINT is not a URL. Set the receiver's URL, such as http://127.0.0.1:4318."
        )
    return endpoint if parts.path.rstrip("/") else endpoint.rstrip("/") + TRACES_PATH


def _begun(
    tracer: trace.Tracer,
    name: str,
    attributes: dict[str, Attribute],
    *,
    around: context.Context | None = None,
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
) -> Span:
    if _recorder.redactor is None:
        _recorder.redactor = Redactor()
    about = {name: value for name, value in structlog.contextvars.get_contextvars().items() if name in _IDS}
    safe = _safe({**about, **attributes}, _recorder.redactor)
    return _Recorded(tracer.start_span(name, around, kind, safe, record_exception=False), _recorder.redactor)


_IDS = ("request_id", "job", "tenant")


def _safe(attributes: dict[str, Attribute], redactor: Redactor) -> dict[str, Attribute]:
    return {
        name: redactor.masked(value)[:MAX_ATTRIBUTE_CHARS] if isinstance(value, str) else value
        for name, value in attributes.items()
    }


def request_id() -> str:
    """Id of the current request; "" outside of a request."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))[:MAX_REQUEST_ID_CHARS]


def outgoing_headers() -> list[tuple[str, str]]:
    """Headers of an outgoing call: `x-request-id`, and `traceparent` in a recorded trace."""
    headers = [("x-request-id", request_id()), ("traceparent", traceparent())]
    return [(name, value) for name, value in headers if value]


def bound_tenant() -> str:
    """Tenant of the current request or job; empty without authentication."""
    return str(structlog.contextvars.get_contextvars().get("tenant", ""))
