"""A Redis for tests: a server of their own on a free port of loopback that keeps nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START_S = 10.0
REQUIRED = "redis" in os.environ.get("TESTS_REQUIRE", "").split(",")


@dataclass(slots=True)
class RedisServer:
    """One server; `stop` loses what it held, `pause` makes it hang."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = ["redis-server", *options, "--dir", str(self.folder), "--daemonize", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < give_up:
            try:
                assert self.command("PING") == b"+PONG"
            except OSError:
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.01)
            else:
                return
        self.stop()
        raise OSError(f"No Redis came up on port {self.port}.")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> bytes:
        """The first line that Redis answers, in its own protocol."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_S) as connection:
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{parts}".encode())
            return connection.makefile("rb").readline().rstrip(b"\r\n")


@contextmanager
def throw_away_redis() -> Iterator[RedisServer]:
    """A running server; skips the test, or fails it where Redis is required, if there is no redis-server."""
    if shutil.which("redis-server") is None:
        text = "There is no redis-server on PATH: nothing that needs Redis is tested. Install it (apt: redis-server)."
        (pytest.fail if REQUIRED else pytest.skip)(text)
    with tempfile.TemporaryDirectory(prefix="ragstone-redis-") as folder:
        server = _started(Path(folder))
        try:
            yield server
        finally:
            server.stop()


def _started(folder: Path) -> RedisServer:
    for _ in range(5):  # somebody may take the free port before Redis does
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            server = RedisServer(probe.getsockname()[1], folder)
        try:
            server.start()
        except OSError:
            continue
        return server
    raise OSError("Redis does not start.")
