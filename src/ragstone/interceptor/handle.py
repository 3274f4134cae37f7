"""HANDLE: answers one intercepted chat: read → decide → enrich → forward → deliver.

It fails open: if reading, deciding or enriching fails, the client's original request is forwarded;
hence the broad `except`. Authentication and the choice of the tenant happen before, and fail closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import structlog

from ragstone.errors import CircuitOpen, InvalidInput, NoIndex, NotFound, TooLarge, UpstreamUnavailable
from ragstone.http.streaming import Header, Refusal, Writer
from ragstone.interceptor.anthropic import AnthropicFormat
from ragstone.interceptor.enrich import Enricher, UpstreamBody, upstream_model, without_passages
from ragstone.interceptor.openai import OpenAIFormat
from ragstone.interceptor.policy import Decision, decide
from ragstone.interceptor.request import OWN_MODEL, ChatRequest, ParsedChat, WireFormatName, read
from ragstone.interceptor.sources import Linker, cited, marker_annotations, source_list
from ragstone.interceptor.sse import AnswerChanges, RewritingStream
from ragstone.interceptor.upstream import Upstreams, UpstreamTarget, incoming, outgoing
from ragstone.interceptor.wire_format import WireFormat
from ragstone.llm.token_usage import CHARS_PER_TOKEN, TokenUsage
from ragstone.principals import Principal
from ragstone.resilience.http_client import BrokenOff, UpstreamResponse
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor, StreamMask
from ragstone.telemetry.tracing import span
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Passage, Usage

REFUSES_ENRICHED = frozenset({400, 413, 422})
"""Statuses with which a server refuses an enriched chat as too long or malformed; the original is then sent."""
FAILURES = frozenset({"timeout", "open", "error", "window", "refused"})
"""The reasons to go on without passages that are failures, not decisions."""
MAX_ANSWER_BYTES = 64 << 20  # of an answer that comes at once: pictures and sound travel inside
UPSTREAM = "upstream"
"""The metric label for tokens of upstream models: clients choose model names, so names cannot be labels."""
NO_SERVER = (
    "No model's server is set up for this. Set RAGSTONE_INTERCEPTOR__UPSTREAM_URL, "
    "or for Anthropic's clients RAGSTONE_INTERCEPTOR__ANTHROPIC_URL."
)
WIRE_FORMATS: Mapping[WireFormatName, WireFormat] = {"openai": OpenAIFormat(), "anthropic": AnthropicFormat()}

log = structlog.get_logger()


class SettingsSource(Protocol):
    """Where the settings of each tenant come from."""

    async def get(self, tenant: str) -> TenantSettings:
        """The settings of a tenant. Raises: ConfigurationError."""
        ...


class Meter(Protocol):
    """The usage of one request, which is written down however the request ends."""

    @property
    def spent(self) -> TokenUsage:
        """The tokens used so far."""
        ...

    async def reserved(self) -> None:
        """Wait until the request may be delivered. Raises: Unavailable."""
        ...

    def settle_soon(self) -> object:
        """Write the usage down, without waiting."""
        ...


class OwnAnswerer(Protocol):
    """The platform's own answerer."""

    async def answer(
        self,
        request: ChatRequest,
        chat: ParsedChat,
        decision: Decision,
        settings: TenantSettings,
        link: Linker,
        writer: Writer,
    ) -> None:
        """Answer one chat. Raises: InvalidInput, NotFound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatServices:
    """What handling a chat needs.

    Attributes:
        tenant_settings: The settings of each tenant.
        link: Makes the URL of a passage's document, for a tenant and one of its collections.
        own_model: Answers where there is no upstream; without it, that is refused.
        stream_slot: Holds one of the concurrent streams of the caller's plan.
        meter: Begins to meter the usage of a request.
    """

    tenant_settings: SettingsSource
    upstreams: Upstreams
    enricher: Enricher
    link: Callable[[str, str, Passage], str | None]
    own_model: OwnAnswerer | None
    stream_slot: Callable[[Principal], AbstractAsyncContextManager[None]]
    meter: Callable[[ChatRequest], Meter]
    metrics: Metrics
    failures: FailureBuffer
    redactor: Redactor

    def linker(self, request: ChatRequest, settings: TenantSettings) -> Linker:
        """Makes the URLs of sources."""
        return partial(self.link, request.tenant, settings.knowledge.collection)


async def handle(request: ChatRequest, services: ChatServices, writer: Writer) -> None:
    """Answer one chat.

    Raises:
        InvalidInput: it is no chat, or names no model.
        NotFound: there is no such model here.
        RateLimited: all streams of the plan are taken.
        Unavailable: the ledger, or the model's server.
    """
    settings = await services.tenant_settings.get(request.tenant)
    target = services.upstreams.target(request.tenant, settings, request.wire_format)
    with span("intercept", tenant=request.tenant, upstream=target.name if target else OWN_MODEL):
        async with services.stream_slot(request.principal):
            if target is None:
                await _answer_here(request, settings, services, writer)
                return
            model = upstream_model(request, settings)
            # The row of the ledger is written while the chat is enriched and sent; delivery waits for it.
            meter = services.meter(request)
            try:
                try:
                    chat = read(request.parsed, request.wire_format)
                    decision = decide(chat, request.parsed, request.headers, settings.interceptor, request.tenant)
                    body: UpstreamBody | str = decision.reason
                    if chat is not None and decision.enrich:
                        link = services.linker(request, settings)
                        body = await services.enricher.enrich(request, chat, settings, model, link)
                except Exception as error:  # noqa: BLE001 — see the module
                    body = _reason_of(error, request, services)
                if isinstance(body, str):
                    body = _unenriched(request, model, body, services)
                else:
                    services.metrics.interceptions.labels("enriched").inc()

                exchange = UpstreamExchange(request, settings, body, target, model, meter)
                refusal = await _forward(exchange, services, writer)
                if refusal is not None and body.sources and refusal.status in REFUSES_ENRICHED:
                    exchange = replace(exchange, body=_unenriched(request, model, "refused", services))
                    refusal = await _forward(exchange, services, writer)
                if refusal is not None:
                    status = ("x-ragstone-status", exchange.body.status)
                    await writer.respond(replace(refusal, headers=[*refusal.headers, status]))
                await writer.end()
            finally:
                meter.settle_soon()


async def _answer_here(request: ChatRequest, settings: TenantSettings, services: ChatServices, writer: Writer) -> None:
    """Answer with the platform's own model. Raises: NotFound, where there is none; InvalidInput."""
    if services.own_model is None:
        raise NotFound(NO_SERVER)
    chat = read(request.parsed, request.wire_format)
    if chat is None:
        raise InvalidInput("There is no question: `messages` needs a message of the user with text.")
    decision = decide(chat, request.parsed, request.headers, settings.interceptor, request.tenant)
    services.metrics.interceptions.labels("answered" if decision.enrich else decision.reason).inc()
    link = services.linker(request, settings)
    await services.own_model.answer(request, chat, decision, settings, link, writer)


def _reason_of(error: Exception, request: ChatRequest, services: ChatServices) -> str:
    """The reason to go on without passages after this error; failures are logged."""
    match error:
        case CircuitOpen():
            return "open"
        case NoIndex():
            return "no_index"
        case NotFound() | InvalidInput():
            return "no_collection"
    reason = "timeout" if isinstance(error, TimeoutError) else "error"
    log.warning("intercept.retrieval_failed", reason=reason, error=type(error).__name__)
    services.failures.note("retrieve", error, tenant=request.tenant)
    return reason


def _unenriched(request: ChatRequest, model: str, reason: str, services: ChatServices) -> UpstreamBody:
    """The chat as it came; counted."""
    services.metrics.interceptions.labels(reason).inc()
    if reason in FAILURES:
        services.metrics.fail_open.labels(reason).inc()
        log.warning("intercept.failed_open", reason=reason)
    return without_passages(request, model, reason)


@dataclass(frozen=True, slots=True)
class UpstreamExchange:
    """One request that goes to a server, and whose answer is delivered."""

    request: ChatRequest
    settings: TenantSettings
    body: UpstreamBody
    target: UpstreamTarget
    model: str
    meter: Meter

    @property
    def wire_format(self) -> WireFormat:
        """The wire format of the client, which is also that of the server."""
        return WIRE_FORMATS[self.request.wire_format]

    def count_sent(self) -> None:
        """Count the prompt: a client that leaves before the first byte has used it."""
        self.meter.spent.begin()
        self.meter.spent.update(self._estimate(0))

    def count_refused(self) -> None:
        """Count nothing: the server gave no answer."""
        self.meter.spent.update(Usage(self.model))

    def count_answer(self, usage: Usage | None, pieces: int) -> None:
        """Count what the server reports; else a token for each piece."""
        self.meter.spent.update(replace(usage, model=self.model) if usage else self._estimate(pieces))

    def _estimate(self, pieces: int) -> Usage:
        prompt = max(1, len(self.body.body) // CHARS_PER_TOKEN)
        return Usage(self.model, input_tokens=prompt, output_tokens=pieces, estimated=True)


async def _forward(exchange: UpstreamExchange, services: ChatServices, writer: Writer) -> Refusal | None:
    """Send a chat, and deliver its answer; the server's refusal, with nothing delivered, where it gives none."""
    request, target = exchange.request, exchange.target
    headers = outgoing(request.headers, key=target.key, wire_format=request.wire_format, request_id=request.request_id)
    exchange.count_sent()
    answered = False
    try:
        async with services.upstreams.call(
            target, "POST", request.path, headers=headers, body=exchange.body.body
        ) as answer:
            if isinstance(answer, Refusal):
                return answer
            answered = True
            await exchange.meter.reserved()
            await _deliver(exchange, answer, services, writer)
            return None
    finally:
        if not answered:
            exchange.count_refused()


async def _deliver(
    exchange: UpstreamExchange, answer: UpstreamResponse, services: ChatServices, writer: Writer
) -> None:
    """Deliver an answer, streamed or whole.

    Raises:
        UpstreamUnavailable: it broke off, or cannot be read; nothing has been delivered.
    """
    headers = [*incoming(answer.headers), ("x-ragstone-status", exchange.body.status)]
    deliver = _deliver_stream if _is_stream(answer) else _deliver_whole
    await deliver(exchange, answer, headers, services, writer)


async def _deliver_stream(
    exchange: UpstreamExchange, answer: UpstreamResponse, headers: list[Header], services: ChatServices, writer: Writer
) -> None:
    stream = exchange.wire_format.stream(_changes(exchange, services))
    await writer.start(answer.status, [*headers, ("x-accel-buffering", "no")], streaming=True)
    writer.is_complete = lambda: stream.finished
    await _pass_chunks(stream, exchange, answer, services, writer)
    rest = stream.finish()
    if stream.failed is not None:
        _note_broken(exchange, UpstreamUnavailable(stream.failed), services)
    _count_tokens(exchange, services)
    if rest:
        await writer.write(rest)
    if stream.failed is None:
        await answer.drain()  # the end of the body, which carries nothing; then the connection can be used again


async def _pass_chunks(
    stream: RewritingStream,
    exchange: UpstreamExchange,
    answer: UpstreamResponse,
    services: ChatServices,
    writer: Writer,
) -> None:
    pieces = 0
    try:
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                if passed := stream.feed(chunk):
                    pieces += 1
                    await writer.write(passed)
                if stream.over:
                    break
    except BrokenOff as error:
        _note_broken(exchange, error, services)
    finally:
        exchange.count_answer(stream.usage, pieces)


async def _deliver_whole(
    exchange: UpstreamExchange, answer: UpstreamResponse, headers: list[Header], services: ChatServices, writer: Writer
) -> None:
    try:
        body = await answer.read(MAX_ANSWER_BYTES)
    except TooLarge as error:
        raise UpstreamUnavailable("The model's server sent more than an answer may hold.") from error
    except BrokenOff as error:
        _note_broken(exchange, error, services)
        raise
    done = await asyncio.to_thread(exchange.wire_format.complete, body, _changes(exchange, services))
    exchange.count_answer(done.usage, 0)
    if done.failed is not None:
        failure = UpstreamUnavailable(done.failed)
        _note_broken(exchange, failure, services)
        raise failure
    _count_tokens(exchange, services)
    kept = [header for header in headers if header[0].lower() != "content-length"]
    await writer.respond(Refusal(answer.status, kept, done.body))


def _changes(exchange: UpstreamExchange, services: ChatServices) -> AnswerChanges:
    """The changes of an answer: only an enriched or masked one has any, apart from its errors."""
    sources, settings = exchange.body.sources, exchange.settings
    changes: dict[str, Any] = {}
    if sources and settings.interceptor.source_list:
        changes["footer"] = lambda text: source_list(sources, cited(text, len(sources)))
        if exchange.request.wire_format == "openai":
            changes["annotations"] = lambda text: marker_annotations(text, sources)
    if settings.privacy.mask_answers:
        changes["mask"] = lambda: StreamMask(services.redactor)
    return AnswerChanges(enriched=bool(sources), secrets=exchange.target.secrets, **changes)


def _note_broken(exchange: UpstreamExchange, error: Exception, services: ChatServices) -> None:
    target = exchange.target
    services.upstreams.guard(target).broke()
    services.failures.note("upstream", error, upstream=target.name, tenant=target.tenant)
    log.warning("intercept.answer_broke_off", upstream=target.name, error=type(error).__name__)


def _count_tokens(exchange: UpstreamExchange, services: ChatServices) -> None:
    for usage in exchange.meter.spent.usage[-1:]:
        services.metrics.tokens.labels(UPSTREAM, "input").inc(usage.input_tokens)
        services.metrics.tokens.labels(UPSTREAM, "output").inc(usage.output_tokens)


def _is_stream(answer: UpstreamResponse) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/event-stream")
        for name, value in answer.headers
    )
