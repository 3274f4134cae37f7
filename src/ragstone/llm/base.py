"""The port of language models: messages in, text and usage out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ragstone.vocabulary import Usage


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `cacheable` marks the end of a stable prefix for prompt caches."""

    role: Literal["system", "user", "assistant"]
    text: str
    cacheable: bool = False


class LanguageModel(Protocol):
    """Streams one completion."""

    @property
    def name(self) -> str:
        """The model's name, as usage reports it."""
        ...

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        """Yield text as it comes, and a `Usage` last.

        A `Usage` also comes as soon as one is known, before the text that it counts. Each
        replaces the one before, so that the usage of a cancelled answer is known.
        Closing the iterator closes the upstream connection.

        Raises:
            ModelUnavailable: refused, timed out, failed or ended without an end marker.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
