"""The real command `ragstone serve` for tests, on a free port of the loopback interface."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextmanager
def running_server(data_dir: Path, *options: str, **environment: str) -> Iterator[str]:
    """Start a server and give its address, for example `http://127.0.0.1:40123`; stop it after.

    `options` are those of `ragstone serve`.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "ragstone", "--data-dir", str(data_dir), "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RAGSTONE_LOG__LEVEL": "warning", **environment},
    )
    try:
        yield address_of(process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def address_of(process: subprocess.Popen[str]) -> str:
    """Where a server that was just started listens."""
    assert process.stdout
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if found := _ADDRESS.search(line):
            return found.group()
    raise AssertionError("The server ended before it listened:\n" + "".join(seen))
