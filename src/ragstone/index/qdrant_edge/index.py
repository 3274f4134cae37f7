"""The embedded index: a client of the index process, which it starts if none is running."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragstone import frames
from ragstone.errors import ConfigurationError, DataDirectoryError, IndexUnavailable, TooLarge
from ragstone.frames import Header, MalformedFrame
from ragstone.index.base import Candidate, Candidates, Index, Point, check_point, check_query
from ragstone.index.points import document_points, payload, point_id, scope_points, tenant_points
from ragstone.index.qdrant_edge import protocol
from ragstone.vocabulary import Filters, Scope, SparseVector, StageScore

SLICE_POINTS = 32  # 5 ms of work for the index process, during which it answers no search
SLICE_BYTES = 8 << 20
CONNECTIONS = 4  # the process answers one request at a time: more connections would only move the queue there
ATTEMPTS = 3
START_S = 20.0
RELAUNCH_S = 3.0
POLL_S = 0.02

_ERRORS = {error.__name__: error for error in (ConfigurationError, DataDirectoryError, IndexUnavailable)}


class EdgeIndex(Index):
    """Index in Qdrant Edge; its process is shared by all processes that use the folder.

    Create it with `connect`.
    """

    def __init__(self, connections: EdgeConnections, dimensions: int) -> None:
        self._connections = connections
        self._dimensions = dimensions

    @classmethod
    async def connect(
        cls,
        folder: Path,
        *,
        dimensions: int,
        embedder: str,
        recreate: bool = False,
        timeout_s: float = 30.0,
        linger_s: float = 5.0,
    ) -> EdgeIndex:
        """Connect to the index in `folder`; start its process and create the index if necessary.

        Args:
            folder: Used by the index only.
            dimensions: Length of the dense vectors.
            embedder: Name of the embedder; an index of another embedder is refused.
            recreate: Delete the existing index, even an unreadable one, and start with an empty one.
            timeout_s: Time after which a request without an answer fails.
            linger_s: How long the process, if started here, stays after its last client has left.

        Raises:
            ConfigurationError: the index was created for another embedder.
            DataDirectoryError: the folder cannot be written, or is of another format.
            IndexUnavailable: the process does not start, or cannot read the index.
        """
        connections = EdgeConnections(
            await asyncio.to_thread(_prepare, folder),
            dimensions=dimensions,
            embedder=embedder,
            timeout_s=timeout_s,
            linger_s=linger_s,
        )
        try:
            await connections.open(recreate=recreate)
        except BaseException:
            await connections.close()
            raise
        return cls(connections, dimensions)

    async def upsert(self, scope: Scope, points: Sequence[Point]) -> None:
        """See `Index.upsert`."""
        for point in points:
            check_point(point, self._dimensions)
        for some in _slices(points):
            headers = [_described(scope, point) for point in some]
            numbers = b"".join(point.dense.tobytes() + _sparse_bytes(point.sparse) for point in some)
            await self._connections.ask({"op": "upsert", "points": headers}, numbers)

    async def search(
        self,
        scope: Scope,
        *,
        dense: NDArray[np.float32] | None,
        sparse: SparseVector | None,
        filters: Filters,
        limit: int,
    ) -> Candidates:
        """See `Index.search`."""
        dense = check_query(dense, sparse, self._dimensions)
        request = {
            "op": "search",
            "selection": asdict(scope_points(scope, filters)),
            "corpus": asdict(tenant_points(scope.tenant)),
            "limit": limit,
            "dense": dense is not None,
            "terms": 0 if sparse is None else len(sparse.indices),
        }
        numbers = (b"" if dense is None else dense.tobytes()) + (b"" if sparse is None else _sparse_bytes(sparse))
        reply = await self._connections.ask(request, numbers)
        return Candidates(dense=_candidates(reply["dense"]), sparse=_candidates(reply["sparse"]))

    async def delete_document(self, scope: Scope, document_id: str, *, keep_version: int | None = None) -> None:
        """See `Index.delete_document`."""
        chosen = document_points(scope, document_id, keep_version=keep_version)
        await self._connections.ask({"op": "delete", "selection": asdict(chosen)})

    async def delete_tenant(self, tenant: str) -> None:
        """See `Index.delete_tenant`."""
        await self._connections.ask({"op": "delete", "selection": asdict(tenant_points(tenant))})

    async def count(self, scope: Scope | str) -> int:
        """See `Index.count`."""
        chosen = tenant_points(scope) if isinstance(scope, str) else scope_points(scope)
        reply = await self._connections.ask({"op": "count", "selection": asdict(chosen)})
        count: int = reply["count"]
        return count

    async def clear(self) -> None:
        """See `Index.clear`."""
        await self._connections.open(recreate=True)

    async def close(self) -> None:
        """See `Index.close`."""
        await self._connections.close()


def _prepare(folder: Path) -> Path:
    """Create the folder; returns its resolved path, which is the same in all processes."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.resolve()
    except OSError as error:
        raise DataDirectoryError(
            f"The index folder {folder} cannot be written: {error.strerror}. "
            "Make it writable, or set another data directory."
        ) from error


def _slices(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Split points into requests that take a short time each."""
    some: list[Point] = []
    size = 0
    for point in points:
        if some and (len(some) == SLICE_POINTS or size + point.dense.nbytes > SLICE_BYTES):
            yield some
            some, size = [], 0
        some.append(point)
        size += point.dense.nbytes
    if some:
        yield some


def _described(scope: Scope, point: Point) -> Header:
    return {
        "id": point_id(scope, point.chunk_id),
        "payload": payload(scope, point),
        "windows": len(point.dense),
        "terms": len(point.sparse.indices),
    }


def _sparse_bytes(sparse: SparseVector) -> bytes:
    return sparse.indices.tobytes() + sparse.values.tobytes()


def _candidates(hits: Sequence[tuple[str, str, int, float]]) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(chunk_id, document_id, version, StageScore(rank, score))
        for rank, (chunk_id, document_id, version, score) in enumerate(hits, start=1)
    )


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def exchange(self, frame: bytes) -> Header:
        """Send one frame and read the answer.

        Raises:
            ConnectionError: the process has ended, or closed this connection.
            IndexUnavailable, ConfigurationError, DataDirectoryError: errors that the process returned.
        """
        try:
            self.writer.write(frame)
            await self.writer.drain()
            reply, _ = await frames.read(self.reader, protocol.LIMITS)
        except (asyncio.IncompleteReadError, MalformedFrame) as error:
            raise ConnectionError(str(error)) from error
        if "error" in reply:
            raise _ERRORS.get(reply["error"], IndexUnavailable)(reply["message"])
        return reply


class EdgeConnections:
    """Pool of connections to the index process of one folder, opened on demand.

    If the process ends during a request, the first client that needs a process starts a new
    one, and the request is sent again: every request is idempotent.
    """

    def __init__(self, folder: Path, *, dimensions: int, embedder: str, timeout_s: float, linger_s: float) -> None:
        self._folder = folder
        self._made_for: Header = {"protocol": protocol.PROTOCOL, "dimensions": dimensions, "embedder": embedder}
        self._timeout_s = timeout_s
        self._linger_s = linger_s
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._starting = asyncio.Lock()
        self._closed = False

    async def open(self, *, recreate: bool) -> None:
        """Let the process open the index, or replace it by an empty one."""
        await self.ask({"op": "recreate" if recreate else "open", **self._made_for})

    async def ask(self, header: Header, numbers: bytes = b"") -> Header:
        """Send a request and return the answer; if the process ends, try again with a new one.

        Raises:
            IndexUnavailable: no answer in time, or the index was closed.
            TooLarge: the request exceeds the limits of a frame.
        """
        if self._closed:
            raise IndexUnavailable("This index was closed. Open the platform again.")
        try:
            frame = protocol.encode(header, numbers)
        except MalformedFrame as error:
            raise TooLarge(f"{error} Send fewer or smaller points at once.") from error
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return await self._send_with_retries(frame, greet=header["op"] not in ("open", "recreate"))
        except TimeoutError as error:
            raise IndexUnavailable(
                f"The index process did not answer within {self._timeout_s:g} s. Try again; if this persists, "
                f"end the process named in {protocol.owner_file(self._folder)}. A new one starts by itself."
            ) from error

    async def close(self) -> None:
        """Close the connections; a request in progress still gets its answer."""
        self._closed = True
        await self._close_idle()

    async def _send_with_retries(self, frame: bytes, *, greet: bool) -> Header:
        lost: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                connection = self._idle.pop() if self._idle else await self._connect(greet=greet)
                reply = await _exchange(connection, frame)
            except ConnectionError as error:
                lost = error
                await self._close_idle()  # they belong to the same process
            else:
                self._idle.append(connection)
                if self._closed:
                    await self._close_idle()
                return reply
        raise IndexUnavailable(
            f"The index process ended {ATTEMPTS} times during one request; {protocol.log_file(self._folder)} "
            "has the reason. If the index is damaged, rebuild it with `ragstone rebuild`."
        ) from lost

    async def _connect(self, *, greet: bool) -> _Connection:
        connection = await self._reach()
        if greet:
            await _exchange(connection, protocol.encode({"op": "open", **self._made_for}))
        return connection

    async def _reach(self) -> _Connection:
        """Connect to the process; start one if none is listening, and again if it does not start."""
        now = asyncio.get_running_loop().time
        give_up, launch_at = now() + START_S, now()
        async with self._starting:
            while now() < give_up:
                path = protocol.served_at(self._folder)
                if path is not None:
                    with suppress(ConnectionError, FileNotFoundError):
                        return _Connection(*await asyncio.open_unix_connection(path))
                if now() >= launch_at:
                    await asyncio.to_thread(_launch, self._folder, self._linger_s)
                    launch_at = now() + RELAUNCH_S
                await asyncio.sleep(POLL_S)
        raise IndexUnavailable(
            f"The index process did not start within {START_S:g} s; "
            f"{protocol.log_file(self._folder)} may have the reason. Then try again."
        )

    async def _close_idle(self) -> None:
        while self._idle:
            writer = self._idle.pop().writer
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _exchange(connection: _Connection, frame: bytes) -> Header:
    try:
        return await connection.exchange(frame)
    except BaseException:
        connection.writer.close()  # part of an answer may already be on its way
        raise


def _launch(folder: Path, linger_s: float) -> None:
    """Start the index process; this waits only for the child that detaches it."""
    started = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
        # -P: the working directory may contain a folder called ragstone.
        [sys.executable, "-P", "-m", "ragstone.index.qdrant_edge.process", str(folder), str(linger_s)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if started.returncode != 0:
        said = started.stderr.decode(errors="replace").strip().splitlines()
        raise IndexUnavailable(f"The index process cannot be started: {said[-1] if said else started.returncode}.")
