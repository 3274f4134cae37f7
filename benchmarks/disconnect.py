"""Time from a client's disconnect to the end of its model call, before and after the first token.

The model runs in a process of its own and notes when its connection is closed; both clocks are the machine's.

    python -m benchmarks.disconnect [--trials 200]

Target: at most 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.mock_model import MockModel, mock_model
from benchmarks.probed_server import ProbedServer, percentiles, probed_server
from benchmarks.sse_client import events, posted, status_of
from benchmarks.streams import QUESTION, ingest_notes, model_settings

AT_ONCE = 4
MANNERS = ("before the first token", "in the middle", "without a stream")


async def trial(server: ProbedServer, model: MockModel, number: int, manner: str) -> float | None:
    """Milliseconds from the cut to the moment the model sees it; None if it never does."""
    words = f"{QUESTION} trial:{number} tokens:400 rate:40" + (" silent" if manner == "before the first token" else "")
    body = {"question": words, "stream": manner != "without a stream"}
    async with posted(server.port, "/api/chat", body) as (reader, writer):
        if await model.until("asked", number) is None:
            return None
        if manner == "in the middle":
            assert await status_of(reader) == 200
            async for name, _, _ in events(reader):
                if name == "delta":
                    break
        await asyncio.sleep(random.uniform(0, 0.05))
        writer.transport.abort()
        cut = time.monotonic_ns()
    seen = await model.until("hung_up", number)
    return None if seen is None else (seen - cut) / 1e6


async def measure(server: ProbedServer, model: MockModel, trials: int) -> None:
    """Print the table."""
    await ingest_notes(server)
    print(f"{trials} trials each, {AT_ONCE} at once\n")
    print("| the client goes | never noticed | p50 / p95 / p99 / max ms |\n|---|---|---|")
    for place, manner in enumerate(MANNERS):
        took = await several(server, model, iter(range(place * trials, (place + 1) * trials)), manner)
        noticed = [each for each in took if each is not None]
        print(f"| {manner} | {len(took) - len(noticed)} of {len(took)} | {percentiles(noticed)} |")


async def several(server: ProbedServer, model: MockModel, numbers: Iterator[int], manner: str) -> list[float | None]:
    """The trials of these numbers, a few at once."""

    async def some() -> list[float | None]:
        return [await trial(server, model, number, manner) for number in numbers]

    return [each for took in await asyncio.gather(*(some() for _ in range(AT_ONCE))) for each in took]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    arguments = parser.parse_args()
    random.seed(7)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock_model() as model,
        probed_server(Path(folder) / "data", **model_settings(model.url)) as server,
    ):
        asyncio.run(measure(server, model, arguments.trials))


if __name__ == "__main__":
    main()
