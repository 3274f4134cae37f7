"""The sandboxed parser: a hostile file can end one process, and does not harm the service."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from ragstone.documents.base import ParsedDocument
from ragstone.documents.parser import SandboxedParser
from ragstone.errors import EmptyDocument, ParserLimit, Unavailable, UnreadableDocument, Unsupported
from tests.documents import builders

MakeParser = Callable[..., SandboxedParser]
PROC = Path("/proc/self/task")
needs_proc = pytest.mark.skipif(not PROC.is_dir(), reason="Needs /proc to see the worker processes.")


@cache
def slow() -> bytes:
    """Word XML that mammoth needs many seconds for: stands for every endless parse."""
    return builders.docx(body="<w:p><w:r><w:t>x</w:t></w:r></w:p>" * 120_000)


def greedy_json() -> bytes:
    """Lists that Python runs out of memory on."""
    return b"[" + b"[]," * 6_000_000 + b"[]]"


def workers() -> list[int]:
    """Living children of this process."""
    children = (pid for task in PROC.iterdir() for pid in (task / "children").read_text().split())
    return [int(pid) for pid in children if b"ragstone.documents.sandbox" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ends(pid: int) -> bool:
    """Whether a process that is not ours ends within half a minute."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 30)[0])
    finally:
        os.close(handle)


async def deep_in_work(parser: SandboxedParser) -> asyncio.Task[ParsedDocument]:
    """A parse that has used more CPU time than any start does, and is far from its end."""
    task = asyncio.create_task(parser.parse(slow(), name="slow.docx"))
    while not task.done() and not any(cpu_s(pid) > 0.8 for pid in workers()):
        await asyncio.wait({task}, timeout=0.05)
    assert not task.done()
    return task


async def test_a_document_comes_back_whole(parser: SandboxedParser):
    document = await parser.parse(builders.pdf([(20, "Title"), "Words.", "Words."], ["More."]), name="a.pdf")
    assert document.text == "# Title\n\nWords.\nWords.\n\nMore."
    assert [page.number for page in document.pages] == [1, 2]
    assert document.media_type == "application/pdf"


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"", "a.txt", EmptyDocument),
        (b"\x7fELF" + bytes(100), "a.pdf", Unsupported),
        (b"%PDF-1.4 broken", "a.pdf", UnreadableDocument),
    ],
)
async def test_errors_cross_the_process_boundary_as_what_they_are(parser: SandboxedParser, content, name, kind):
    with pytest.raises(kind) as caught:
        await parser.parse(content, name=name)
    assert type(caught.value) is kind
    assert len(caught.value.message) > 10


async def test_an_entity_bomb_is_a_damaged_document(parser: SandboxedParser):
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l9;</x>'
    word = {
        "[Content_Types].xml": builders.DOCX_TYPES,
        "_rels/.rels": builders.DOCX_RELATIONS,
        "word/document.xml": xml,
    }
    book = {"mimetype": "application/epub+zip", "META-INF/container.xml": xml}
    for entries in (word, book):
        with pytest.raises(UnreadableDocument):
            await parser.parse(builders.packed(entries), name="bomb")


async def test_a_parse_that_does_not_end_is_ended_by_the_clock(parser_with: MakeParser):
    parser = parser_with(max_wall_s=1)
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_WALL_S"):
        await parser.parse(slow(), name="slow.docx")
    assert (await parser.parse(b"# next", name="n.md")).text == "# next"


async def test_a_parse_that_burns_cpu_is_ended_by_the_system(parser_with: MakeParser):
    parser = parser_with(max_cpu_s=1)
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_CPU_S"):
        await parser.parse(slow(), name="slow.docx")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit address space.")
@pytest.mark.parametrize(
    ("greedy", "name"),
    [
        (greedy_json, "lists.json"),
        (builders.xlsx_with_far_corner, "sparse.xlsx"),  # native code runs out and aborts
    ],
    ids=["python", "native"],
)
async def test_a_parse_that_eats_memory_ends_and_its_neighbour_does_not(
    parser_with: MakeParser, greedy: Callable[[], bytes], name: str
):
    parser = parser_with(max_memory_bytes=300 << 20)
    ended, neighbour = await asyncio.gather(
        parser.parse(greedy(), name=name), parser.parse(b"# next", name="n.md"), return_exceptions=True
    )
    assert isinstance(ended, ParserLimit)
    assert "RAGSTONE_PARSER__MAX_MEMORY_BYTES" in str(ended)
    assert isinstance(neighbour, ParsedDocument)


async def test_the_word_bomb_that_never_ends_is_refused(parser_with: MakeParser):
    parser, bomb = parser_with(max_expanded_bytes=32 << 20), builders.docx_bomb(33 << 20)
    assert len(bomb) < 1 << 17
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_EXPANDED_BYTES"):
        await parser.parse(bomb, name="bomb.docx")


@needs_proc
async def test_cancelling_a_parse_kills_its_worker(parser: SandboxedParser):
    task = await deep_in_work(parser)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workers() == []
    assert (await parser.parse(b"# next", name="n.md")).text == "# next"


@needs_proc
async def test_a_crash_of_a_new_worker_is_blamed_on_the_file(parser: SandboxedParser):
    task = await deep_in_work(parser)
    os.kill(workers()[0], signal.SIGSEGV)
    with pytest.raises(UnreadableDocument, match="crashed"):
        await task


@needs_proc
async def test_a_worker_that_died_while_idle_is_replaced_unnoticed(parser: SandboxedParser):
    await parser.parse(b"one", name="a.txt")
    (before,) = workers()
    os.kill(before, signal.SIGKILL)
    assert (await parser.parse(b"two", name="a.txt")).text == "two"
    assert before not in workers()


@needs_proc
async def test_workers_are_reused_and_end_with_the_parser(parser: SandboxedParser):
    for _ in range(3):
        await asyncio.gather(*(parser.parse(b"text", name="a.txt") for _ in range(5)))
    assert 1 <= len(workers()) <= 2
    await parser.close()
    assert workers() == []
    with pytest.raises(Unavailable):
        await parser.parse(b"text", name="a.txt")


@needs_proc
async def test_a_worker_sees_no_keys(parser: SandboxedParser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    await parser.parse(b"text", name="a.txt")
    (worker,) = workers()
    assert b"sk-secret" not in Path(f"/proc/{worker}/environ").read_bytes()


@needs_proc
async def test_no_worker_outlives_a_killed_parent():
    script = (
        "import asyncio, sys\n"
        "from ragstone.documents.parser import SandboxedParser\n"
        "async def main():\n"
        "    parser = SandboxedParser()\n"
        "    await parser.parse(b'text', name='a.txt')\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:  # noqa: ASYNC220
        assert parent.stdout is not None
        await asyncio.to_thread(parent.stdout.readline)
        children = [
            int(pid)
            for task in Path(f"/proc/{parent.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
        parent.kill()
    assert len(children) == 1
    assert all([await asyncio.to_thread(ends, pid) for pid in children])


@pytest.mark.parametrize("attempt", ["socket.socket()", "os.system('true')", "subprocess.run(['true'])", "os.fork()"])
def test_a_parser_process_can_neither_connect_nor_start_programs(attempt: str):
    script = (
        "import os, socket, subprocess\nfrom ragstone.documents.sandbox import *\n"
        f"forbid_network_and_processes()\n{attempt}"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "may not use" in done.stderr
