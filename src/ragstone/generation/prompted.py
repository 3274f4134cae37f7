"""The answerer that prompts a language model."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ragstone.errors import ModelUnavailable
from ragstone.generation.base import Abstained
from ragstone.generation.prompts import ABSTENTION, messages, rewrite_messages
from ragstone.llm.base import LanguageModel, Message
from ragstone.llm.token_usage import counted
from ragstone.vocabulary import Passage, Turn, Usage

BOUNDARY_BYTES = 8
MAX_SENTENCE_TOKENS = 200


class PromptedAnswerer:
    """An `Answerer` that lets a language model write from the passages."""

    def __init__(self, model: LanguageModel, *, max_tokens: int = 800) -> None:
        self._model = model
        self._max_tokens = max_tokens

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def stream(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn]
    ) -> AsyncGenerator[str | Abstained | Usage, None]:
        """See `Answerer.stream`. Text is held back while it can still become the abstention."""
        prompt = messages(question, passages, history, boundary=secrets.token_hex(BOUNDARY_BYTES))
        async with aclosing(self._replies(prompt, self._max_tokens)) as pieces:
            async for piece in pieces:
                yield piece

    async def rewrite(self, sentence: str, passage: Passage) -> AsyncGenerator[str | Abstained | Usage, None]:
        """See `SentenceWriter.rewrite`."""
        prompt = rewrite_messages(sentence, passage, boundary=secrets.token_hex(BOUNDARY_BYTES))
        async with aclosing(self._replies(prompt, min(self._max_tokens, MAX_SENTENCE_TOKENS))) as pieces:
            async for piece in pieces:
                yield piece

    async def _replies(
        self, prompt: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str | Abstained | Usage, None]:
        held: str | None = ""
        usage = Usage(self.name)
        async with aclosing(counted(self._model, prompt, max_tokens=max_tokens)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Usage):
                    usage = piece
                    yield usage
                elif held is None:
                    yield piece
                elif not _may_abstain(held := held + piece):
                    yield held
                    held = None
        if held is not None:
            yield _whole(held, self.name)
        yield usage


def _may_abstain(text: str) -> bool:
    """Whether `text` so far is, or may become, the abstention."""
    start = text.lstrip(" \n`*\"'")
    return start.startswith(ABSTENTION) or ABSTENTION.startswith(start)


def _whole(held: str, name: str) -> str | Abstained:
    """Interpret a reply that was held back to its end."""
    if ABSTENTION in held:
        return Abstained()
    if held.strip():
        return held
    raise ModelUnavailable(f"The model {name} sent an empty answer. Ask again, or choose another model.")
