"""The index process: the only owner of an index folder; it serves all processes of the machine.

`python -m ragstone.index.qdrant_edge.process FOLDER LINGER_S` starts a detached process,
unless one already serves the folder. It ends LINGER_S after its last client has left.
It answers one request at a time, because the engine holds the interpreter anyway; clients
split upserts into slices, so that searches of other clients run in between.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ragstone import frames
from ragstone.errors import IndexUnavailable, RagstoneError
from ragstone.frames import Header, MalformedFrame
from ragstone.index.qdrant_edge import protocol as edge_protocol
from ragstone.index.qdrant_edge.protocol import PROTOCOL

if TYPE_CHECKING:
    from ragstone.index.qdrant_edge.shard import ShardStore

TICK_S = 0.1  # interval of the maintenance checks
FLUSH_IDLE_S = 1.0
FLUSH_BUSY_S = 10.0
VACUUM_IDLE_S = 30.0
TAKE_OVER_S = 60.0
"""How long to wait for an owner that no longer serves but is still writing."""
EX_SOFTWARE = 70  # sysexits.h


class IndexProcess:
    """Server of the index process: answers clients, flushes while idle, and ends without clients."""

    def __init__(self, store: ShardStore, *, linger_s: float, owns: Callable[[], bool]) -> None:
        self._store = store
        self._linger_s = linger_s
        self._owns = owns
        self._clients: set[asyncio.StreamWriter] = set()
        self._stop = asyncio.Event()
        self._last_request = self._last_client = time.monotonic()
        self._dirty_since: float | None = None
        self._changed = False

    async def run(self, listening: socket.socket) -> None:
        """Serve until SIGTERM, until there has been no client for `linger_s`, or until the folder is removed."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        server = await asyncio.start_unix_server(self._serve, sock=listening)
        while not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK_S)
            if not self._owns():
                break
            try:
                self._tidy_up(time.monotonic())
            except IndexUnavailable as error:
                _log(error)
        server.close()
        for client in self._clients:
            client.close()

    def _tidy_up(self, now: float) -> None:
        idle_s = now - self._last_request
        if self._dirty_since and (idle_s > FLUSH_IDLE_S or now - self._dirty_since > FLUSH_BUSY_S):
            self._dirty_since = None
            self._store.flush()
        if self._clients:
            self._last_client = now
        alone = now - self._last_client > self._linger_s
        if self._changed and (alone or idle_s > VACUUM_IDLE_S):
            self._changed = False
            self._store.vacuum()
        elif alone:
            self._stop.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it leaves. A malformed frame ends the connection, a defect ends the process."""
        self._clients.add(writer)
        try:
            while True:
                header, numbers = await frames.read(reader, edge_protocol.LIMITS)
                writer.write(edge_protocol.encode(self._answer(header, numbers, writer)))
                await writer.drain()
                self._last_request = time.monotonic()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        except MalformedFrame as error:
            _log(error)
        except BaseException:  # noqa: BLE001 - also a panic of the engine, after which nothing is certain
            traceback.print_exc()
            os._exit(EX_SOFTWARE)
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, header: Header, numbers: bytes, writer: asyncio.StreamWriter) -> Header:
        try:
            return self._perform(header, numbers, writer)
        except RagstoneError as error:
            return {"error": type(error).__name__, "message": error.message}
        except (LookupError, TypeError, ValueError) as error:
            raise MalformedFrame(f"{type(error).__name__}: {error}") from error

    def _perform(self, header: Header, numbers: bytes, writer: asyncio.StreamWriter) -> Header:
        match header["op"]:
            case "open":
                self._check_protocol(header["protocol"])
                self._store.open(header["dimensions"], header["embedder"])
            case "recreate":
                self._check_protocol(header["protocol"])
                self._store.recreate(header["dimensions"], header["embedder"])
                for other in self._clients - {writer}:
                    other.close()  # they connect again, and the embedder is checked again
            case "upsert":
                self._store.upsert(header["points"], numbers)
                self._note_change()
            case "search":
                dense, sparse = self._store.search(header, numbers)
                return {"dense": dense, "sparse": sparse}
            case "delete":
                self._store.delete(header["selection"])
                self._note_change()
            case "count":
                return {"count": self._store.count(header["selection"])}
            case unknown:
                raise MalformedFrame(f"There is no operation {unknown!r}.")
        return {}

    def _note_change(self) -> None:
        self._changed = True
        self._dirty_since = self._dirty_since or time.monotonic()

    def _check_protocol(self, number: int) -> None:
        if number != PROTOCOL:
            raise IndexUnavailable(
                f"The index process {os.getpid()} belongs to another release of Ragstone. "
                "End the other Ragstone commands on this data directory and try again."
            )


def main(folder: Path, linger_s: float) -> None:
    """Detach, lock the folder and serve it; return at once if another process serves it."""
    if os.fork():
        return
    os.setsid()
    os.umask(0o077)
    _point_output_at(os.devnull)
    owner = _take(folder)
    if owner is None:
        return
    _point_output_at(str(edge_protocol.log_file(folder)))
    # Not before the fork: threads of the engine would not survive it.
    from ragstone.index.qdrant_edge.shard import ShardStore

    os.chdir("/")
    path = edge_protocol.socket_path(folder)
    path.unlink(missing_ok=True)
    store = ShardStore(folder)
    process = IndexProcess(store, linger_s=linger_s, owns=lambda: _owns(owner, folder))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        os.pwrite(owner, json.dumps({"pid": os.getpid(), "socket": str(path)}).encode(), 0)
        asyncio.run(process.run(listening))
    if _owns(owner, folder):
        path.unlink(missing_ok=True)
        store.close()


def _take(folder: Path) -> int | None:
    """Lock the owner file until this process ends; None if its owner is serving."""
    owner = os.open(edge_protocol.owner_file(folder), os.O_RDWR | os.O_CREAT, 0o600)
    give_up = time.monotonic() + TAKE_OVER_S
    while time.monotonic() < give_up:
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _is_served(folder):
                return None
            time.sleep(TICK_S)
        else:
            os.ftruncate(owner, 0)
            return owner
    return None


def _owns(owner: int, folder: Path) -> bool:
    """Whether the locked file is still in the folder; another process may have recreated the folder."""
    try:
        return os.path.samestat(os.fstat(owner), edge_protocol.owner_file(folder).stat())
    except FileNotFoundError:
        return False


def _is_served(folder: Path) -> bool:
    path = edge_protocol.served_at(folder)
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _log(error: Exception) -> None:
    """Append an error to the log of the process; its standard error goes to that file."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {error}\n")
    sys.stderr.flush()


def _point_output_at(path: str) -> None:
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(target, stream)
    os.close(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), float(sys.argv[2]))
