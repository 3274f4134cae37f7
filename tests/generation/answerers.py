"""Answerers and models that say what a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from ragstone.generation.base import Abstained
from ragstone.llm.base import Message
from ragstone.vocabulary import Passage, Turn, Usage


class Scripted:
    """Yields its pieces; raises where a piece is an exception, waits forever where it is `...`."""

    name = "scripted"

    def __init__(self, *pieces: object) -> None:
        self.pieces = pieces
        self.asked = 0
        self.closed = 0

    async def stream(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn]
    ) -> AsyncGenerator[str | Abstained | Usage, None]:
        self.asked += 1
        try:
            for piece in self.pieces:
                if piece is ...:
                    await asyncio.Event().wait()
                if isinstance(piece, Exception):
                    raise piece
                assert isinstance(piece, str | Abstained | Usage)
                yield piece
        finally:
            self.closed += 1


class ScriptedModel:
    """A language model that answers with these pieces, whatever it is told."""

    name = "mock"

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.messages: Sequence[Message] = ()

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        self.messages = messages
        for piece in self.pieces:
            yield piece
        yield Usage("mock", 10, 5, 0)

    async def close(self) -> None:
        pass
