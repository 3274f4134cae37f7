"""The index process: kills, malformed frames and many clients."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from ragstone.errors import ConfigurationError, DataDirectoryError, IndexUnavailable
from ragstone.index.base import Point
from ragstone.index.qdrant_edge.index import EdgeIndex
from ragstone.vocabulary import Filters, Scope, SparseVector
from tests.waiting import alive, until

DIMENSIONS = 8
HERE = Scope("acme", "handbook")

Connect = Callable[..., Awaitable[EdgeIndex]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest_asyncio.fixture
async def connect(folder: Path) -> AsyncIterator[Connect]:
    """Make clients of the folder; afterwards none of them, nor the process, is left."""
    clients: list[EdgeIndex] = []

    async def connected(**options: object) -> EdgeIndex:
        chosen = {"dimensions": DIMENSIONS, "embedder": "test", "linger_s": 0.0, **options}
        client = await EdgeIndex.connect(folder, **chosen)  # type: ignore[arg-type] # options of many types
        clients.append(client)
        return client

    yield connected
    for client in clients:
        await client.close()
    await until(lambda: not serves(folder))


def owner(folder: Path) -> int:
    pid: int = json.loads((folder / "owner.json").read_text())["pid"]
    return pid


def serves(folder: Path) -> bool:
    text = (folder / "owner.json").read_text() if (folder / "owner.json").exists() else ""
    return bool(text) and alive(json.loads(text)["pid"])


def point(number: int, *, document: str = "d") -> Point:
    dense = np.eye(1, DIMENSIONS, number % DIMENSIONS, dtype=np.float32)
    sparse = SparseVector(np.array([number], np.uint32), np.array([0.5], np.float32))
    return Point(f"c{number}", document, 1, "text/plain", dense, sparse)


async def found(index: EdgeIndex, number: int) -> list[str]:
    term = SparseVector(np.array([number], np.uint32), np.ones(1, np.float32))
    hits = await index.search(HERE, dense=None, sparse=term, filters=Filters(), limit=5)
    return [candidate.chunk_id for candidate in hits.sparse]


CLIENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_edge_process import DIMENSIONS, HERE, point
from ragstone.index.qdrant_edge.index import EdgeIndex

async def main():
    index = await EdgeIndex.connect(Path(sys.argv[1]), dimensions=DIMENSIONS, embedder="test", linger_s=0)
    start = int(sys.argv[2])
    for number in range(start, start + 2000):
        await index.upsert(HERE, [point(number)])
        print(number, flush=True)

asyncio.run(main())
"""


def start_client(folder: Path, start: int) -> subprocess.Popen[str]:
    """A client in another process that upserts one chunk after another and prints each once acknowledged."""
    command = [sys.executable, "-c", CLIENT, str(folder), str(start), str(Path(__file__).parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read_acknowledged(client: subprocess.Popen[str], count: int) -> list[int]:
    assert client.stdout is not None
    return [int(client.stdout.readline()) for _ in range(count)]


def finish(client: subprocess.Popen[str]) -> list[int]:
    client.kill()
    rest, _ = client.communicate()
    return [int(line) for line in rest.split()]


async def test_clients_of_two_processes_see_each_others_chunks(connect: Connect, folder: Path) -> None:
    index = await connect()
    other = start_client(folder, 1000)
    await asyncio.to_thread(read_acknowledged, other, 3)
    await index.upsert(HERE, [point(1)])
    assert await found(index, 1001) == ["c1001"]
    assert await found(index, 1) == ["c1"]
    finish(other)


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(connect: Connect, folder: Path) -> None:
    index = await connect()
    other = start_client(folder, 0)
    acknowledged = []
    killed = set()
    for _ in range(3):
        acknowledged += await asyncio.to_thread(read_acknowledged, other, 40)
        killed.add(owner(folder))
        os.kill(owner(folder), signal.SIGKILL)
        acknowledged += await asyncio.to_thread(read_acknowledged, other, 5)
    acknowledged += finish(other)
    assert len(killed) == 3
    assert owner(folder) not in killed
    assert await index.count(HERE) >= len(acknowledged) == acknowledged[-1] + 1
    for number in acknowledged:
        assert await found(index, number) == [f"c{number}"]


async def test_many_requests_at_once_survive_a_kill(connect: Connect, folder: Path) -> None:
    index = await connect()
    writing = [asyncio.create_task(index.upsert(HERE, [point(number)])) for number in range(200)]
    await writing[20]
    os.kill(owner(folder), signal.SIGKILL)
    await asyncio.gather(*writing)
    assert await index.count(HERE) == 200


async def test_a_client_killed_in_the_middle_does_not_disturb_the_others(connect: Connect, folder: Path) -> None:
    index = await connect()
    pid = owner(folder)
    for start in (1000, 5000):
        other = start_client(folder, start)
        await asyncio.to_thread(read_acknowledged, other, 3)
        os.kill(other.pid, signal.SIGKILL)
        finish(other)
    with socket.socket(socket.AF_UNIX) as torn:
        torn.connect(str(folder / "index.sock"))
        torn.sendall(struct.pack("!II", 1000, 0) + b'{"op":"ups')
    await index.upsert(HERE, [point(1)])
    assert await found(index, 1) == ["c1"]
    assert owner(folder) == pid


async def test_a_request_given_up_does_not_mix_up_the_next_answers(connect: Connect, folder: Path) -> None:
    index = await connect()
    await index.upsert(HERE, [point(number) for number in range(50)])
    for number in range(50):
        given_up = asyncio.create_task(found(index, number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        given_up.cancel()
        assert await found(index, (number + 1) % 50) == [f"c{(number + 1) % 50}"]


async def test_the_process_ends_after_its_last_client_and_the_next_finds_everything(
    connect: Connect, folder: Path
) -> None:
    first, second = await connect(), await connect()
    pid = owner(folder)
    await first.upsert(HERE, [point(1)])
    await first.close()
    assert await found(second, 1) == ["c1"]
    await second.close()
    await until(lambda: not alive(pid))
    assert not (folder / "index.sock").exists()
    third = await connect()
    assert await found(third, 1) == ["c1"]


async def test_sigterm_writes_everything_out_and_clients_go_on(connect: Connect, folder: Path) -> None:
    index = await connect()
    await index.upsert(HERE, [point(1)])
    pid = owner(folder)
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not alive(pid))
    assert (folder / "index.log").read_text() == ""
    assert await found(index, 1) == ["c1"]


async def test_four_clients_at_once_share_one_process(connect: Connect, folder: Path) -> None:
    clients = await asyncio.gather(*(connect() for _ in range(4)))
    pid = owner(folder)
    for number, client in enumerate(clients):
        await client.upsert(HERE, [point(number)])
    assert [await client.count(HERE) for client in clients] == [4] * 4
    assert owner(folder) == pid


async def test_four_processes_starting_at_once_share_one_index(connect: Connect, folder: Path) -> None:
    others = [start_client(folder, start) for start in (0, 10_000, 20_000, 30_000)]
    for other in others:
        await asyncio.to_thread(read_acknowledged, other, 10)
    index = await connect()
    assert await index.count(HERE) >= 40
    for other in others:
        finish(other)


def frame(header: bytes, numbers: bytes = b"") -> bytes:
    return struct.pack("!II", len(header), len(numbers)) + header + numbers


MALFORMED = {
    "not a frame": b"GET / HTTP/1.1\r\n\r\n",
    "too large": struct.pack("!II", 2**31, 0),
    "too many numbers": struct.pack("!II", 2, 2**31),
    "not JSON": frame(b"{nonsense"),
    "not UTF-8": frame(b"\xff\xfe{}"),
    "not an object": frame(b"[1, 2]"),
    "deeply nested": frame(b"[" * 100_000),
    "no operation": frame(b"{}"),
    "unknown operation": frame(b'{"op": "optimize"}'),
    "missing fields": frame(b'{"op": "search"}'),
    "wrong types": frame(b'{"op": "count", "selection": {"must": 7, "must_not": null}}'),
    "too few numbers": frame(b'{"op":"upsert","points":[{"id":"1","payload":{},"windows":1,"terms":1}]}', b"1234"),
    "negative counts": frame(b'{"op":"upsert","points":[{"id":"1","payload":{},"windows":-1,"terms":9}]}', b""),
    "leftover numbers": frame(b'{"op":"upsert","points":[]}', b"1234"),
    "bad numbers": frame(
        b'{"op":"search","selection":{"must":[],"must_not":[]},"limit":1,"dense":true,"terms":0}', b"1"
    ),
}


def answer_to(sent: bytes, folder: Path) -> bytes:
    """All that comes back until the connection ends."""
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(5)
        stranger.connect(str(folder / "index.sock"))
        stranger.sendall(sent)
        return b"".join(iter(lambda: stranger.recv(1 << 16), b""))


@pytest_asyncio.fixture
async def index(connect: Connect) -> EdgeIndex:
    return await connect()


async def test_a_malformed_frame_ends_its_own_connection_only(index: EdgeIndex, folder: Path) -> None:
    await index.upsert(HERE, [point(1)])
    pid = owner(folder)
    for name, sent in MALFORMED.items():
        assert await asyncio.to_thread(answer_to, sent, folder) == b"", name
    assert await found(index, 1) == ["c1"]
    assert owner(folder) == pid


async def test_a_long_data_directory_has_its_socket_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "index"
    first = await EdgeIndex.connect(folder, dimensions=DIMENSIONS, embedder="test", linger_s=0)
    second = await EdgeIndex.connect(folder, dimensions=DIMENSIONS, embedder="test", linger_s=0)
    await first.upsert(HERE, [point(1)])
    assert await found(second, 1) == ["c1"]
    listening = Path(json.loads((folder / "owner.json").read_text())["socket"])
    assert listening.parent != folder
    assert (listening.parent.stat().st_mode & 0o777, listening.stat().st_mode & 0o777) == (0o700, 0o700)
    for client in (first, second):
        await client.close()
    await until(lambda: not serves(folder))
    assert not listening.exists()
    listening.parent.rmdir()


async def test_no_other_user_may_talk_to_the_process(index: EdgeIndex, folder: Path) -> None:
    assert await index.count(HERE) == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "index.sock").stat().st_mode & 0o077 == 0


async def test_a_folder_that_was_removed_and_made_anew_is_served_anew(connect: Connect, folder: Path) -> None:
    old = await connect()
    await old.upsert(HERE, [point(1)])
    pid = owner(folder)
    await until(lambda: removed(folder))
    new = await connect()
    await until(lambda: not alive(pid))
    await new.upsert(HERE, [point(2)])
    assert await old.count(HERE) == await new.count(HERE) == 1


def removed(folder: Path) -> bool:
    """Remove a folder that is being written to: what comes after the listing takes a second try."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


async def test_space_of_deleted_chunks_is_reclaimed_and_scores_stay(connect: Connect, folder: Path) -> None:
    index = await connect()
    await index.upsert(HERE, [point(number, document=f"d{number % 3}") for number in range(3000)])
    for document in ("d1", "d2"):
        await index.delete_document(HERE, document)
    segments = segment_names(folder)
    before = await scores(index)
    await index.close()
    await until(lambda: not serves(folder))
    assert segment_names(folder) != segments
    assert await scores(await connect()) == before


def segment_names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "current" / "shard" / "segments").iterdir()}


async def scores(index: EdgeIndex) -> list[tuple[str, float]]:
    terms = SparseVector(np.arange(0, 100, dtype=np.uint32), np.ones(100, np.float32))
    dense = np.ones(DIMENSIONS, np.float32)
    hits = await index.search(HERE, dense=dense, sparse=terms, filters=Filters(), limit=20)
    return [(c.chunk_id, round(c.standing.score, 5)) for c in hits.dense + hits.sparse]


async def test_another_embedder_is_told_to_rebuild(connect: Connect) -> None:
    index = await connect()
    await index.upsert(HERE, [point(1)])
    with pytest.raises(ConfigurationError, match=r"created with the embedder test .8 dimensions.*ragstone rebuild"):
        await connect(embedder="other")
    with pytest.raises(ConfigurationError, match="ragstone rebuild"):
        await connect(dimensions=9)
    assert await found(index, 1) == ["c1"]


async def test_a_rebuild_for_another_embedder_turns_the_old_clients_away(connect: Connect) -> None:
    old = await connect()
    await old.upsert(HERE, [point(1)])
    new = await connect(embedder="other", dimensions=4, recreate=True)
    assert await new.count(HERE) == 0
    with pytest.raises(ConfigurationError, match="ragstone rebuild"):
        await old.count(HERE)


async def test_a_rebuild_for_the_same_embedder_keeps_the_old_clients(connect: Connect) -> None:
    old = await connect()
    await old.upsert(HERE, [point(1)])
    new = await connect(recreate=True)
    await new.upsert(HERE, [point(2)])
    assert await old.count(HERE) == 1


def damage_note(folder: Path) -> None:
    (folder / "current" / "format.json").write_text("{")


def damage_segments(folder: Path) -> None:
    for path in (folder / "current" / "shard" / "segments").rglob("*.json"):
        path.write_text("nonsense")


def damage_configuration(folder: Path) -> None:
    (folder / "current" / "shard" / "edge_config.json").write_text("nonsense")


def damage_everything(folder: Path) -> None:
    for path in (folder / "current" / "shard").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\xff" * path.stat().st_size)


def lose_the_shard(folder: Path) -> None:
    shutil.rmtree(folder / "current" / "shard")


@pytest.mark.parametrize(
    "damage", [damage_note, damage_segments, damage_configuration, damage_everything, lose_the_shard]
)
async def test_a_damaged_index_says_so_and_can_be_rebuilt(
    connect: Connect, folder: Path, damage: Callable[[Path], None]
) -> None:
    index = await connect()
    await index.upsert(HERE, [point(1)])
    await index.close()
    await until(lambda: not serves(folder))
    damage(folder)
    with pytest.raises(IndexUnavailable, match="ragstone rebuild"):
        await connect()
    again = await connect(recreate=True)
    await again.upsert(HERE, [point(2)])
    assert await found(again, 2) == ["c2"]


async def test_an_index_of_a_newer_release_is_left_alone(connect: Connect, folder: Path) -> None:
    index = await connect()
    await index.close()
    await until(lambda: not serves(folder))
    note = folder / "current" / "format.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"number": 99}))
    with pytest.raises(DataDirectoryError, match="format 99"):
        await connect()


async def test_a_killed_rebuild_leaves_an_index_that_opens(connect: Connect, folder: Path) -> None:
    index = await connect()
    await index.close()
    await until(lambda: not serves(folder))
    shutil.copytree(folder / "current", folder / "new")
    (folder / "new" / "format.json").unlink()
    (folder / "current").rename(folder / "old")
    again = await connect()
    assert await again.count(HERE) == 0
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"current"}


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="cannot be written"):
        await EdgeIndex.connect(tmp_path / "file" / "index", dimensions=DIMENSIONS, embedder="test")


async def test_a_process_that_hangs_is_named_after_the_deadline(connect: Connect, folder: Path) -> None:
    await connect()
    index = await connect(timeout_s=2.0)
    os.kill(owner(folder), signal.SIGSTOP)
    try:
        with pytest.raises(IndexUnavailable, match=r"did not answer within 2 s.*owner.json"):
            await index.count(HERE)
    finally:
        os.kill(owner(folder), signal.SIGCONT)
    await until_counted(index, 0)


async def until_counted(index: EdgeIndex, number: int) -> None:
    while True:
        try:
            assert await index.count(HERE) == number
        except IndexUnavailable:
            continue
        return
