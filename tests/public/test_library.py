"""What a user of the library relies on. It imports nothing of this repository but the package `ragstone`.

So it also runs against an installation from the wheels, where the repository is not at hand.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

import ragstone

PAGES = {
    "leave.md": "# Leave\n\nEmployees have 28 days of paid leave. Unused days expire on 31 March.\n",
    "notice.md": "# Notice\n\nThe notice period is six weeks to the end of a quarter.\n",
}


@pytest.fixture
def handbook(tmp_path):
    """A folder with two pages."""
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def data_dir(tmp_path):
    """A data directory that does not exist yet."""
    return tmp_path / "data"


def test_every_public_name_is_there():
    assert all(getattr(ragstone, name) is not None for name in ragstone.__all__)
    assert ragstone.__version__ == version("ragstone")
    assert files("ragstone").joinpath("py.typed").is_file()


def test_the_command_is_installed_with_the_library():
    command = Path(sys.executable).with_name("ragstone")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ragstone.__version__


def test_an_answer_quotes_the_document_that_it_cites(handbook, data_dir):
    async def story():
        async with ragstone.open_platform(data_dir=data_dir) as platform:
            job = await platform.ingest(handbook)
            return job, await platform.ask("How many days of paid leave do employees have?")

    job, answer = asyncio.run(story())
    assert (job.done, job.failed) == (2, 0)
    assert "28 days" in answer.text
    citation = answer.citations[0]
    assert citation.verified
    assert citation.source.endswith("leave.md")
    assert citation.heading_path == ("Leave",)
    assert citation.quote in PAGES["leave.md"]
    assert "28 days" in answer.text[citation.answer_start : citation.answer_end]


def test_a_question_that_no_document_answers_gets_no_citation(handbook, data_dir):
    async def story():
        async with ragstone.open_platform(data_dir=data_dir) as platform:
            await platform.ingest(handbook)
            return await platform.ask("Which telescope photographed the rings of Saturn?")

    answer = asyncio.run(story())
    assert answer.abstained
    assert answer.citations == ()


def test_what_was_ingested_is_found_after_opening_again(handbook, data_dir):
    async def story():
        async with ragstone.open_platform(data_dir=data_dir) as platform:
            await platform.ingest(handbook)
        async with ragstone.open_platform(data_dir=data_dir) as platform:
            return await platform.ingest(handbook), await platform.search("notice period")

    again, found = asyncio.run(story())
    assert (again.skipped, again.done) == (2, 0)
    assert found.passages[0].source.endswith("notice.md")
    assert "six weeks" in found.passages[0].chunk.text


def test_a_changed_page_takes_the_place_of_the_old_one(handbook, data_dir):
    async def story():
        async with ragstone.open_platform(data_dir=data_dir) as platform:
            await platform.ingest(handbook)
            (handbook / "leave.md").write_text("# Leave\n\nEmployees have 30 days of paid leave.\n", encoding="utf-8")
            (handbook / "notice.md").unlink()
            await platform.ingest(handbook, prune=True)
            return await platform.search("paid leave"), await platform.search("notice period")

    leave, notice = asyncio.run(story())
    assert ["30 days" in passage.chunk.text for passage in leave.passages] == [True]
    assert all("notice" not in passage.source for passage in notice.passages)


def test_a_file_that_is_not_there_is_an_error_with_its_name(data_dir):
    async def story():
        async with ragstone.open_platform(data_dir=data_dir) as platform:
            await platform.ingest("nowhere.md")

    with pytest.raises(Exception, match=r"nowhere\.md"):
        asyncio.run(story())


def test_an_untouched_installation_uses_no_key_and_no_network(handbook, data_dir):
    script = f"""
import asyncio, ragstone, sys
def refuse(event, arguments):
    if event == "socket.getaddrinfo" or event == "socket.connect" and not isinstance(arguments[1], (str, bytes)):
        raise RuntimeError(f"the network was used: {{event}} {{arguments[1:]}}")
sys.addaudithook(refuse)
async def story():
    async with ragstone.open_platform(data_dir={str(data_dir)!r}) as platform:
        await platform.ingest({str(handbook)!r})
        print((await platform.ask("How long is the notice period?")).text)
asyncio.run(story())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "six weeks" in done.stdout
