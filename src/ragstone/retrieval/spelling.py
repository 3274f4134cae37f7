"""Spelling: finds near words of the collection for a word of the question that none of its documents holds.

There is no list of words to keep: the index knows which words it holds, and the passages show how they are written.
For a word that no passage found shows, and that the embedding model does not know as one word either, one search of
the sparse leg asks for the word. If that finds nothing, a word of the chunks that the question found is offered, if one
is a single edit away; else a second search asks for every word within one edit, and a long word may be two edits
away. So a correction is always a word that this collection holds now, and a question without a doubtful word costs
nothing.
"""

from __future__ import annotations

import asyncio
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence, Sized

from ragstone.documents.languages import FUNCTION_WORDS, language_of_text
from ragstone.embedding.sparse import folded, query_vector, terms
from ragstone.index.base import Index
from ragstone.storage.library import Library
from ragstone.vocabulary import Hit, Passage, Query, Scope, SpellingCorrection

MIN_LETTERS = 4
"""A shorter word has too many neighbours."""
LONG_LETTERS = 8
"""From this length on, a word may be two edits away instead of one."""
MAX_LETTERS = 30
MAX_WORDS = 3
"""Words of one question that are looked up; each costs a search."""
MAX_CHUNKS = 40
"""Chunks whose words are compared, of each search."""

_WORD = re.compile(r"(?<![\w./@#:_`'’-])[^\W\d_]{4,30}(?![\w@#_`-]|[./:]\w|['’]\w{2})")
_LETTERS = re.compile(r"[^\W\d_]{3,32}")
_GRAMMAR = frozenset[str]().union(*FUNCTION_WORDS.values())
_ALPHABETS = (
    string.ascii_lowercase,
    "абвгдежзийклмнопрстуфхцчшщъыьэюяіїєґ",
    "αβγδεζηθικλμνξοπρστυφχψως",
)


class Speller:
    """Finds corrections within one scope; see the module."""

    def __init__(self, index: Index, library: Library, tokens_of: Callable[[str], Sized]) -> None:
        """`tokens_of` gives the tokens of a text for the embedding model; a word that is one token is a common word."""
        self._index = index
        self._library = library
        self._tokens_of = tokens_of

    async def corrections(
        self, scope: Scope, query: Query, hits: Sequence[Hit], found: Sequence[Passage]
    ) -> tuple[SpellingCorrection, ...]:
        """A near word for each word of the question that no document of the scope holds; empty where none is doubtful.

        Args:
            scope: The collection; no word of another one is offered.
            query: The question.
            hits: What the search found, best first.
            found: The passages of the first of them.

        Raises:
            IndexUnavailable: the index does not answer.
        """
        doubtful = self._doubtful(query.text, found)[:MAX_WORDS]
        unknown = [word for word in doubtful if not await self._is_known(scope, query, word)]
        if not unknown:
            return ()
        spoken = language_of_text(query.text)
        passages = await self._library.passages(scope, hits[:MAX_CHUNKS])
        chosen = await asyncio.to_thread(_chosen, unknown, spoken, passages, 1)
        if missing := [word for word in unknown if word not in chosen]:
            passages += await self._near(scope, query, missing)
            chosen |= await asyncio.to_thread(_chosen, missing, spoken, passages, 2)
        return tuple(SpellingCorrection(word, chosen[word]) for word in unknown if word in chosen)

    def _doubtful(self, question: str, found: Sequence[Passage]) -> list[str]:
        """Words that no passage found holds, and that the embedding model knows in pieces only."""
        shown = {term for passage in found for term in terms(f"{passage.title}\n{passage.chunk.text}")}
        return [
            word
            for word in dict.fromkeys(_WORD.findall(question))
            if is_plain(word) and shown.isdisjoint(terms(word)) and len(self._tokens_of(word)) > 1
        ]

    async def _is_known(self, scope: Scope, query: Query, word: str) -> bool:
        vector = query_vector(word)
        found = await self._index.search(scope, dense=None, sparse=vector, filters=query.filters, limit=1)
        return bool(found.sparse)

    async def _near(self, scope: Scope, query: Query, words: Sequence[str]) -> list[Passage]:
        """Passages that hold a word within one edit of `words`."""
        vector = await asyncio.to_thread(query_vector, " ".join(near for word in words for near in one_edit(word)))
        found = await self._index.search(scope, dense=None, sparse=vector, filters=query.filters, limit=MAX_CHUNKS)
        return await self._library.passages(scope, [Hit(one.chunk_id, one.standing.score, {}) for one in found.sparse])


def is_plain(word: str) -> bool:
    """Whether a word may be a slip of the pen: no code, no abbreviation, no word of grammar, one word of its script."""
    inner = word[1:]
    return (
        inner == inner.lower()
        and word.casefold() not in _GRAMMAR
        and len(terms(word)) == 1
        and len(word) >= MIN_LETTERS
    )


def one_edit(word: str) -> set[str]:
    """The words that are one letter away: one left out, put in, replaced, or exchanged with its neighbour."""
    plain = folded(word)
    letters = next((alphabet for alphabet in _ALPHABETS if plain[0] in alphabet), _ALPHABETS[0])
    cuts = [(plain[:place], plain[place:]) for place in range(len(plain) + 1)]
    return {
        *(left + right[1:] for left, right in cuts if right),
        *(left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1),
        *(left + letter + right[1:] for left, right in cuts if right for letter in letters),
        *(left + letter + right for left, right in cuts for letter in letters),
    } - {plain}


def edits(one: str, other: str, most: int) -> int:
    """The number of edits between two words, neighbours exchanged counting as one; more than `most` where it is more.

    The optimal string alignment distance (Damerau, "A technique for computer detection and correction of
    spelling errors", CACM 1964, as commonly restricted: no letter is edited twice).
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    older = before = row = list(range(len(other) + 1))
    for i, letter in enumerate(one):
        older, before, row = before, row, [i + 1]
        for j, opposite in enumerate(other):
            best = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != opposite))
            if i and j and letter == other[j - 1] and one[i - 1] == opposite:
                best = min(best, older[j - 1] + 1)
            row.append(best)
    return row[-1]


def _chosen(unknown: Sequence[str], spoken: str | None, passages: Sequence[Passage], most: int) -> dict[str, str]:
    """The nearest word of the passages for each unknown one, of equally near ones the most frequent."""
    texts = {passage.chunk.id: f"{passage.title}\n{passage.chunk.text}" for passage in passages}
    # A German word that English documents do not hold is no slip of the pen.
    spoken_texts = [text for text in texts.values() if _same_language(spoken, text)]
    counts = Counter(word for text in spoken_texts for word in set(_LETTERS.findall(text)))
    found = {word: _nearest(word, counts, most) for word in unknown}
    return {word: near for word, near in found.items() if near}


def _same_language(spoken: str | None, text: str) -> bool:
    written = language_of_text(text)
    return spoken is None or written is None or spoken == written


def _nearest(word: str, counts: Counter[str], most: int) -> str:
    """The nearest of the counted words, of equals the likeliest slip, then the most frequent; empty where none is."""
    typed = folded(word)
    most = most if len(typed) >= LONG_LETTERS else 1
    near = [
        (distance, _slip(typed, plain), -count, other)
        for other, count in counts.items()
        if abs(len(word) - len(other)) <= most
        and _may_be_near(typed, plain := folded(other), most)
        and (distance := edits(typed, plain, most)) <= most
    ]
    return min(near)[-1] if near else ""


def _slip(typed: str, meant: str) -> int:
    """How likely the edit between two words is a slip, the likeliest first: letters exchanged, one missing, another."""
    if sorted(typed) == sorted(meant):
        return 0
    return 1 if len(typed) != len(meant) else 2


def _may_be_near(typed: str, other: str, most: int) -> bool:
    """Whether two words are worth comparing: begun alike and of the same letters."""
    begun_alike = typed[:1] == other[:1] or typed[:2] == other[1::-1]
    return begun_alike and len(set(typed) ^ set(other)) <= 2 * most
