"""`ragstone ask` and `ragstone search`."""

from __future__ import annotations

import json

import pytest

from ragstone.cli.command import ExitCode

QUESTION = "How many days of paid leave do employees have?"


def test_an_answer_is_followed_by_its_sources(filled):
    result = filled("ask", QUESTION)
    assert result.exit_code == ExitCode.OK
    answer, sources = result.stdout.split("\nSources\n")
    assert "28 days" in answer
    place, quote, *_ = sources.splitlines()
    assert place.startswith("[1] /")
    assert place.endswith("/leave.md: Leave")
    assert quote == '    quoted word for word: "Employees have 28 days of paid leave per year."'


def test_json_is_the_answer_with_exact_spans(filled):
    answer = json.loads(filled("ask", QUESTION, "--json").stdout)
    assert answer["question"] == QUESTION
    assert answer["conversation_id"]
    citation = answer["citations"][0]
    text = json.loads(filled("documents", "show", citation["document_id"], "--json").stdout)["text"]
    assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert not answer["abstained"]


def test_a_question_may_come_from_stdin(filled):
    assert "28 days" in filled("ask", "-", stdin=f"{QUESTION}\n").stdout


def test_an_abstention_has_a_code_of_its_own(filled):
    result = filled("ask", "Who won the chess world championship in 1972?")
    assert result.exit_code == ExitCode.ABSTAINED
    assert result.stdout
    assert "Sources" not in result.stdout


def test_a_conversation_is_gone_on_with(filled):
    first = json.loads(filled("ask", "How long is the notice period?", "--json").stdout)
    second = filled("ask", "And to the end of what?", "--conversation", first["conversation_id"], "--json")
    answer = json.loads(second.stdout)
    assert answer["conversation_id"] == first["conversation_id"]
    assert "quarter" in answer["text"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["ask", "  "], ExitCode.USAGE, "empty"),
        (["ask", "x" * 5000], ExitCode.USAGE, "4000"),
        (["ask", QUESTION, "--conversation", "nope"], ExitCode.NOT_FOUND, "nope"),
        (["ask", QUESTION, "-c", "nowhere"], ExitCode.NOT_FOUND, "nowhere"),
        (["ask", QUESTION, "-c", "Staff only"], ExitCode.USAGE, "'Staff only' is not a collection name"),
        (["search", ""], ExitCode.USAGE, "empty"),
        (["search", "leave", "-c", "nowhere"], ExitCode.NOT_FOUND, "nowhere"),
    ],
)
def test_what_cannot_be_answered_ends_with_a_sentence(filled, arguments, code, sentence):
    result = filled(*arguments)
    assert result.exit_code == code
    assert sentence in result.stderr
    assert result.stdout == ""


def test_a_question_to_an_empty_data_directory_says_how_to_begin(cli):
    result = cli("ask", QUESTION)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "ragstone ingest" in result.stderr


def test_search_shows_rank_and_score_of_each_stage(filled):
    header, first, *_ = filled("search", "parental leave").stdout.splitlines()
    assert header.split("\t") == ["#", "DENSE", "SPARSE", "FUSED", "PASSAGE"]
    assert first.startswith("1\t")
    assert "1 (" in first
    assert "Leave" in first


def test_search_as_json_says_where_each_stage_put_a_passage(filled):
    found = json.loads(filled("search", "notice period", "--limit", "1", "--json").stdout)
    [passage] = found["passages"]
    assert passage["title"] == "Notice"
    assert passage["hit"]["stages"]["sparse"]["rank"] == 1
    assert found["degraded"] == []
