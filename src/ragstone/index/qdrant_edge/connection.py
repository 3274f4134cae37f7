"""The client's side of the index process: find it, start it, ask it, and outlive its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ragstone import frames
from ragstone.errors import ConfigurationError, DataDirectoryError, IndexUnavailable, TooLarge
from ragstone.frames import Header, MalformedFrame
from ragstone.index.qdrant_edge import protocol as edge_protocol

CONNECTIONS = 4  # the process answers one at a time: more would only queue there instead of here
ATTEMPTS = 3
START_S = 20.0
RELAUNCH_S = 3.0
POLL_S = 0.02

_ERRORS = {error.__name__: error for error in (ConfigurationError, DataDirectoryError, IndexUnavailable)}


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def exchange(self, frame: bytes) -> Header:
        """Send one frame and read its answer.

        Raises:
            ConnectionError: the process is gone, or closed this connection.
            IndexUnavailable, ConfigurationError, DataDirectoryError: what it answered.
        """
        try:
            self.writer.write(frame)
            await self.writer.drain()
            reply, _ = await frames.read(self.reader, edge_protocol.LIMITS)
        except (asyncio.IncompleteReadError, MalformedFrame) as error:
            raise ConnectionError(str(error)) from error
        if "error" in reply:
            raise _ERRORS.get(reply["error"], IndexUnavailable)(reply["message"])
        return reply


class EdgeConnections:
    """A few connections to the index process of one folder, made when they are needed.

    A request that the process did not survive is sent again to the next one, which is
    started by whoever needs it first: every request may be carried out twice without harm.
    """

    def __init__(self, folder: Path, *, dimensions: int, embedder: str, timeout_s: float, linger_s: float) -> None:
        self._folder = folder
        self._made_for: Header = {"protocol": edge_protocol.PROTOCOL, "dimensions": dimensions, "embedder": embedder}
        self._timeout_s = timeout_s
        self._linger_s = linger_s
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._starting = asyncio.Lock()
        self._closed = False

    async def open(self, *, recreate: bool) -> None:
        """Have the process open the index, or throw it away and make an empty one."""
        await self.ask({"op": "recreate" if recreate else "open", **self._made_for})

    async def ask(self, header: Header, numbers: bytes = b"") -> Header:
        """Send a request, if need be to one process after another, and return the answer.

        Raises:
            IndexUnavailable: no answer in time, or the index was closed.
            TooLarge: the request is beyond the limits of one frame.
        """
        if self._closed:
            raise IndexUnavailable("This index was closed. Open the platform again.")
        try:
            frame = edge_protocol.encode(header, numbers)
        except MalformedFrame as error:
            raise TooLarge(f"{error} Send fewer or smaller points at once.") from error
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return await self._insist(frame, greet=header["op"] not in ("open", "recreate"))
        except TimeoutError as error:
            raise IndexUnavailable(
                f"The index process did not answer within {self._timeout_s:g} s. Try again; if this persists, "
                f"end the process named in {edge_protocol.owner_file(self._folder)}: another one starts by itself."
            ) from error

    async def close(self) -> None:
        """Close the connections; a request under way ends with its answer."""
        self._closed = True
        await self._close_idle()

    async def _insist(self, frame: bytes, *, greet: bool) -> Header:
        lost: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                connection = self._idle.pop() if self._idle else await self._connect(greet=greet)
                reply = await _exchange(connection, frame)
            except ConnectionError as error:
                lost = error
                await self._close_idle()  # they led to the same process
            else:
                self._idle.append(connection)
                if self._closed:
                    await self._close_idle()
                return reply
        raise IndexUnavailable(
            f"The index process ended {ATTEMPTS} times over one request; {edge_protocol.log_file(self._folder)} "
            "says why. If the index is damaged, `ragstone rebuild` makes it anew."
        ) from lost

    async def _connect(self, *, greet: bool) -> _Connection:
        connection = await self._reach()
        if greet:
            await _exchange(connection, edge_protocol.encode({"op": "open", **self._made_for}))
        return connection

    async def _reach(self) -> _Connection:
        """Connect to the process; start it where nobody listens, and again if that came to nothing."""
        now = asyncio.get_running_loop().time
        give_up, launch_at = now() + START_S, now()
        async with self._starting:
            while now() < give_up:
                path = edge_protocol.served_at(self._folder)
                if path is not None:
                    with suppress(ConnectionError, FileNotFoundError):
                        return _Connection(*await asyncio.open_unix_connection(path))
                if now() >= launch_at:
                    await asyncio.to_thread(_launch, self._folder, self._linger_s)
                    launch_at = now() + RELAUNCH_S
                await asyncio.sleep(POLL_S)
        raise IndexUnavailable(
            f"The index process did not start within {START_S:g} s; "
            f"{edge_protocol.log_file(self._folder)} may say why. Then try again."
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
        connection.writer.close()  # half an answer may be under way
        raise


def _launch(folder: Path, linger_s: float) -> None:
    """Start the index process; the child that this waits for only detaches it."""
    started = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
        # -P: the working directory may hold anything, also a folder called ragstone.
        [sys.executable, "-P", "-m", "ragstone.index.qdrant_edge.process", str(folder), str(linger_s)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if started.returncode != 0:
        said = started.stderr.decode(errors="replace").strip().splitlines()
        raise IndexUnavailable(f"The index process cannot be started: {said[-1] if said else started.returncode}.")
