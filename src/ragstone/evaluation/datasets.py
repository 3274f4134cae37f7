"""Reads a test collection: documents, questions, and which documents answer which question.

The layout is BEIR's (Thakur et al., NeurIPS 2021): `corpus.jsonl` and `queries.jsonl`
with `id` (or `_id`), `text` and, for documents, `title`; `qrels.tsv` with a header line
and the columns question, document, grade.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ragstone.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TestDocument:
    """One document of a collection."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class TestCollection:
    """Documents by id, questions by id, and for each question the grades of documents.

    `questions` holds only those with a document of grade 1 or more, in file order.
    """

    __test__ = False  # "test collection" is the term of information retrieval; pytest must not collect it

    documents: Mapping[str, TestDocument]
    questions: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]


def read_collection(folder: Path) -> TestCollection:
    """Read the test collection in `folder`.

    Raises:
        InvalidInput: a file is missing, or a line is not as the layout has it.
    """
    relevance = _relevance(folder / "qrels.tsv")
    documents = {
        _id(row): TestDocument(_id(row), row.get("title", ""), row["text"]) for row in _rows(folder / "corpus.jsonl")
    }
    questions = {_id(row): row["text"] for row in _rows(folder / "queries.jsonl")}
    answered = {key: text for key, text in questions.items() if any(relevance.get(key, {}).values())}
    return TestCollection(documents, answered, relevance)


def _relevance(path: Path) -> dict[str, dict[str, int]]:
    relevance: dict[str, dict[str, int]] = {}
    for number, line in enumerate(csv.reader(_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE), start=2):
        try:
            question, document, grade = line
            relevance.setdefault(question, {})[document] = int(grade)
        except ValueError as error:
            raise InvalidInput(
                f"{path.name}, line {number}: expected question, document and a whole grade, separated by tabs."
            ) from error
    return relevance


def _rows(path: Path) -> Iterator[dict[str, str]]:
    for number, line in enumerate(_lines(path, header=False), start=1):
        try:
            row = json.loads(line)
            _id(row), row["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path.name}, line {number}: expected a JSON object with id and text.") from error
        yield row


def _lines(path: Path, *, header: bool = True) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as UTF-8 text; a test collection needs it.") from error
    return [line for line in lines[1 if header else 0 :] if line.strip()]


def _id(row: Mapping[str, str]) -> str:
    return str(row["id"] if "id" in row else row["_id"])
