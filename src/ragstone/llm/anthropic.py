"""Anthropic's Messages API, with its prompt cache."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

from ragstone.llm.base import Message
from ragstone.llm.errors import broken_off, missing_key, missing_package, transport_faults, unavailable, withheld
from ragstone.llm.token_usage import reported_tokens
from ragstone.sse import json_events
from ragstone.telemetry.tracing import outgoing_headers
from ragstone.vocabulary import Usage

ANTHROPIC_URL = "https://api.anthropic.com"
CONNECT_S = 5.0
MAX_CACHE_MARKS = 4
"""The API refuses more."""

INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""`input_tokens` leaves out what was written to or read from the cache: the prompt is the sum."""

COUNTS = (*INPUT_COUNTS, "output_tokens")


class AnthropicModel:
    """See `LanguageModel`. The SDK is imported here; its retries are off, for the caller has a fallback."""

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        name: str | None = None,
    ) -> None:
        """`timeout_s` bounds each wait for the next bytes; `name` is what usage calls it, if not `model`.

        Raises:
            ConfigurationError: the SDK or the key is missing.
        """
        try:
            import anthropic
        except ImportError as error:
            raise missing_package("anthropic") from error
        if not api_key:
            raise missing_key("anthropic")
        self._model = model
        self._name = name or model
        self._faults: tuple[type[Exception], ...] = (anthropic.AnthropicError, *transport_faults())
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=base_url or ANTHROPIC_URL,
            timeout=anthropic.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            max_retries=0,
            http_client=anthropic.DefaultAioHttpClient(),  # a third of the CPU time a token of the SDK's usual one
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        """See `LanguageModel.stream`. A `cacheable` message becomes a cache mark; the last four count."""
        finished: object = None
        ended = False
        counts: dict[str, int] = {}
        send = self._client.messages.with_streaming_response.create
        try:
            async with (
                send(**self._request(messages, max_tokens), extra_headers=dict(outgoing_headers())) as response,
                aclosing(json_events(response.iter_bytes())) as events,
            ):
                async for event in events:
                    match event:
                        case {"type": "message_start", "message": {"usage": usage}}:
                            yield self._usage(counts, usage)
                        case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}} if (
                            text
                        ):
                            yield text
                        case {"type": "message_delta"}:
                            finished = (event.get("delta") or {}).get("stop_reason") or finished
                            yield self._usage(counts, event.get("usage") or {})
                        case {"type": "message_stop"}:
                            ended = True
                        case {"type": "error"}:
                            raise broken_off(self._model)
        except self._faults as error:
            raise unavailable(self._model, error) from None  # the cause may quote the key
        if not ended:
            raise broken_off(self._model)
        if finished == "refusal":
            raise withheld(self._model, finished)
        yield self._usage(counts)

    async def close(self) -> None:
        """See `LanguageModel.close`."""
        await self._client.close()

    def _usage(self, counts: dict[str, int], update: Mapping[str, Any] = MappingProxyType({})) -> Usage:
        """Take over the counts an event carries; they are cumulative, and a missing one keeps its value."""
        counts.update({name: reported_tokens(update[name]) for name in COUNTS if update.get(name) is not None})
        return Usage(
            self._name,
            input_tokens=sum(counts.get(name, 0) for name in INPUT_COUNTS),
            output_tokens=counts.get("output_tokens", 0),
            cached_tokens=counts.get("cache_read_input_tokens", 0),
        )

    def _request(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        marked = [place for place, message in enumerate(messages) if message.cacheable][-MAX_CACHE_MARKS:]
        blocks = [_block(message, mark=place in marked) for place, message in enumerate(messages)]
        paired = list(zip(messages, blocks, strict=True))
        return {
            "model": self._model,
            "max_tokens": max_tokens,
            "stream": True,
            "system": [block for message, block in paired if message.role == "system"],
            "messages": [
                {"role": message.role, "content": [block]} for message, block in paired if message.role != "system"
            ],
        }


def _block(message: Message, *, mark: bool) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": message.text}
    return {**block, "cache_control": {"type": "ephemeral"}} if mark else block
