"""`ragstone serve` in its own process, with a probe of the delay of its event loop.

The probe wants to wake up every 5 ms and writes how much later it did, so whatever holds the loop shows, from the
moment the server listens. CPU time is that of the server's process alone, as the system counts it.
It runs on uvloop as the command does; `BENCH_LOOP=asyncio` compares.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from ragstone.app import serve
from ragstone.settings import load_settings
from ragstone.telemetry.logs import configure_logs

INTERVAL_S = 0.005
FLUSH_EVERY = 100
LAG_FILE = "lag.f64"


async def _probe(file: Path) -> None:
    clock = time.perf_counter
    with file.open("ab", buffering=0) as kept:
        while True:
            lags = array("d")
            for _ in range(FLUSH_EVERY):
                asked = clock()
                await asyncio.sleep(INTERVAL_S)
                lags.append(clock() - asked - INTERVAL_S)
            kept.write(lags.tobytes())


async def _serve() -> None:
    settings = load_settings()
    configure_logs("error")
    probing = asyncio.create_task(_probe(settings.data_dir / LAG_FILE))
    await serve(settings, announce=lambda sentence: print(sentence, flush=True))
    probing.cancel()


@dataclass(frozen=True, slots=True)
class ProbedServer:
    """The running server."""

    url: str
    port: int
    pid: int
    lag_file: Path

    def cpu_s(self) -> float:
        """CPU seconds the process used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def lags_ms(self) -> np.ndarray:
        """All lags so far."""
        return np.fromfile(self.lag_file) * 1e3


@contextmanager
def probed_server(data_dir: Path, **environment: str) -> Iterator[ProbedServer]:
    """Start the server on a free port of loopback, with variables such as `RAGSTONE_INDEX__ENGINE`; end it after."""
    data_dir.mkdir(exist_ok=True)
    variables = {"RAGSTONE_DATA_DIR": str(data_dir), "RAGSTONE_SERVER__PORT": "0", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    assert process.stdout
    said = process.stdout.readline()
    address = next((word.strip(",;.") for word in said.split() if word.startswith("http://")), "")
    if not address:
        raise SystemExit(f"The server did not start: {said}")
    try:
        yield ProbedServer(address, int(address.rsplit(":", 1)[1]), process.pid, data_dir / LAG_FILE)
    finally:
        process.terminate()
        process.wait()


def percentiles(values: Sequence[float] | np.ndarray) -> str:
    """p50 / p95 / p99 / max of milliseconds."""
    if not len(values):
        return "no values"
    return " / ".join(f"{value:.1f}" for value in np.percentile(values, [50, 95, 99, 100]))


if __name__ == "__main__":
    loop_factory = import_module(os.environ.get("BENCH_LOOP", "uvloop")).new_event_loop
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve())
