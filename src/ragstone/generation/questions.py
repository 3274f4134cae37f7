"""A question, taken apart: its words and how rare they are, and the kind of thing it asks for."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ragstone.embedding.sparse import terms
from ragstone.generation.facts import MONTHS, Facts, content_terms, facts

Kind = Literal["date", "number", "person", "place", "reason", "thing"]

# "What happens when …" does not ask for a date, nor "the man who …" for a person: the word must begin or end a part.
_BEGINS = r"(?:^\W*|[,;:] |\b(?:and|or|but|since|until|by|to|from|for|of|in|with|at) )"
_ASKS_DATE = re.compile(
    rf"{_BEGINS}when\b|\bwhen\W*$|\b(?:in )?(?:what|which) (?:year|date|day|month|decade|century)\b", re.IGNORECASE
)
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|often)\b|\bhow (?=(?:long|far|old|large|big|tall|high|deep|wide|fast|heavy)\b)"
    r"|\b(?:what|which) (?=(?:percent|percentage|number|amount|fraction|proportion|size|price|cost|age|population)\b)",
    re.IGNORECASE,
)
_ASKS_PERSON = re.compile(rf"{_BEGINS}who\b|\bwho\W*$|\bwhose\b|\bwhom\b", re.IGNORECASE)
_ASKS_PLACE = re.compile(
    rf"{_BEGINS}where\b|\bwhere\W*$|\b(?:in )?(?:what|which) (?:city|country|state|place|region|town|continent)\b",
    re.IGNORECASE,
)
_ASKS_REASON = re.compile(
    r"\bwhy\b|\b(?:what|which) (?:is |was |were |are )?(?:the )?(?:reason|cause|purpose)\b", re.IGNORECASE
)
_ASKS: dict[Kind, re.Pattern[str]] = {
    "date": _ASKS_DATE,
    "number": _ASKS_NUMBER,
    "person": _ASKS_PERSON,
    "place": _ASKS_PLACE,
    "reason": _ASKS_REASON,
}
_DATE = re.compile(
    rf"\b(?:1\d{{3}}|20\d\d)(?:s|\b)|\b\d{{1,2}}(?:st|nd|rd|th) century|\b(?:{'|'.join(MONTHS)})\b|\bago\b"
)
_NUMBER = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|billion|half)\b"
)
_REASON = re.compile(
    r"\bbecause\b|\bdue to\b|\bsince\b|\bso that\b|\bin order to\b|\bas a result\b|\btherefore\b|\breason\b|\bto \w+"
    r"|\bcause|\bled to\b|\bfor \w+ing\b"
)
_NO_FOCUS = "is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might|must|of|kind|type|other"
_FOCUS = re.compile(rf"\b(?:what|which) (?!(?:{_NO_FOCUS})\b)([a-z]+)")


@dataclass(frozen=True, slots=True)
class Question:
    """What `read` finds.

    `ordered` are its content terms without the words that say what is asked for ("how
    many"), since no answer repeats those; `weights` how rare each is among the sentences;
    `focus` the word after what or which, `""` if none.
    """

    text: str
    asks: Kind
    ordered: tuple[str, ...]
    weights: dict[str, float]
    facts: Facts
    focus: str


def read(text: str, sentences: Sequence[Facts]) -> Question:
    """Take `text` apart; a term's weight is its idf over `sentences`, as in BM25."""
    asks, rest = _asks(text)
    content = content_terms(rest)
    ordered = tuple(dict.fromkeys(term for term in terms(rest) if term in content))
    counts = Counter(term for sentence in sentences for term in sentence.terms & content)
    weights = {term: math.log(1 + (len(sentences) - counts[term] + 0.5) / (counts[term] + 0.5)) for term in ordered}
    focus = _FOCUS.search(rest.lower())
    return Question(text, asks, ordered, weights, facts(rest), "".join(terms(focus[1])[:1]) if focus else "")


def holds_kind(asked: Question, lower: str, stated: Facts) -> bool | None:
    """Whether a sentence holds, beyond the question's words, the kind of thing asked for; `None` if any thing may do.

    `lower` is the sentence in lower case, `stated` its facts.
    """
    match asked.asks:
        case "date":
            return any(found not in asked.text.lower() for found in _DATE.findall(lower))
        case "number":
            new = bool(set(stated.numbers) - set(asked.facts.numbers)) or "half" in lower or "hundred" in lower
            return new and bool(_NUMBER.search(lower))
        case "person" | "place":
            return bool(set(stated.names) - set(asked.facts.names) - asked.facts.terms)
        case "reason":
            return bool(_REASON.search(lower))
        case "thing":
            return None


def _asks(text: str) -> tuple[Kind, str]:
    """The kind of thing asked for, and the question without the words that say so."""
    for kind, pattern in _ASKS.items():
        if found := pattern.search(text):
            return kind, f"{text[: found.start()]} {text[found.end() :]}"
    return "thing", text
