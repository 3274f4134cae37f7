"""Grades answers to questions whose evidence is known, by rule.

A question names its gold passages: a document, and expressions that a right answer holds. The *gold block* of a
passage is each shortest run of paragraphs, list items and table rows of the document that holds all of them. Answers
are compared in a form without markup (`folded`), so a rule does not depend on how an answer is shown.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote

from ragstone.errors import InvalidInput
from ragstone.evaluation.metrics import Interval, wilson_interval
from ragstone.vocabulary import Answer


class Grade(StrEnum):
    """What an answer is worth; `grade` has the rules."""

    ANSWERED = "answered"
    PARTLY = "partly"
    WRONG = "wrong"
    CLOSEST = "closest"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class GoldPassage:
    """A passage that answers a question: the end of a document's source, and what a right answer holds of it."""

    document: str
    patterns: tuple[re.Pattern[str], ...]


@dataclass(frozen=True, slots=True)
class GradedQuestion:
    """A question with its gold passages, of which any one is enough; `history` has the questions before it.

    A question that is not `answerable` has no gold passage.
    """

    id: str
    kind: str
    corpus: str
    question: str
    history: tuple[str, ...]
    gold: tuple[GoldPassage, ...]
    answerable: bool


@dataclass(frozen=True, slots=True)
class SourceText:
    """A document of the collection that is searched: its id, its source and its canonical text."""

    id: str
    source: str
    text: str


def read_questions(path: Path) -> list[GradedQuestion]:
    """Read questions, one JSON object a line; `benchmarks/questions/README.md` describes the fields.

    Raises:
        InvalidInput: the file cannot be read, or a line is no such question.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as UTF-8 text. Name a file of questions.") from error
    return [_question(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _question(path: Path, number: int, line: str) -> GradedQuestion:
    try:
        row = json.loads(line)
        gold = tuple(GoldPassage(each["document"], _patterns(each["strings"])) for each in row["gold"])
        texts = (row["id"], row["kind"], row["corpus"], row["question"])
        history, answerable = tuple(row.get("history", ())), row["answerable"]
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise InvalidInput(f"{path.name}, line {number}: not a question: {error!r}.") from error
    wrong = answerable is not bool(gold) or not all(each.patterns for each in gold)
    if wrong or not all(isinstance(text, str) for text in (*texts, *history)):
        raise InvalidInput(f"{path.name}, line {number}: a field has the wrong type, or `gold` does not fit.")
    return GradedQuestion(*texts, history, gold, answerable)


def _patterns(strings: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(string, re.IGNORECASE) for string in strings)


_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "`": None})
_MARKER = re.compile(r" ?\[\d{1,3}\]")
_UNDERSCORE = re.compile(r"(?<!\w)_(?=[^\W_])|(?<=[^\W_])_(?!\w)")
_ASTERISKS = re.compile(r"(?<!\w)\*{1,3}(?=[^\W_])|(?<=[\w.:!?)])\*{1,3}(?!\w)")


def folded(text: str) -> str:
    """Text without citation markers, emphasis and code marks, with straight quotes and single blanks."""
    plain = _MARKER.sub("", text).translate(_QUOTES)
    return " ".join(_ASTERISKS.sub("", _UNDERSCORE.sub("", plain)).split())


_UNIT_START = re.compile(r"\n(?=[ \t]*(?:\n|\||[*+-][ \t]|\d{1,3}[.)][ \t]))")


def units(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the paragraphs, list items and table rows of a Markdown text, in order, without gaps."""
    start = 0
    for cut in _UNIT_START.finditer(text):
        yield start, cut.start()
        start = cut.start()
    yield start, len(text)


def gold_spans(text: str, patterns: Sequence[re.Pattern[str]]) -> list[tuple[int, int]]:
    """Spans of the fewest units of `text` that hold a match of every pattern: all of that length, in order."""
    spans = list(units(text))
    parts = [folded(text[start:end]) for start, end in spans]
    starts = list(accumulate((len(part) + 1 for part in parts[:-1]), initial=0))
    matches = [_units_of_matches(pattern, " ".join(parts), starts) for pattern in patterns]
    runs = [run for first in sorted({run[0] for each in matches for run in each}) if (run := _run(first, matches))]
    fewest = min((last - first for first, last in runs), default=0)
    return [(spans[first][0], spans[last][1]) for first, last in runs if last - first == fewest]


def _units_of_matches(pattern: re.Pattern[str], text: str, starts: Sequence[int]) -> list[tuple[int, int]]:
    """First and last unit of each match, where the units begin at `starts`."""
    ends = ((match.start(), max(match.start(), match.end() - 1)) for match in pattern.finditer(text))
    return [(bisect_right(starts, start) - 1, bisect_right(starts, end) - 1) for start, end in ends]


def _run(first: int, matches: Sequence[Sequence[tuple[int, int]]]) -> tuple[int, int] | None:
    """The shortest run of units from `first` on that holds one match of each list."""
    lasts = [min((last for begin, last in each if begin >= first), default=None) for each in matches]
    ends = [last for last in lasts if last is not None]
    return (first, max(ends)) if ends and len(ends) == len(lasts) else None


@dataclass(frozen=True, slots=True)
class GoldBlock:
    """Characters `start` to `end` of the canonical text of a document, in which a gold passage stands."""

    document_id: str
    start: int
    end: int

    def meets(self, document_id: str, start: int, end: int) -> bool:
        """Whether a span of a document has a character in common with this one."""
        return document_id == self.document_id and start < self.end and self.start < end


def names_source(gold: GoldPassage, source: str) -> bool:
    """Whether `source`, such as `file:///srv/docs/cli.md`, is the document of the gold passage."""
    return f"/{unquote(source)}".endswith(f"/{gold.document}")


def gold_blocks(question: GradedQuestion, documents: Sequence[SourceText]) -> tuple[GoldBlock, ...]:
    """Where the gold passages of a question stand in `documents`; a passage that is nowhere is left out."""
    return tuple(
        GoldBlock(document.id, *span)
        for gold in question.gold
        for document in documents
        if names_source(gold, document.source)
        for span in gold_spans(document.text, gold.patterns)
    )


def grade(question: GradedQuestion, answer: Answer, blocks: Sequence[GoldBlock]) -> Grade:
    """Grade an answer to a question whose gold passages stand in `blocks`.

    An answerable question is *answered* if the answer holds every pattern of one gold passage, *partly* if it cites
    a gold block and does not, and otherwise *wrong*. An abstention is *closest* if it shows a gold block among the
    closest passages, otherwise *refused*. To a question that is not answerable every answer is *wrong*, and an
    abstention is *closest* if it shows passages.
    """
    closest = _closest(answer)
    if answer.abstained:
        shown = _meet(blocks, closest) if question.answerable else bool(closest)
        return Grade.CLOSEST if shown else Grade.REFUSED
    text = folded(answer.text)
    if any(all(pattern.search(text) for pattern in gold.patterns) for gold in question.gold):
        return Grade.ANSWERED
    cited = [(citation.document_id, citation.start, citation.end) for citation in answer.citations]
    return Grade.PARTLY if _meet(blocks, cited) else Grade.WRONG


def _closest(answer: Answer) -> list[tuple[str, int, int]]:
    return [(each.document_id, each.start, each.end) for each in answer.closest]


def _meet(blocks: Sequence[GoldBlock], spans: Sequence[tuple[str, int, int]]) -> bool:
    return any(block.meets(*span) for block in blocks for span in spans)


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """An answer with its question and its grade."""

    question: GradedQuestion
    answer: Answer
    grade: Grade


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `total` answers, and the interval in which the share of all such answers lies (95 %, Wilson)."""

    hits: int
    total: int
    interval: Interval

    @property
    def share(self) -> float:
        """The part of the whole, from 0 to 1; 0 of none."""
        return self.hits / self.total if self.total else 0.0


MEASURES: Mapping[str, tuple[bool, frozenset[Grade]]] = {
    "answered": (True, frozenset({Grade.ANSWERED})),
    "answered, or the gold block shown": (True, frozenset({Grade.ANSWERED, Grade.PARTLY, Grade.CLOSEST})),
    "wrong": (True, frozenset({Grade.WRONG})),
    "unanswerable, not answered": (False, frozenset({Grade.CLOSEST, Grade.REFUSED})),
}
"""The shares that are reported: of which questions, answerable ones or the others, and which grades count."""


def shares(graded: Sequence[GradedAnswer]) -> dict[str, Share]:
    """Each of `MEASURES` over the graded answers."""
    return {name: _share(graded, answerable, counted) for name, (answerable, counted) in MEASURES.items()}


def _share(graded: Sequence[GradedAnswer], answerable: bool, counted: frozenset[Grade]) -> Share:
    grades = [each.grade for each in graded if each.question.answerable is answerable]
    hits = sum(each in counted for each in grades)
    return Share(hits, len(grades), wilson_interval(hits, len(grades)))


def counts_by_kind(graded: Sequence[GradedAnswer]) -> dict[str, Counter[Grade]]:
    """For each kind of question, in alphabetical order, how many answers have each grade."""
    found: dict[str, Counter[Grade]] = {kind: Counter() for kind in sorted({each.question.kind for each in graded})}
    for each in graded:
        found[each.question.kind][each.grade] += 1
    return found
