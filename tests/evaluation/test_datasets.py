"""Test collections as they come from others."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.errors import InvalidInput
from ragstone.evaluation.datasets import read_collection


def write(folder: Path, **files: str) -> Path:
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.tsv"}
    for key, text in files.items():
        (folder / names[key]).write_text(text, encoding="utf-8")
    return folder


CORPUS = '{"_id": "1", "title": "T", "text": "one"}\n{"id": "a\\u2028b", "text": "two\u2028lines"}\n'
QUERIES = '{"id": "q1", "text": "?"}\n{"id": "q2", "text": "unanswered"}\n{"id": "q3", "text": "zero"}\n'
QRELS = 'query-id\tcorpus-id\tscore\nq1\t1\t2\nq3\t1\t0\nq1\t"odd" name\t1\n'


def test_documents_questions_and_grades_are_read(tmp_path: Path):
    collection = read_collection(write(tmp_path, corpus=CORPUS, queries=QUERIES, qrels=QRELS))
    assert collection.documents["1"].title == "T"
    assert collection.documents["a\u2028b"].text == "two\u2028lines"
    assert collection.relevance["q1"] == {"1": 2, '"odd" name': 1}


def test_questions_without_a_relevant_document_are_left_out(tmp_path: Path):
    collection = read_collection(write(tmp_path, corpus=CORPUS, queries=QUERIES, qrels=QRELS))
    assert list(collection.questions) == ["q1"]


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"qrels\.tsv"):
        read_collection(write(tmp_path, corpus=CORPUS, queries=QUERIES))


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"corpus": '{"id": "1"}\n'}, r"corpus\.jsonl, line 1"),
        ({"corpus": "[1]\n"}, r"corpus\.jsonl, line 1"),
        ({"queries": QUERIES + "{\n"}, r"queries\.jsonl, line 4"),
        ({"qrels": "header\nq1\t1\tyes\n"}, r"qrels\.tsv, line 2"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, changed: dict[str, str], place: str):
    files = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS, **changed}
    with pytest.raises(InvalidInput, match=place):
        read_collection(write(tmp_path, **files))


def test_an_open_collection_is_read_whole(open_data: Path):
    collection = read_collection(open_data / "scifact")
    assert len(collection.documents) == 5183
    assert len(collection.questions) > 0
    assert all(set(collection.relevance[q]) <= set(collection.documents) for q in collection.questions)
