"""The port of RETRIEVE: a question in, passages out.

Imports nothing heavy, so that a process without a model can find passages elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ragstone.errors import InvalidInput, InvalidQuestion
from ragstone.vocabulary import Passage, Query, Scope

MAX_PASSAGES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalOptions:
    """How passages are found; see docs/retrieval.md for where the numbers come from.

    `candidates` counts the chunks each leg contributes, `floor` is that of `bears_on`,
    and `context_tokens` bounds what `retrieve` hands to an answerer.
    """

    candidates: int = 50
    fusion: Literal["convex", "rrf"] = "convex"
    floor: float = 0.4
    context_tokens: int = 3000
    max_question_chars: int = 4000


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Passages, best first. `degraded` names the leg that was missing, if one was."""

    passages: tuple[Passage, ...]
    degraded: tuple[str, ...] = ()


class Retriever(Protocol):
    """What a `Retriever` does, whether it looks, remembers, or asks somebody else."""

    async def retrieve(self, scope: Scope, query: Query) -> Retrieval:
        """What an answerer should read: `search`, trimmed to the context budget.

        Raises:
            InvalidQuestion: blank, too long or not text.
            NotFound: no such collection.
            Unavailable: nothing that was asked answered; the sentence and its class say what.
        """
        ...

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """The best `query.limit` passages, each with its standing in every stage. Raises: as `retrieve`."""
        ...

    async def check(self, scope: Scope, query: Query) -> None:
        """Refuse what cannot be searched, before anything is computed. Raises: as `retrieve`."""
        ...


def checked_query(query: Query, *, max_chars: int) -> Query:
    """The query, if it can be searched for.

    Raises:
        InvalidQuestion: as `checked_question`.
        InvalidInput: a limit that cannot be served.
    """
    checked_question(query.text, max_chars=max_chars)
    if not 1 <= query.limit <= MAX_PASSAGES:
        raise InvalidInput(f"The limit is {query.limit}; ask for 1 to {MAX_PASSAGES} passages.")
    return query


def checked_question(text: str, *, max_chars: int) -> str:
    """The question, if it can be searched for.

    Raises:
        InvalidQuestion: blank, longer than `max_chars`, or not text.
    """
    if not text.strip():
        raise InvalidQuestion("The question is empty; write what you want to know.")
    if len(text) > max_chars:
        raise InvalidQuestion(f"The question has {len(text)} characters; shorten it to {max_chars} at most.")
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidQuestion("The question holds characters that are not text (NUL or half a pair); remove them.")
    return text


def within_budget(passages: Sequence[Passage], max_tokens: int) -> tuple[Passage, ...]:
    """The leading passages whose tokens sum to `max_tokens` at most, and always the first."""
    total = 0
    for kept, passage in enumerate(passages):
        total += passage.chunk.token_count
        if kept and total > max_tokens:
            return tuple(passages[:kept])
    return tuple(passages)
