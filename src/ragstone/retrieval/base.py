"""The port of retrieval: a question in, passages out.

Imports neither NumPy nor SQLAlchemy, so that a process without index and database can use a remote retriever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ragstone.errors import InvalidInput, InvalidQuestion
from ragstone.vocabulary import Passage, Query, Scope, SpellingCorrection

MAX_PASSAGES = 1000
PIPELINE_NOT_ASKED = "pipeline_not_asked"
"""The policy in `Retrieval.degraded` where a query has filters that a remote pipeline cannot apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalOptions:
    """Options of the hybrid search; docs/retrieval.md says where the numbers come from.

    `candidates` is the number of chunks that each leg contributes, `floor` that of `bears_on`.
    """

    candidates: int = 50
    fusion: Literal["convex", "rrf"] = "convex"
    floor: float = 0.4
    max_question_chars: int = 4000


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Passages, best first. `degraded` names the policies that acted where a part did not answer.

    `corrections` are words of the question that were searched for in another spelling.
    """

    passages: tuple[Passage, ...]
    degraded: tuple[str, ...] = ()
    corrections: tuple[SpellingCorrection, ...] = ()


class Retriever(Protocol):
    """Finds the passages of a collection that answer a question: in the index, a cache or a remote pipeline."""

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """The best `query.limit` passages, each with its rank and score in every stage.

        Raises:
            InvalidQuestion: blank, too long or not text.
            InvalidInput: the limit or the filters cannot be served.
            NotFound: no such collection.
            Unavailable: no source answered; the class and the message say which.
        """
        ...

    async def check(self, scope: Scope, query: Query) -> None:
        """Refuse a query that cannot be searched, before anything is computed.

        Raises:
            InvalidQuestion: as `search`.
            InvalidInput: a limit that cannot be served.
            NotFound: as `search`.
        """
        ...


def checked_query(query: Query, *, max_chars: int) -> Query:
    """Return the query if it can be searched for.

    Raises:
        InvalidQuestion: as `checked_question`.
        InvalidInput: a limit that cannot be served.
    """
    checked_question(query.whole, max_chars=max_chars)
    if not 1 <= query.limit <= MAX_PASSAGES:
        raise InvalidInput(f"The limit is {query.limit}; ask for 1 to {MAX_PASSAGES} passages.")
    return query


def checked_question(text: str, *, max_chars: int) -> str:
    """Return the question if it can be searched for.

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
    """The leading passages whose tokens sum to `max_tokens` at most; always at least the first."""
    total = 0
    for kept, passage in enumerate(passages):
        total += passage.chunk.token_count
        if kept and total > max_tokens:
            return tuple(passages[:kept])
    return tuple(passages)


def corrected(text: str, corrections: Iterable[SpellingCorrection]) -> str:
    """The text with each corrected word in the spelling that was searched for."""
    for one in corrections:
        text = re.sub(rf"(?<!\w){re.escape(one.typed)}(?!\w)", one.searched.replace("\\", r"\\"), text)
    return text
