"""Token usage of a request, call by call, known also when a stream is cancelled."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from ragstone.errors import ModelUnavailable
from ragstone.llm.base import LanguageModel, Message
from ragstone.vocabulary import Usage

CHARS_PER_TOKEN = 4  # OpenAI's rule of thumb for English: "What are tokens and how to count them?"


class TokenUsage:
    """The usage of one request, call by call, the ones that failed included."""

    def __init__(self) -> None:
        self._calls: list[Usage | None] = []

    def begin(self) -> None:
        """A model is about to be called."""
        self._calls.append(None)

    def update(self, usage: Usage) -> None:
        """What the latest call has used by now; replaces what it had used before."""
        if not self._calls:
            self.begin()
        self._calls[-1] = usage

    @property
    def usage(self) -> tuple[Usage, ...]:
        """What each call used, in order."""
        return tuple(usage for usage in self._calls if usage)

    @property
    def estimated(self) -> bool:
        """Whether some of it was counted here."""
        return any(usage.estimated for usage in self.usage)


def reported_tokens(value: object) -> int:
    """A number of tokens as a vendor reports it; 0 for what is no number, or below zero."""
    return max(0, value) if isinstance(value, int) else 0


async def counted(
    model: LanguageModel, messages: Sequence[Message], *, max_tokens: int
) -> AsyncGenerator[str | Usage, None]:
    """What `model` streams, with a `Usage` before each text that the model has not accounted for.

    What the model reports counts. Beyond that, each piece of text is taken for one
    token, and the prompt for a token in four characters; then the usage is `estimated`.
    A model that refuses before it says anything has used nothing.

    Raises:
        ModelUnavailable: as the model does.
    """
    usage = _prompt(model.name, messages)
    yield usage  # the request goes out now: a stream that is closed before its first piece has cost the prompt
    began = announced = False
    try:
        async with aclosing(model.stream(messages, max_tokens=max_tokens)) as pieces:
            async for piece in pieces:
                began = True
                if isinstance(piece, Usage):
                    if not (piece.input_tokens or piece.output_tokens):
                        continue  # a server that does not count
                    announced = usage.output_tokens < piece.output_tokens
                    usage = piece
                    yield usage
                    continue
                if not announced:
                    usage = replace(usage, output_tokens=usage.output_tokens + 1, estimated=True)
                    yield usage
                announced = False
                yield piece
    except ModelUnavailable:
        if not began:
            yield Usage(model.name)
        raise


def _prompt(name: str, messages: Sequence[Message]) -> Usage:
    characters = sum(len(message.text) for message in messages)
    return Usage(name, input_tokens=max(1, characters // CHARS_PER_TOKEN), estimated=True)
