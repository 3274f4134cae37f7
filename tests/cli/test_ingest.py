"""`ragstone ingest`, `jobs` and `rebuild`."""

from __future__ import annotations

import json

from ragstone.cli.command import ExitCode


def test_a_folder_is_ingested_and_summed_up(cli, handbook):
    result = cli("ingest", handbook)
    assert result.exit_code == ExitCode.OK
    assert "2 files: 2 ingested" in result.stdout
    assert "2 of 2 files" in result.stderr


def test_unchanged_files_are_skipped_and_a_vanished_one_is_pruned(cli, handbook):
    cli("ingest", handbook)
    assert "2 unchanged" in cli("ingest", handbook).stdout
    (handbook / "notice.md").unlink()
    assert "1 unchanged, 1 removed" in cli("ingest", handbook, "--prune").stdout


def test_json_is_the_job_with_the_fate_of_each_file(cli, handbook):
    job = json.loads(cli("ingest", handbook, "--json").stdout)
    assert (job["state"], job["done"], job["failed"]) == ("done", 2, 0)
    assert sorted(file["source"].rsplit("/", 1)[-1] for file in job["files"]) == ["leave.md", "notice.md"]
    assert json.loads(cli("jobs", job["id"], "--json").stdout) == job


def test_a_pattern_chooses_files_and_a_collection_keeps_them_apart(cli, handbook):
    result = cli("ingest", handbook, "--pattern", "l*.md", "--collection", "work")
    assert "1 ingested" in result.stdout
    assert "leave.md" in cli("documents", "-c", "work").stdout
    assert "No documents yet" in cli("documents").stderr


def test_a_document_from_stdin_is_named_by_its_title(cli):
    result = cli("ingest", "-", "--title", "Parking rules", stdin="# Parking\n\nParking is free on weekends.\n")
    assert result.exit_code == ExitCode.OK
    [document] = json.loads(cli("documents", "--json").stdout)
    assert (document["source"], document["title"]) == ("text:Parking rules", "Parking rules")


def test_files_that_fail_are_listed_with_their_reason_and_the_others_are_in(cli, handbook):
    (handbook / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a document")
    result = cli("ingest", handbook)
    assert result.exit_code == ExitCode.PARTLY
    assert "2 ingested, 1 failed" in result.stdout
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Failed:")]
    assert "broken.pdf: " in line
    assert line.endswith(".")


def test_an_ingestion_of_nothing_but_broken_files_has_failed(cli, tmp_path):
    (tmp_path / "empty.md").write_bytes(b"")
    result = cli("ingest", tmp_path / "empty.md")
    assert result.exit_code == ExitCode.FAILED
    assert "Failed: " in result.stderr


def test_arguments_that_cannot_be_meant_are_refused_before_anything_is_done(cli, handbook, tmp_path):
    missing = cli("ingest", handbook, tmp_path / "nowhere")
    assert (missing.exit_code, "nowhere" in missing.stderr) == (ExitCode.NOT_FOUND, True)
    nameless = cli("ingest", "-", stdin="text")
    assert (nameless.exit_code, "--title" in nameless.stderr) == (ExitCode.USAGE, True)
    mixed = cli("ingest", "-", handbook, "--title", "x")
    assert (mixed.exit_code, "one document" in mixed.stderr) == (ExitCode.USAGE, True)
    misplaced = cli("ingest", handbook, "--title", "x")
    assert (misplaced.exit_code, "from stdin" in misplaced.stderr) == (ExitCode.USAGE, True)
    assert not (tmp_path / "data").exists()


def test_too_much_on_stdin_is_refused_with_the_setting_that_allows_it(cli):
    result = cli("ingest", "-", "--title", "big", stdin="x" * 101, RAGSTONE_INGESTION__MAX_FILE_BYTES="100")
    assert result.exit_code == ExitCode.USAGE
    assert "RAGSTONE_INGESTION__MAX_FILE_BYTES" in result.stderr


def test_jobs_are_listed_newest_first(cli, handbook):
    assert "No jobs yet" in cli("jobs").stderr
    cli("ingest", handbook / "leave.md")
    cli("ingest", handbook / "notice.md")
    newest, older = json.loads(cli("jobs", "--json").stdout)
    assert newest["created_at"] >= older["created_at"]
    table = cli("jobs").stdout.splitlines()
    assert table[0].startswith("ID\tSTATE")
    assert [row.split("\t")[0] for row in table[1:]] == [newest["id"], older["id"]]


def test_an_unknown_job_is_not_found(cli):
    result = cli("jobs", "nope")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "nope" in result.stderr


def test_resuming_a_finished_job_shows_it(cli, handbook):
    job = json.loads(cli("ingest", handbook, "--json").stdout)
    result = cli("jobs", job["id"], "--resume")
    assert result.exit_code == ExitCode.OK
    assert "2 ingested" in result.stdout
    assert cli("jobs", "--resume").exit_code == ExitCode.USAGE


def test_the_index_is_made_again_with_every_chunk(cli, handbook):
    job = json.loads(cli("ingest", handbook, "--json").stdout)
    result = cli("rebuild", "--json")
    assert result.exit_code == ExitCode.OK
    assert json.loads(result.stdout) == {"chunks": job["chunks"]}
