"""The questions of `benchmarks/questions`: each has its evidence, and the two files share no document."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from benchmarks.splits import is_held_out
from ragstone.evaluation.answers import GoldPassage, GradedQuestion, folded, gold_spans, read_questions

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "benchmarks" / "questions"
DEV, HELD_OUT = FOLDER / "dev.jsonl", FOLDER / "held_out.jsonl"
QUESTIONS = [*read_questions(DEV), *read_questions(HELD_OUT)]
OURS = {"ragstone": REPOSITORY, "documents": FOLDER / "documents"}
FOREIGN = {"rust": "rust-book-md", "fastapi": "fastapi-docs"}


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def stands_in(gold: GoldPassage, folder: Path) -> bool:
    text = folded(text_of(folder / gold.document))
    return all(pattern.search(text) for pattern in gold.patterns)


def of_corpora(corpora: set[str]) -> list[GradedQuestion]:
    return [question for question in QUESTIONS if question.corpus in corpora and question.answerable]


def test_ids_and_questions_are_unique():
    assert max(Counter(question.id for question in QUESTIONS).values()) == 1
    asked = Counter((question.corpus, question.question, question.history) for question in QUESTIONS)
    assert max(asked.values()) == 1


@pytest.mark.parametrize(("path", "held_out"), [(DEV, False), (HELD_OUT, True)], ids=["dev", "held out"])
def test_a_question_is_in_the_file_of_its_document(path: Path, held_out: bool):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    documents = {row["id"]: row["gold"][0]["document"] if row["gold"] else row["near"] for row in rows}
    assert [key for key, document in documents.items() if is_held_out(document) is not held_out] == []


def test_every_kind_is_in_both_files():
    kinds = {path: {question.kind for question in read_questions(path)} for path in (DEV, HELD_OUT)}
    assert kinds[DEV] == kinds[HELD_OUT]


def test_a_question_about_documents_of_this_repository_has_its_evidence():
    """One gold passage is enough: the pages of `docs/` change with the code."""
    lost = [
        question.id
        for question in of_corpora(set(OURS))
        if not any(stands_in(gold, OURS[question.corpus]) for gold in question.gold)
    ]
    assert lost == []


def test_a_question_about_public_documents_has_all_its_evidence(open_data: Path):
    lost = [
        (question.id, gold.document)
        for question in of_corpora(set(FOREIGN))
        for gold in question.gold
        if not stands_in(gold, open_data / "docs" / FOREIGN[question.corpus])
    ]
    assert lost == []


def test_the_evidence_of_a_question_is_a_short_block():
    """A block that is a large part of its document would make every citation of the document right."""
    for question in of_corpora({"documents"}):
        for gold in (gold for gold in question.gold if gold.document.endswith(".md")):
            text = text_of(OURS["documents"] / gold.document)
            blocks = gold_spans(text, gold.patterns)
            assert blocks, question.id
            assert sum(end - start for start, end in blocks) < len(text) / 2, question.id
