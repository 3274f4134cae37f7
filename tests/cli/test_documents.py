"""`ragstone documents`: list, show, remove."""

from __future__ import annotations

import json

import pytest

from ragstone.cli.command import ExitCode
from tests.cli.conftest import LEAVE


def ids(cli) -> dict[str, str]:
    return {document["title"]: document["id"] for document in json.loads(cli("documents", "--json").stdout)}


def test_list_is_what_documents_does_by_default(filled):
    assert filled("documents").stdout == filled("documents", "list").stdout
    header, *rows = filled("documents").stdout.splitlines()
    assert header == "ID\tSTATE\tCHUNKS\tTITLE\tSOURCE"
    assert [row.rsplit("/", 1)[-1] for row in rows] == ["leave.md", "notice.md"]


def test_a_limit_shows_the_first_ones(filled):
    [document] = json.loads(filled("documents", "--limit", "1", "--json").stdout)
    assert document["source"].endswith("leave.md")


def test_show_writes_the_text_that_citations_count_in(filled):
    result = filled("documents", "show", ids(filled)["Leave"])
    assert result.exit_code == ExitCode.OK
    assert result.stdout.strip() == LEAVE.strip()


def test_chunks_are_spans_of_the_text(filled):
    document_id = ids(filled)["Leave"]
    text = json.loads(filled("documents", "show", document_id, "--json").stdout)["text"]
    chunks = json.loads(filled("documents", "show", document_id, "--chunks", "--json").stdout)["chunks"]
    assert chunks
    assert all(text[chunk["start"] : chunk["end"]] == chunk["text"] for chunk in chunks)
    assert "--- chunk 0, characters 0-" in filled("documents", "show", document_id, "--chunks").stdout


def test_a_removed_document_is_gone_and_its_file_stays(cli, handbook):
    cli("ingest", handbook)
    result = cli("documents", "remove", ids(cli)["Leave"])
    assert result.exit_code == ExitCode.OK
    assert "Removed Leave" in result.stdout
    assert list(ids(cli)) == ["Notice"]
    assert (handbook / "leave.md").exists()


def test_one_unknown_id_among_several_removes_nothing(cli, handbook):
    cli("ingest", handbook)
    result = cli("documents", "remove", ids(cli)["Leave"], "nope")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert set(ids(cli)) == {"Leave", "Notice"}


@pytest.mark.parametrize("verb", ["show", "remove"])
def test_an_unknown_document_is_not_found(filled, verb):
    result = filled("documents", verb, "nope")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "'nope'" in result.stderr


def test_the_text_of_a_document_cannot_steer_the_terminal(cli, tmp_path):
    name = "a[red]b\u202egpj.md"
    (tmp_path / name).write_text("# Title\n\nRight-to-left \u202eoverride.\n", encoding="utf-8")
    cli("ingest", tmp_path / name)
    [document] = json.loads(cli("documents", "--json").stdout)
    shown = cli("documents").stdout + cli("documents", "show", document["id"]).stdout
    assert "\u202e" not in shown
