"""The sandboxed parser: child processes parse documents within limits, and a crash does not harm this process."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

import structlog

from ragstone import frames
from ragstone.documents.base import ParsedDocument, Parser, ParserLimits, limit_reached
from ragstone.documents.sandbox import LIMITS, MAX_HEADER_BYTES, ParseReply, ParseRequest
from ragstone.errors import EmptyDocument, EncryptedDocument, ParserLimit, Unavailable, UnreadableDocument, Unsupported
from ragstone.frames import FrameLimits, MalformedFrame
from ragstone.vocabulary import PageSpan

log = structlog.get_logger(__name__)

START_TIMEOUT_S = 60.0  # a cold interpreter on a busy machine
MAX_BYTES_PER_CHAR = 4  # UTF-8
STDERR_TAIL_BYTES = 4096
MEMORY_SAMPLE_S = 0.1
CRASH_MEMORY_SHARE = 0.7  # a crash above this share of the limit counts as C code out of memory
PAGE_BYTES = resource.getpagesize()
READ_BUFFER_BYTES = 1 << 20
EXIT_TIMEOUT_S = 5.0  # from the end of a worker's pipe to the end of the worker
DEFAULT_LIMITS = ParserLimits()

# Variables that a worker needs to find Python and this package; keys and passwords are not passed on.
_INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
# One arena and one BLAS thread: both reserve address space per core, which counts.
_SET = {"PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}

_ERRORS = {kind.code: kind for kind in (Unsupported, UnreadableDocument, EmptyDocument, EncryptedDocument, ParserLimit)}
_CLOCK_SIGNALS = (-signal.SIGXCPU, -signal.SIGALRM)
# Rust and C++ end the process when memory runs out, with these messages on stderr.
_OUT_OF_MEMORY = (b"memory allocation of", b"std::bad_alloc", b"MemoryError", b"Out of memory")


class _WorkerDied(Exception):
    """The pipe to a worker ended in the middle of an exchange."""


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    stderr: IO[bytes]
    served: int = 0
    busy: bool = False
    retiring: bool = False
    peak_memory_bytes: int = 0

    @property
    def usable(self) -> bool:
        return self.process.returncode is None and not self.busy and not self.retiring

    async def exchange(self, header: Mapping[str, Any], content: bytes, *, max_body: int) -> tuple[ParseReply, bytes]:
        """Send one frame and read the reply. `busy` stays set if the exchange is interrupted."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        self.busy = True
        try:
            stdin.write(frames.head(header, len(content), LIMITS))
            stdin.write(content)
            await stdin.drain()
            reply, body = await frames.read(stdout, FrameLimits(MAX_HEADER_BYTES, max_body))
        except (OSError, EOFError, MalformedFrame) as error:
            raise _WorkerDied from error
        self.busy = False
        self.retiring = reply.get("retiring", False)
        return cast("ParseReply", reply), body

    async def watch_memory(self) -> None:
        """Record the peak address space in regular samples, for `_death_error`; on Linux only."""
        self.peak_memory_bytes = 0
        with suppress(OSError):
            while True:
                self.peak_memory_bytes = max(self.peak_memory_bytes, _address_space_bytes(self.process.pid))
                await asyncio.sleep(MEMORY_SAMPLE_S)

    async def end(self) -> None:
        """Kill the worker with its process group, and wait for its end."""
        with suppress(ProcessLookupError):
            if self.process.returncode is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        with suppress(OSError):
            await self.process.stdout.read()  # read to the end, else the pipe stays open
        await self.process.wait()
        self.stderr.close()


class SandboxedParser(Parser):
    """Parser that uses a pool of worker processes with hard limits, at most `processes` at a time.

    A worker is killed with its process group and replaced if it crashes, exceeds a limit or
    its caller is cancelled; other workers are not affected. Workers start on demand, with a
    minimal environment. One instance belongs to one event loop.
    """

    def __init__(self, limits: ParserLimits = DEFAULT_LIMITS, *, processes: int = 2) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(processes)
        self._idle: list[_Worker] = []
        self._closed = False

    async def parse(self, content: bytes, *, name: str, media_type: str | None = None) -> ParsedDocument:
        """See `Parser.parse`.

        Raises:
            Unavailable: the parser is closed, or no process could be started.
        """
        request = ParseRequest(name=name, media_type=media_type)
        if len(content) > LIMITS.body_bytes:
            raise UnreadableDocument("The file is larger than 4 GiB, the limit of a parser process. Split it.")
        async with self._slots:
            while True:
                async with self._worker() as worker:
                    try:
                        reply, text = await self._exchange_in_time(worker, request, content)
                    except _WorkerDied:
                        failure = await self._death_error(worker)
                        if not worker.served or worker.process.returncode in _CLOCK_SIGNALS:
                            raise failure from None
                        continue  # an earlier document may have caused it: try once more in another worker
                worker.served += 1
                return await asyncio.to_thread(_document, reply, text)

    async def close(self) -> None:
        """End all idle workers; a busy worker ends after its document."""
        self._closed = True
        while self._idle:
            await self._idle.pop().end()

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[_Worker]:
        worker = await self._idle_or_new_worker()
        try:
            yield worker
        finally:
            if worker.usable and not self._closed:
                self._idle.append(worker)
            else:
                await worker.end()

    async def _idle_or_new_worker(self) -> _Worker:
        if self._closed:
            raise Unavailable("The parser is closed. Start Ragstone again.")
        while self._idle:
            worker = self._idle.pop()
            if worker.usable:
                return worker
            await worker.end()
        return await self._start_worker()

    async def _start_worker(self) -> _Worker:
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "ragstone.documents.sandbox",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
            env={**{key: os.environ[key] for key in _INHERITED if key in os.environ}, **_SET},
            start_new_session=True, limit=READ_BUFFER_BYTES,
        )  # fmt: skip
        worker = _Worker(process, stderr)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await worker.exchange(asdict(self._limits), b"", max_body=0)
        except (_WorkerDied, TimeoutError) as error:
            log.warning("parser.start_failed", stderr=_tail(stderr).decode(errors="replace"))
            await worker.end()
            raise Unavailable("No parser process could be started. The log has its error output.") from error
        except asyncio.CancelledError:
            await worker.end()
            raise
        return worker

    async def _exchange_in_time(
        self, worker: _Worker, request: ParseRequest, content: bytes
    ) -> tuple[ParseReply, bytes]:
        max_body = self._limits.max_text_chars * MAX_BYTES_PER_CHAR
        watch = asyncio.create_task(worker.watch_memory())
        try:
            async with asyncio.timeout(self._limits.max_wall_s):
                return await worker.exchange(request, content, max_body=max_body)
        except TimeoutError as error:
            raise limit_reached(self._limits, "max_wall_s") from error
        finally:
            watch.cancel()

    async def _death_error(self, worker: _Worker) -> UnreadableDocument:
        """Error for the death of a worker, from its signal and its output on stderr."""
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_TIMEOUT_S):
                await worker.process.wait()
        log.warning("parser.died", returncode=worker.process.returncode, served=worker.served)
        if worker.process.returncode == -signal.SIGXCPU:
            return limit_reached(self._limits, "max_cpu_s")
        if worker.process.returncode == -signal.SIGALRM:
            return limit_reached(self._limits, "max_wall_s")
        if worker.process.returncode == -signal.SIGKILL:  # not killed by this process: the machine ran out of memory
            return limit_reached(self._limits, "max_memory_bytes")
        reported = any(words in _tail(worker.stderr) for words in _OUT_OF_MEMORY)
        if reported or worker.peak_memory_bytes > self._limits.max_memory_bytes * CRASH_MEMORY_SHARE:
            return limit_reached(self._limits, "max_memory_bytes")
        return UnreadableDocument(
            "The parser crashed on this file; it is damaged, or needs more than the memory that "
            "RAGSTONE_PARSER__MAX_MEMORY_BYTES allows. Open it in its own program and save it again."
        )


def _document(reply: ParseReply, text: bytes) -> ParsedDocument:
    if code := reply.get("error"):
        raise _ERRORS.get(code, UnreadableDocument)(reply["message"])
    return ParsedDocument(
        text=text.decode(),
        media_type=reply["media_type"],
        title=reply["title"],
        pages=tuple(PageSpan(*span) for span in reply["pages"]),
        warnings=tuple(reply["warnings"]),
    )


def _address_space_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[0]) * PAGE_BYTES


def _tail(stderr: IO[bytes]) -> bytes:
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - STDERR_TAIL_BYTES))
    return stderr.read()
