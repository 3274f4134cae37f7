"""Grading by rule: which answer has which grade, and where the gold block of a question is."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from ragstone.errors import InvalidInput
from ragstone.evaluation.answers import (
    GoldBlock,
    GoldPassage,
    Grade,
    GradedAnswer,
    GradedQuestion,
    SourceText,
    counts_by_kind,
    folded,
    gold_blocks,
    gold_spans,
    grade,
    read_questions,
    shares,
)
from ragstone.vocabulary import Answer, Citation, ClosestSection, Outcome, Usage, Verdict

TEXT = """# Parking

Parking is free on weekends.

| Day | Fee |
|---|---|
| Monday | 2 euros |
| Tuesday | 3 euros |

- Bring a coin.
- Keep the ticket.
"""
DOCUMENT = SourceText("d1", "file:///srv/my%20docs/parking.md", TEXT)


def patterns(*strings: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(string, re.IGNORECASE) for string in strings)


def question(*strings: str, answerable: bool = True) -> GradedQuestion:
    gold = (GoldPassage("my docs/parking.md", patterns(*strings)),) if answerable else ()
    return GradedQuestion("q1", "how-to", "notes", "When is parking free?", (), gold, answerable)


def span(words: str) -> tuple[int, int]:
    start = TEXT.index(words)
    return start, start + len(words)


def cited(words: str) -> Citation:
    start, end = span(words)
    place = ("d1", 1, "Parking", DOCUMENT.source, ("Parking",), None)
    return Citation(1, *place, start, end, words, 0, 1, Verdict.QUOTED, 1.0)


def answer(text: str, *quotes: str) -> Answer:
    return Answer(text, tuple(cited(quote) for quote in quotes), (), Usage("extractive"))


def abstention(*shown: str) -> Answer:
    sections = []
    for words in shown:
        start, end = span(words)
        place = ("d1", 1, "Parking", DOCUMENT.source, ("Parking",), None)
        sections.append(ClosestSection(1, *place, start, end, words, start, end))
    outcome = Outcome.CLOSEST if shown else Outcome.NOTHING
    return Answer("Nothing says so.", (), (), Usage("extractive"), outcome=outcome, closest=tuple(sections))


WEEKENDS = question("free on weekends")
BLOCKS = gold_blocks(WEEKENDS, [DOCUMENT])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer("Parking is **free** on\nweekends [1].", "Parking is free on weekends."), Grade.ANSWERED),
        (answer("Parking is free [1].", "Parking is free"), Grade.PARTLY),
        (answer("Bring a coin. [1]", "Bring a coin."), Grade.WRONG),
        (abstention("Parking is free on weekends."), Grade.CLOSEST),
        (abstention("Keep the ticket."), Grade.REFUSED),
        (abstention(), Grade.REFUSED),
    ],
)
def test_an_answerable_question(given: Answer, expected: Grade):
    assert grade(WEEKENDS, given, BLOCKS) is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer("Bring a coin. [1]", "Bring a coin."), Grade.WRONG),
        (abstention("Keep the ticket."), Grade.CLOSEST),
        (abstention(), Grade.REFUSED),
    ],
)
def test_a_question_without_an_answer(given: Answer, expected: Grade):
    assert grade(question(answerable=False), given, ()) is expected


def test_all_strings_of_one_gold_passage_are_needed():
    two = replace(WEEKENDS, gold=(*question("coin", "ticket").gold, *question("Tuesday", "3 euros").gold))
    blocks = gold_blocks(two, [DOCUMENT])
    assert grade(two, answer("On Tuesday it is 3 euros.", "| Tuesday | 3 euros |"), blocks) is Grade.ANSWERED
    assert grade(two, answer("Keep the ticket: 3 euros.", "Keep the ticket."), blocks) is Grade.PARTLY


@pytest.mark.parametrize(
    ("strings", "block"),
    [
        (["Tuesday"], "| Tuesday | 3 euros |"),
        (["Tuesday.{0,5}3 euros"], "| Tuesday | 3 euros |"),
        (["2 euros", "3 euros"], "| Monday | 2 euros |\n| Tuesday | 3 euros |"),
        (["coin", "ticket"], "- Bring a coin.\n- Keep the ticket."),
        (["weekends"], "Parking is free on weekends."),
    ],
)
def test_a_gold_block_is_the_shortest_run_of_units(strings: list[str], block: str):
    assert [TEXT[start:end].strip() for start, end in gold_spans(TEXT, patterns(*strings))] == [block]


def test_each_run_of_the_same_length_is_a_gold_block():
    assert [TEXT[start:end].strip() for start, end in gold_spans(TEXT, patterns("euros"))] == [
        "| Monday | 2 euros |",
        "| Tuesday | 3 euros |",
    ]


def test_a_line_that_begins_with_a_dash_is_no_item():
    text = "A crate is small\n--> the rest of its paragraph.\n\n- An item"
    assert [text[start:end].strip() for start, end in gold_spans(text, patterns("rest"))] == [
        "A crate is small\n--> the rest of its paragraph."
    ]


def test_a_text_without_the_words_has_no_gold_block():
    assert gold_spans(TEXT, patterns("weekends", "sundays")) == []
    assert gold_blocks(question("sundays"), [DOCUMENT]) == ()


def test_a_block_belongs_to_its_document():
    start, end = span("Parking is free on weekends.")
    assert all(block.meets("d1", start, end) for block in BLOCKS)
    assert not any(block.meets("d2", start, end) for block in BLOCKS)
    assert not GoldBlock("d1", 0, 5).meets("d1", 5, 9)
    assert gold_blocks(WEEKENDS, [replace(DOCUMENT, source="file:///srv/other docs/parking.md")]) == ()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a **bold**, _slanted_ `code` [12] word", "a bold, slanted code word"),
        ("2 * 3 and `**/*.md` and __init__", "2 * 3 and **/*.md and __init__"),
        ("It’s\n“so”", 'It\'s "so"'),
    ],
)
def test_folded_text_has_no_markup_and_keeps_signs(text: str, plain: str):
    assert folded(text) == plain


def test_shares_are_counted_apart_for_questions_without_an_answer():
    none = question(answerable=False)
    given = answer("Parking is free on weekends.")
    graded = [
        GradedAnswer(WEEKENDS, given, Grade.ANSWERED),
        GradedAnswer(WEEKENDS, given, Grade.CLOSEST),
        GradedAnswer(none, given, Grade.WRONG),
        GradedAnswer(replace(none, kind="vague"), given, Grade.REFUSED),
    ]
    found = {name: (each.hits, each.total) for name, each in shares(graded).items()}
    assert found == {
        "answered": (1, 2),
        "answered, or the gold block shown": (2, 2),
        "wrong": (0, 2),
        "unanswerable, not answered": (1, 2),
    }
    assert shares(graded)["answered"].share == 0.5
    assert counts_by_kind(graded)["how-to"] == {Grade.ANSWERED: 1, Grade.CLOSEST: 1, Grade.WRONG: 1}


ROW = {"id": "1", "kind": "k", "corpus": "c", "question": "q", "answerable": True}
GOLD = {"document": "d", "strings": ["("]}


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"id": "1"}',
        json.dumps({**ROW, "gold": []}),
        json.dumps({**ROW, "id": 1, "answerable": False, "gold": []}),
        json.dumps({**ROW, "gold": [GOLD]}),
        json.dumps({**ROW, "gold": [{**GOLD, "strings": []}]}),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path, line: str):
    file = tmp_path / "questions.jsonl"
    file.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="line 2"):
        read_questions(file)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="nowhere"):
        read_questions(tmp_path / "nowhere.jsonl")
