"""What can be counted of a sentence that may answer a question: the features of the relevance model.

All are numbers that a person can check, and none needs a model. They hold for any language as far as possible: words
are compared by `question.key`, rarity is measured among the sentences at hand, and what only some languages show
(capital letters, negators) is 0 where it does not show.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache

from ragstone.documents.languages import language_of_text
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.answer_kinds import ANY, Held, held
from ragstone.generation.candidates import SentenceCandidate
from ragstone.generation.facts import facts, opposed
from ragstone.generation.question import Question, key, read
from ragstone.vocabulary import Passage

ADJACENT_TERMS = 3
"""Two question terms stand together in a sentence if they are at most this many terms apart."""
SHORT_WORDS = 5
SAYS_MOST = 8
"""A sentence with so many words of its own says as much as one with more."""

SAME_QUESTION = 0.8
"""The share of common words from which a heading asks the question; by hand, as the open sets have no headings."""
STATED = 0.5
"""A sentence that holds this share of the question's terms, by weight, needs no heading; likewise."""

UNRELATED_COSINE = 0.3
RELATED_COSINE = 0.6
"""Medians of the open sets, for the eighth passage and for the best one of an answerable question. Where the dense leg
did not answer, or the script is not Latin, words decide: a passage gets a cosine between the two, by its share of the
question."""

FEATURES = (
    "bias",
    "covered",
    "covered_context",
    "covered_nearby",
    "covered_passage",
    "rarest_missing",
    "rarest_nowhere",
    "terms_missing",
    "together",
    "date_found",
    "date_hint",
    "date_missing",
    "number_found",
    "number_hint",
    "number_missing",
    "name_found",
    "name_missing",
    "reason_found",
    "reason_missing",
    "manner_found",
    "manner_hint",
    "polar_covered",
    "subject_first",
    "focus_missing",
    "names_missing",
    "names_elsewhere",
    "figures_missing",
    "negation_differs",
    "opposite_word",
    "says_more",
    "restates",
    "short",
    "words",
    "row",
    "item",
    "code",
    "opens",
    "first_passage",
    "passage_score",
    "cosine",
    "language_differs",
    "unread",
    "share_of_best",
)
"""What each weight is for; `features` gives the values in this order.

`covered` is the share of the question's terms, weighted by their rarity among the
sentences, that the sentence holds; `covered_context` what its headings, its list's lead
or its table's header add, `covered_nearby` its neighbours, `covered_passage` the rest of
the passage. `rarest_missing`: the weight of the rarest term that the passage does not
hold; `rarest_nowhere`: that no passage holds. `unread`: the share of the question's
letters that an embedder of English cannot read. `restates`: nearly all of its words are
the question's. `subject_first`: how early a definition names what is asked for.
"""

_QUESTION_END = re.compile(r"[?？؟][\"'”’»)\]*_]*\s*$")


def asks_back(text: str) -> bool:
    """Whether a sentence is a question."""
    return _QUESTION_END.search(text[-20:]) is not None


class _Unit:
    """A sentence with what was read in it."""

    __slots__ = ("candidate", "context", "facts", "keys", "length", "places")

    def __init__(self, candidate: SentenceCandidate) -> None:
        self.candidate = candidate
        self.context = _keys(candidate.context)
        self.facts = facts(candidate.text)
        ordered = [key(term) for term in terms(candidate.text) if term not in STOPWORDS]
        self.keys = frozenset(ordered)
        self.length = len(ordered)
        self.places = {term: place for place, term in reversed(list(enumerate(ordered)))}


class _Surroundings:
    """The passage around a sentence: its words, score, cosine and language."""

    def __init__(self, passage: Passage, passages: Sequence[Passage]) -> None:
        self.units: list[_Unit] = []
        self.keys = _keys("\n".join((passage.title, *passage.chunk.heading_path, passage.chunk.table_header)))
        self.score = passage.hit.score / (max(other.hit.score for other in passages) or 1.0)
        self.language = language_of_text(passage.chunk.text)
        known = [other.hit.stages["dense"].score for other in passages if "dense" in other.hit.stages]
        dense = passage.hit.stages.get("dense")
        self._cosine = dense.score if dense else min(known, default=None)

    def add(self, unit: _Unit) -> None:
        self.units.append(unit)
        self.keys = self.keys | unit.keys | unit.context

    def cosine(self, share: float, readable: float) -> float:
        """Cosine with the question; without one, an estimate from the share of the question's terms.

        `readable` is the share of the question's letters that an embedder of English reads.
        """
        estimate = UNRELATED_COSINE + (RELATED_COSINE - UNRELATED_COSINE) * share
        return estimate if self._cosine is None else readable * self._cosine + (1 - readable) * estimate

    def beside(self, unit: _Unit) -> frozenset[str]:
        """The words of the sentences beside `unit`, it included."""
        place = unit.candidate.place
        return frozenset().union(*(other.keys for other in self.units[max(0, place - 1) : place + 2]))


def features(question: str, passages: Sequence[Passage], found: Sequence[SentenceCandidate]) -> list[tuple[float, ...]]:
    """One row for each candidate, in the order of `FEATURES`.

    A heading that asks the question gives the sentences below it nothing where another sentence holds the question's
    words itself, or where none below it has a word of the question: anybody can write a heading. An answer to how or
    why may well do without the question's words, so there the heading counts.
    """
    units = [_Unit(candidate) for candidate in found]
    asked = read(question, [unit.keys for unit in units])
    echoes = _echoes(asked, units)
    if echoes and asked.asks not in ("manner", "reason"):
        stated = _is_stated(asked, units, echoes)
        bearing = {
            _section(unit) for unit in units if unit.candidate.text not in echoes and unit.keys & asked.weights.keys()
        }
        units = [unit if not stated and _section(unit) in bearing else _without(unit, echoes) for unit in units]
    surroundings = [_Surroundings(passage, passages) for passage in passages]
    for unit in units:
        surroundings[unit.candidate.passage].add(unit)
    everything = frozenset[str]().union(*(passage.keys for passage in surroundings))
    whole = _Whole(asked, everything, readable(question))
    rows = [_row(whole, unit, surroundings[unit.candidate.passage]) for unit in units]
    best = max((row[1] for row in rows), default=0.0) or 1.0
    return [(*row, row[1] / best) for row in rows]


def asks_the_same(asked: Question, heading: str) -> bool:
    """Whether a heading has the question's words, but for a fifth at most."""
    words, wanted = _words_of_heading(heading), frozenset(asked.ordered)
    return bool(words) and len(words & wanted) >= SAME_QUESTION * len(words | wanted)


@lru_cache(maxsize=1024)  # many sentences stand below one heading
def _words_of_heading(heading: str) -> frozenset[str]:
    return frozenset(read(heading, []).ordered)


def _echoes(asked: Question, units: Sequence[_Unit]) -> frozenset[str]:
    """The headings that ask the question."""
    headings = {unit.candidate.heading for unit in units} | {
        unit.candidate.text for unit in units if unit.candidate.kind == "heading" or asks_back(unit.candidate.text)
    }
    return frozenset(heading for heading in headings if asks_the_same(asked, heading))


def _is_stated(asked: Question, units: Sequence[_Unit], echoes: AbstractSet[str]) -> bool:
    """Whether a sentence that stands below no such heading, and is none, holds the question's words."""
    total = sum(asked.weights.values()) or 1.0
    return any(
        sum(weight for term, weight in asked.weights.items() if term in unit.keys) >= STATED * total
        for unit in units
        if unit.candidate.heading not in echoes
        and unit.candidate.kind != "heading"
        and not asks_back(unit.candidate.text)
    )


def _section(unit: _Unit) -> tuple[int, str]:
    """The passage of a unit, and its heading."""
    return unit.candidate.passage, unit.candidate.heading


def _without(unit: _Unit, echoes: AbstractSet[str]) -> _Unit:
    """The unit without what headings that ask the question add to it; of such a heading nothing is left."""
    one = unit.candidate
    if one.text in echoes:
        return _Unit(replace(one, text="", context=""))
    if one.heading not in echoes:
        return unit
    kept = [line for line in one.context.splitlines() if line not in echoes]
    return _Unit(replace(one, context="\n".join(kept)))


class _Whole:
    """The question, with what holds for all candidates."""

    __slots__ = ("asked", "names", "nowhere", "readable", "total")

    def __init__(self, asked: Question, everything: AbstractSet[str], readable: float) -> None:
        self.asked = asked
        self.readable = readable
        self.total = sum(asked.weights.values()) or 1.0
        self.nowhere = self.rarest_missing(everything)
        # In German every noun has a capital letter.
        self.names = frozenset(key(name) for name in asked.facts.names) if asked.language != "de" else frozenset[str]()

    def share(self, there: AbstractSet[str]) -> float:
        """The share of the question's terms that is there, by weight."""
        return sum(weight for term, weight in self.asked.weights.items() if term in there) / self.total

    def rarest_missing(self, there: AbstractSet[str]) -> float:
        """The share of the question's weight on its weightiest term that is not there."""
        missing = (weight for term, weight in self.asked.weights.items() if term not in there)
        return max(missing, default=0.0) / self.total

    def together(self, unit: _Unit) -> float:
        """The share of neighbouring question terms that are neighbours in the sentence too."""
        pairs = list(zip(self.asked.ordered, self.asked.ordered[1:], strict=False))
        near = sum(
            abs(unit.places[left] - unit.places[right]) <= ADJACENT_TERMS
            for left, right in pairs
            if left in unit.places and right in unit.places
        )
        return near / len(pairs) if pairs else 0.0

    def subject_first(self, unit: _Unit) -> float:
        """1 if a sentence begins with what a question of definition asks for, less the later it comes."""
        first = min((unit.places[term] for term in self.asked.ordered if term in unit.places), default=None)
        return 0.0 if self.asked.asks != "definition" or first is None else 1 / (1 + first)


def _row(whole: _Whole, unit: _Unit, passage: _Surroundings) -> tuple[float, ...]:
    asked, own = whole.asked, unit.facts
    with_context = unit.keys | unit.context
    near = with_context | passage.beside(unit)
    covered, in_context, nearby = whole.share(unit.keys), whole.share(with_context), whole.share(near)
    everywhere = whole.share(passage.keys)
    wanted = frozenset(asked.ordered)
    new = unit.keys - wanted
    return (
        1.0,
        covered,
        in_context - covered,
        nearby - in_context,
        everywhere - nearby,
        whole.rarest_missing(passage.keys),
        whole.nowhere,
        _missing(wanted, near),
        whole.together(unit),
        *_held(asked, held(asked, unit.candidate.text, own, unit.candidate.kind)),
        in_context * (asked.asks == "polar"),
        whole.subject_first(unit),
        float(bool(asked.focus) and asked.focus not in near),
        _missing(whole.names, near),
        _missing(whole.names, unit.keys) - _missing(whole.names, near),
        _missing(asked.facts.numbers.keys() | asked.facts.months, near),
        float(asked.facts.negates != own.negates),
        float(opposed(asked.facts.terms, own.terms)),
        min(len(new), SAYS_MOST) / SAYS_MOST,
        float(asked.asks != "polar" and len(new) <= 1),
        float(unit.length < SHORT_WORDS),
        math.log(1 + unit.length) / 4,
        float(unit.candidate.kind == "row"),
        float(unit.candidate.kind == "item"),
        float(unit.candidate.kind == "code"),
        float(unit.candidate.place == 0),
        float(unit.candidate.passage == 0),
        passage.score,
        passage.cosine(everywhere, whole.readable),
        float(bool(asked.language and passage.language) and asked.language != passage.language),
        1 - whole.readable,
    )


def _held(asked: Question, found: Held) -> tuple[float, ...]:
    """The features from `date_found` to `manner_hint`: those of the kind asked for, 0 for the others."""
    date, number, reason, manner = (
        found if asked.asks == kind else ANY for kind in ("date", "number", "reason", "manner")
    )
    name = found if asked.asks in ("person", "place") else ANY
    values = (
        *(date.found, date.hint, date.missing),
        *(number.found, number.hint, number.missing),
        *(name.found, name.missing),
        *(reason.found, reason.missing),
        *(manner.found, manner.hint),
    )
    return tuple(float(value) for value in values)


def _keys(text: str) -> frozenset[str]:
    return frozenset(key(term) for term in terms(text) if term not in STOPWORDS)


def _missing(wanted: AbstractSet[str], there: AbstractSet[str]) -> float:
    return len(wanted - there) / len(wanted) if wanted else 0.0


def readable(text: str) -> float:
    """The share of the letters that are Latin; 1 for a text without letters."""
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(letter.isascii() or "LATIN" in unicodedata.name(letter, "") for letter in letters)
    return latin / len(letters) if letters else 1.0
