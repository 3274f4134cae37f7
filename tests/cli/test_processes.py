"""The command in separate processes: beside a server, interrupted, and with a closed pipe."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ragstone.cli.command import ExitCode
from tests.cli.conftest import NOTICE
from tests.commands import running_server
from tests.llm.mock_upstreams import openai_events, serving, then_resetting

SMALL = {"RAGSTONE_EMBEDDING__MODEL": "hashing", "RAGSTONE_PARSER__PROCESSES": "1"}
BUFFERED = {"PYTHONUNBUFFERED": ""}  # as in a user's shell: a closed pipe shows when the buffer is written


@contextmanager
def started(
    data_dir: Path, *arguments: str | Path, stdout: int = subprocess.PIPE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ragstone", "--data-dir", str(data_dir), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **SMALL, **BUFFERED, **environment},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def finished(data_dir: Path, *arguments: str | Path) -> tuple[int, str, str]:
    with started(data_dir, *arguments) as process:
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr


def write_notes(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"note-{number}.md").write_text(f"# Note {number}\n\nRoom {number} is blue.\n", encoding="utf-8")
    return folder


def test_a_server_and_commands_share_one_data_directory(tmp_path):
    data = tmp_path / "data"
    (tmp_path / "notice.md").write_text(NOTICE, encoding="utf-8")
    notes = write_notes(tmp_path / "notes", 3)
    with (
        running_server(data, **SMALL),
        started(data, "ingest", tmp_path / "notice.md") as first,
        started(data, "ingest", notes) as second,
    ):
        for process in (first, second):
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == ExitCode.OK, stderr
        code, answer, stderr = finished(data, "ask", "How long is the notice period?")
        assert (code, "six weeks" in answer) == (ExitCode.OK, True), stderr
        code, documents, _ = finished(data, "documents", "--json")
        assert [document["state"] for document in json.loads(documents)] == ["ready"] * 4


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts its background jobs with SIGINT ignored, and children inherit that; here they do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_ingestion_is_kept_and_resumed(tmp_path):
    data, notes = tmp_path / "data", write_notes(tmp_path / "notes", 200)
    with started(data, "ingest", notes) as process:
        assert process.stderr
        assert process.stderr.readline() == "0 of 200 files\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == ExitCode.INTERRUPTED
    assert "Interrupted." in stderr
    assert "Traceback" not in stderr
    [job] = json.loads(finished(data, "jobs", "--json")[1])
    assert f"ragstone jobs {job['id']} --resume" in stderr
    assert job["state"] != "done"
    code, stdout, stderr = finished(data, "jobs", job["id"], "--resume")
    assert (code, "200 files: 200 ingested" in stdout) == (ExitCode.OK, True), stderr


def test_a_reader_that_leaves_early_ends_the_command_quietly(tmp_path):
    write_notes(tmp_path / "notes", 1)
    finished(tmp_path / "data", "ingest", tmp_path / "notes")
    with started(tmp_path / "data", "documents", "--json") as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == ExitCode.FAILED


def test_on_a_terminal_the_answer_is_streamed_and_printed_once(tmp_path):
    data = tmp_path / "data"
    (tmp_path / "notice.md").write_text(NOTICE, encoding="utf-8")
    finished(data, "ingest", tmp_path / "notice.md")
    answer, sources = shown_on_a_terminal(data, "ask", "How long is the notice period?").split("\nSources\n")
    assert answer.count("six weeks") == 1
    assert "quoted word for word" in sources


async def test_an_answer_that_the_model_broke_off_starts_again_on_the_terminal(tmp_path):
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    data = tmp_path / "data"
    (tmp_path / "notice.md").write_text(NOTICE, encoding="utf-8")
    finished(data, "ingest", tmp_path / "notice.md")
    unfinished = openai_events(["It is seven ", "months [1]. And ", "so "], finish=None, done=False)
    async with serving(then_resetting(unfinished)) as upstream:
        model = {
            "RAGSTONE_ANSWER__PROVIDER": "openai",
            "RAGSTONE_ANSWER__MODEL": "m",
            "RAGSTONE_ANSWER__BASE_URL": upstream.url,
        }
        question = "How long is the notice period?"
        shown = await asyncio.to_thread(shown_on_a_terminal, data, "ask", question, **model)
    void, answer = shown.split("The answer starts again.")
    assert "seven" in void
    assert "six weeks" in answer
    assert "seven" not in answer


def shown_on_a_terminal(data_dir: Path, *arguments: str | Path, **environment: str) -> str:
    ours, theirs = os.openpty()
    with started(data_dir, *arguments, stdout=theirs, **environment) as process:
        os.close(theirs)
        shown = all_of(ours)
        assert process.wait(timeout=60) == ExitCode.OK
    return shown.replace("\r\n", "\n")


def all_of(terminal: int) -> str:
    """What was written to a pseudo-terminal until its other side was closed, which Linux reports as an error."""
    parts = []
    with suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as reader:
        while part := reader.read(4096):
            parts.append(part)
    return b"".join(parts).decode()


def test_a_second_server_on_the_same_port_says_so(tmp_path):
    with running_server(tmp_path / "data", **SMALL) as address:
        code, stdout, stderr = finished(tmp_path / "data", "serve", "--port", address.rpartition(":")[2])
    assert (code, stdout) == (ExitCode.CONFIGURATION, "")
    assert "taken" in stderr


def test_a_data_directory_that_cannot_be_used_is_one_sentence_and_a_code(tmp_path):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    code, stdout, stderr = finished(tmp_path / "data", "documents")
    assert (code, stdout, len(stderr.splitlines())) == (ExitCode.CONFIGURATION, "", 1)
    assert "RAGSTONE_DATA_DIR" in stderr
