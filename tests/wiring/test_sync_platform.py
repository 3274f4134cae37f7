"""The library without `async`: scripts, notebooks with a running loop, several at once, Ctrl-C, and the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ragstone
from ragstone.chat.ask import Finished
from ragstone.errors import ConfigurationError, Conflict, InvalidQuestion
from tests.platforms import small_settings

TEXT = "# Tower\n\nThe tower is 40 metres tall.\n"
QUESTION = "How tall is the tower?"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "tower.md").write_text(TEXT, encoding="utf-8")
    return tmp_path / "tower.md"


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name == "ragstone-sync"}


def test_a_script_ingests_searches_asks_and_removes(tmp_path: Path, notes: Path):
    with ragstone.open_sync(small_settings(tmp_path / "data")) as platform:
        assert platform.ingest(notes).done == 1
        assert platform.search(QUESTION).passages
        assert "40 metres" in platform.ask(QUESTION).text
        (document,) = platform.documents()
        platform.remove(document.id)
        assert platform.documents() == []
    assert not threads()


async def test_it_works_inside_a_running_event_loop(tmp_path: Path, notes: Path):
    with ragstone.open_sync(small_settings(tmp_path / "data")) as platform:
        platform.ingest(notes)
        assert "40 metres" in platform.ask(QUESTION).text
    assert not threads()


def test_an_answer_streams_and_a_conversation_goes_on(tmp_path: Path, notes: Path):
    with ragstone.open_sync(small_settings(tmp_path / "data")) as platform:
        platform.ingest(notes)
        *_, last = platform.stream(QUESTION)
        assert isinstance(last, Finished)
        assert platform.ask("And how tall is it?", conversation_id=last.conversation_id).text
        abandoned = platform.stream(QUESTION)
        next(abandoned)


def test_two_are_open_at_once_and_threads_share_one(tmp_path: Path, notes: Path):
    with (
        ragstone.open_sync(small_settings(tmp_path / "one")) as one,
        ragstone.open_sync(small_settings(tmp_path / "two")) as two,
        ThreadPoolExecutor(4) as pool,
    ):
        one.ingest(notes)
        two.ingest(notes)
        answers = list(pool.map(lambda platform: platform.ask(QUESTION).text, [one, two, one, two]))
        assert all("40 metres" in answer for answer in answers)
    assert not threads()


def test_errors_reach_the_caller_and_leave_it_open(tmp_path: Path):
    with ragstone.open_sync(small_settings(tmp_path / "data")) as platform:
        with pytest.raises(InvalidQuestion):
            platform.ask("   ")
        assert platform.documents() == []


def test_after_the_close_each_call_says_so(tmp_path: Path):
    platform = ragstone.open_sync(small_settings(tmp_path / "data"))
    platform.close()
    platform.close()
    with pytest.raises(Conflict, match="open_sync"):
        platform.ask(QUESTION)
    with pytest.raises(Conflict, match="open_sync"):
        next(platform.stream(QUESTION))
    assert not threads()


def test_what_cannot_be_opened_leaves_no_thread(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        ragstone.open_sync(small_settings(tmp_path / "file"))
    assert not threads()


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "RAGSTONE_DATA_DIR": str(folder / "data"), "HOME": str(folder)}
    small = {"RAGSTONE_EMBEDDING__MODEL": "hashing", "RAGSTONE_INDEX__ENGINE": "memory"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment | small,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_script_that_forgets_to_close_ends_cleanly(tmp_path: Path):
    done = run(tmp_path, "import ragstone; platform = ragstone.open_sync(); print(len(platform.documents()))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_ctrl_c_ends_the_call_and_not_the_platform(tmp_path: Path):
    script = """
        import os, signal, threading, ragstone
        with ragstone.open_sync() as platform:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                while True:
                    platform.documents()
            except KeyboardInterrupt:
                print("interrupted", len(platform.documents()))
    """
    done = run(tmp_path, script)
    assert (done.returncode, done.stdout) == (0, "interrupted 0\n"), done.stderr
    assert signal.getsignal(signal.SIGINT) is not None
