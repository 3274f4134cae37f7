"""Sentences of a passage that a claim can be made from, and the edits that several kinds share."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping

from benchmarks.verification.cases import Source
from ragstone.documents.sentences import sentences

SHORTEST = {"en": 40, "es": 40, "zh": 15}
LONGEST = {"en": 300, "es": 300, "zh": 120}
"""Characters of a sentence, per language."""

_UNFIT = re.compile(r"[\[\]{}<>|\\\n]|https?:|///|\.\.\.|…|^\W|\?|``|''")
_WORDS = (
    "The A An This These That Those It Its In On At By For From With They He She His Her Their We Our Many Some "
    "Most All Each Both When While After Before During If As To There One Such Other Several However You Your And "
    "But So Until Since Although Because Here Then Thus Therefore Moreover Furthermore Following Recently Today "
    "Even No Any Every Under Over Through Between Among Within Without Not Only"
)
_COMMON = frozenset(_WORDS.split())
"""Words that begin with a capital because a sentence does."""

_UNEVEN = re.compile(r"^[^(]*\)|\([^)]*$")


def spots(source: Source) -> list[str]:
    """Whole sentences of prose in one line: they begin with a capital (or a Chinese character) and end with a stop."""
    text = source.text
    prose = [text[one.start : one.end] for one in sentences(text) if one.kind == "prose"]
    low, high = SHORTEST[source.language], LONGEST[source.language]
    return [one for one in prose if low <= len(one) <= high and _is_whole(one)]


def _is_whole(sentence: str) -> bool:
    begins = sentence[0].isupper() or "\u4e00" <= sentence[0] <= "\u9fff"
    ends = sentence.endswith((".", "。"))
    return (
        begins
        and ends
        and not _UNFIT.search(sentence)
        and not _UNEVEN.search(sentence)
        and sentence.count("`") % 2 == 0
    )


def exchanged(
    claim: str, table: Mapping[str, str], random_: random.Random, *, fold: bool = True, words: bool = True
) -> str | None:
    """`claim` with one phrase of `table` replaced; `fold`: a capital stays one; `words`: at word boundaries alone."""
    searched = claim.lower() if fold else claim
    found = [(at, phrase) for phrase in table if phrase in searched for at in _places(searched, phrase, words=words)]
    if not found:
        return None
    at, phrase = random_.choice(sorted(one for one in found if not any(_holds(other, one) for other in found)))
    put = capitalised(table[phrase]) if claim[at].isupper() and fold else table[phrase]
    return claim[:at] + put + claim[at + len(phrase) :]


def _places(claim: str, phrase: str, *, words: bool) -> Iterator[int]:
    at = claim.find(phrase)
    while at >= 0:
        end = at + len(phrase)
        joined_left = words and phrase[0].isalnum() and at > 0 and _joins(claim[at - 1])
        joined_right = words and phrase[-1].isalnum() and end < len(claim) and _joins(claim[end])
        if not joined_left and not joined_right:
            yield at
        at = claim.find(phrase, at + 1)


def _joins(character: str) -> bool:
    return character.isalnum() or character in "-_"


def _holds(one: tuple[int, str], other: tuple[int, str]) -> bool:
    (at, phrase), (inner, short) = one, other
    return one != other and at <= inner and inner + len(short) <= at + len(phrase)


def capitalised(text: str) -> str:
    """`text` with a capital first letter."""
    return text[:1].upper() + text[1:]


def decapitalised(text: str) -> str:
    """`text` with a small first letter where its first word is a common one."""
    first = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first in _COMMON else text
