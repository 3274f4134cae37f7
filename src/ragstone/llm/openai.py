"""OpenAI's chat completions, and every server that speaks them (vLLM, Ollama, llama.cpp, LiteLLM, …)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from ragstone.llm.base import Message
from ragstone.llm.errors import broken_off, missing_key, missing_package, transport_faults, unavailable, withheld
from ragstone.llm.token_usage import reported_tokens
from ragstone.sse import json_events
from ragstone.telemetry.tracing import outgoing_headers
from ragstone.vocabulary import Usage

OPENAI_URL = "https://api.openai.com/v1"
CONNECT_S = 5.0
NO_KEY = "none"
"""Sent to a self-hosted server without a key; it ignores the header."""


class OpenAIModel:
    """See `LanguageModel`. The SDK is imported here; its retries are off because the caller has a fallback."""

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
            ConfigurationError: the SDK is missing, or OpenAI itself is asked without a key.
        """
        try:
            import openai
        except ImportError as error:
            raise missing_package("openai") from error
        if not api_key and not base_url:
            raise missing_key("openai")
        self._model = model
        self._name = name or model
        self._limit_name = "max_tokens" if base_url else "max_completion_tokens"
        self._faults: tuple[type[Exception], ...] = (openai.OpenAIError, *transport_faults())
        self._client = openai.AsyncOpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url or OPENAI_URL,
            timeout=openai.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),  # a third of the CPU time a token of the SDK's usual one
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        """See `LanguageModel.stream`. OpenAI caches stable prefixes by itself, so `cacheable` sends nothing.

        OpenAI reports usage at the end, some other servers with every chunk.
        """
        finished: object = None
        usage = Usage(self._name)
        send = self._client.chat.completions.with_streaming_response.create
        try:
            async with (
                send(**self._request(messages, max_tokens), extra_headers=dict(outgoing_headers())) as response,
                aclosing(json_events(response.iter_bytes())) as events,
            ):
                async for event in events:
                    if event.get("error"):
                        raise broken_off(self._model)
                    if event.get("usage"):
                        usage = self._usage(event["usage"])
                        yield usage
                    for choice in event.get("choices") or ():
                        finished = choice.get("finish_reason") or finished
                        if text := (choice.get("delta") or {}).get("content"):
                            yield str(text)
        except self._faults as error:
            raise unavailable(self._model, error) from None  # the cause may quote the key
        if finished is None:
            raise broken_off(self._model)
        if finished == "content_filter":
            raise withheld(self._model, finished)
        yield usage

    async def close(self) -> None:
        """See `LanguageModel.close`."""
        await self._client.close()

    def _request(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        return {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            self._limit_name: max_tokens,
        }

    def _usage(self, usage: Mapping[str, Any]) -> Usage:
        details = usage.get("prompt_tokens_details") or {}
        return Usage(
            self._name,
            input_tokens=reported_tokens(usage.get("prompt_tokens")),
            output_tokens=reported_tokens(usage.get("completion_tokens")),
            cached_tokens=reported_tokens(details.get("cached_tokens")),
        )
