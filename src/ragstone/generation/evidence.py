"""The sentences of a passage that a statement is compared with, and the texts that the judge compares."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragstone.generation.canonical import canonical

MAX_SENTENCES = 3
MAX_WORDS = 64
"""More evidence is cut by the judge, and is slower to read."""

_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("[\u0e01-\u0eff\u1000-\u109f\u1780-\u17d3\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
_PRONOUN = re.compile(r"(?:he|she|it|they|this|these|his|her|its|their)\b", re.IGNORECASE)
_STEM_CHARS = 6  # words count as the same if they begin alike: "publish" and "published"


def cover(statement: str, sentences: Sequence[str]) -> list[int]:
    """Places of the sentences that together hold most words of `statement`, in reading order.

    The sentence that adds most is taken first, at most `MAX_SENTENCES` of together `MAX_WORDS` words; the first one
    always. If the first one begins with a pronoun, the sentence before it comes too.
    """
    if not sentences:
        return []
    missing, words = stems(statement), [stems(sentence) for sentence in sentences]
    chosen: list[int] = []
    left = MAX_WORDS
    while len(chosen) < MAX_SENTENCES:
        gains = [(len(missing & words[place]), -place) for place in range(len(sentences)) if place not in chosen]
        gain, place = max(gains, default=(0, 0))
        size = len(_WORD.findall(sentences[-place]))
        if chosen and (not gain or size > left):
            break
        chosen.append(-place)
        missing, left = missing - words[-place], left - size
    if chosen and chosen[0] and len(chosen) < MAX_SENTENCES and _PRONOUN.match(sentences[chosen[0]]):
        chosen.append(chosen[0] - 1)
    return sorted(set(chosen))


def support_pair(statement: str, sentences: Sequence[str], title: str = "") -> tuple[str, str]:
    """The pair (claim, evidence) for `PairJudge.supports`, both in canonical text."""
    found = " ".join(sentences[place] for place in cover(statement, sentences))
    return canonical(statement), canonical(f"{title} : {found}" if title else found)


def stems(text: str) -> set[str]:
    """The beginnings of the words of `text`, folded; in scripts without spaces, pairs of characters."""
    folded = text.casefold()
    runs = _UNSPACED.findall(folded)
    pairs = {run[place : place + 2] for run in runs for place in range(max(len(run) - 1, 1))}
    return pairs | {word[:_STEM_CHARS] for word in _WORD.findall(_UNSPACED.sub(" ", folded))}
