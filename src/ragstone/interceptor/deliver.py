"""The model's answer on its way back: piece by piece or whole, with its sources, and onto the bill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import structlog

from ragstone.chat.usage_meter import UsageMeter
from ragstone.errors import TooLarge, UpstreamUnavailable
from ragstone.http.streaming import Header, Refusal, Writer
from ragstone.interceptor import anthropic as anthropic_stream
from ragstone.interceptor import openai as openai_stream
from ragstone.interceptor.enrich import Prepared
from ragstone.interceptor.request import ChatRequest
from ragstone.interceptor.sources import cited, marker_annotations, source_list
from ragstone.interceptor.upstream import Upstreams, UpstreamTarget, incoming
from ragstone.llm.token_usage import CHARS_PER_TOKEN
from ragstone.resilience.http_client import BrokenOff, UpstreamResponse
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor, StreamMask
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Usage

MAX_ANSWER_BYTES = 64 << 20  # of an answer that comes at once: pictures and sound travel inside

log = structlog.get_logger()

Stream = openai_stream.OpenAIStream | anthropic_stream.AnthropicStream


@dataclass(frozen=True, slots=True)
class UpstreamExchange:
    """One request that went to a server, and what came of it is to be delivered."""

    asked: ChatRequest
    settings: TenantSettings
    prepared: Prepared
    target: UpstreamTarget
    model: str
    bill: UsageMeter

    def sent(self) -> None:
        """The request goes out: whoever stops while nothing has come yet has paid for the prompt."""
        self.bill.spent.begin()
        self.bill.spent.update(self._estimate(0))

    def refused(self) -> None:
        """The server answered nothing, so nothing was used."""
        self.bill.spent.update(Usage(self.model))

    def used(self, usage: Usage | None, pieces: int) -> None:
        """What the server says was used; else a token for each piece."""
        self.bill.spent.update(replace(usage, model=self.model) if usage else self._estimate(pieces))

    def _estimate(self, pieces: int) -> Usage:
        prompt = max(1, len(self.prepared.body) // CHARS_PER_TOKEN)
        return Usage(self.model, input_tokens=prompt, output_tokens=pieces, estimated=True)


class ChatDelivery:
    """Delivers answers."""

    def __init__(self, upstreams: Upstreams, *, metrics: Metrics, failures: FailureBuffer, redactor: Redactor) -> None:
        self._upstreams = upstreams
        self._metrics = metrics
        self._failures = failures
        self._redactor = redactor

    async def deliver(self, turn: UpstreamExchange, answer: UpstreamResponse, writer: Writer) -> None:
        """Deliver an answer, of whichever kind it is.

        Raises:
            UpstreamUnavailable: it broke off, or cannot be read; nothing has been delivered.
        """
        headers = [*incoming(answer.headers), ("x-ragstone-status", turn.prepared.status)]
        if _is_stream(answer):
            await self._stream(turn, answer, headers, writer)
        else:
            await self._whole(turn, answer, headers, writer)

    async def _stream(
        self, turn: UpstreamExchange, answer: UpstreamResponse, headers: Sequence[Header], writer: Writer
    ) -> None:
        stream = self._reader(turn)
        await writer.start(answer.status, [*headers, ("x-accel-buffering", "no")], streaming=True)
        writer.at_boundary, writer.is_complete = (lambda: stream.at_boundary), (lambda: stream.finished)
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
            self._broke(turn, error)
        finally:
            turn.used(stream.usage, pieces)
        rest = stream.finish()
        if stream.failed is not None:
            self._broke(turn, UpstreamUnavailable(stream.failed))
        self._count(turn)
        if rest:
            await writer.write(rest)
        if stream.failed is None:
            await answer.drain()  # what is left is an end that nobody waits for; then the connection serves again

    async def _whole(
        self, turn: UpstreamExchange, answer: UpstreamResponse, headers: Sequence[Header], writer: Writer
    ) -> None:
        try:
            body = await answer.read(MAX_ANSWER_BYTES)
        except TooLarge as error:
            raise UpstreamUnavailable("The model's server sent more than an answer may hold.") from error
        except BrokenOff as error:
            self._broke(turn, error)
            raise
        complete = openai_stream.complete if turn.asked.dialect == "openai" else anthropic_stream.complete
        done = await asyncio.to_thread(complete, body, **self._changes(turn))
        turn.used(done.usage, 0)
        if done.failed is not None:
            self._broke(turn, UpstreamUnavailable(done.failed))
            raise UpstreamUnavailable(done.failed)
        self._count(turn)
        kept = [header for header in headers if header[0].lower() != "content-length"]
        await writer.respond(Refusal(answer.status, kept, done.body))

    def _reader(self, turn: UpstreamExchange) -> Stream:
        kind = openai_stream.OpenAIStream if turn.asked.dialect == "openai" else anthropic_stream.AnthropicStream
        return kind(enriched=bool(turn.prepared.sources), **self._changes(turn))

    def _changes(self, turn: UpstreamExchange) -> dict[str, Any]:
        """What is done to an answer: only what was enriched, or has to be masked, is changed at all."""
        changes: dict[str, Any] = {"secrets": turn.target.secrets}
        sources = turn.prepared.sources
        if sources and turn.settings.interceptor.source_list:
            changes["footer"] = lambda text: source_list(sources, cited(text, len(sources)))
            if turn.asked.dialect == "openai":
                changes["annotations"] = lambda text: marker_annotations(text, sources)
        if turn.settings.privacy.mask_answers:
            changes["mask"] = lambda: StreamMask(self._redactor)
        return changes

    def _broke(self, turn: UpstreamExchange, error: Exception) -> None:
        self._upstreams.guard(turn.target).broke()
        self._failures.note("upstream", error, upstream=turn.target.name, tenant=turn.target.tenant)
        log.warning("intercept.answer_broke_off", upstream=turn.target.name, error=type(error).__name__)

    def _count(self, turn: UpstreamExchange) -> None:
        for usage in turn.bill.spent.usage[-1:]:
            self._metrics.tokens.labels(UPSTREAM, "input").inc(usage.input_tokens)
            self._metrics.tokens.labels(UPSTREAM, "output").inc(usage.output_tokens)


UPSTREAM = "upstream"
"""The label of tokens of other servers' models, whose names are their clients' to choose."""


def _is_stream(answer: UpstreamResponse) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/event-stream")
        for name, value in answer.headers
    )
