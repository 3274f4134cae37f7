"""Circuit breaker: time until it opens, calls during the fault, and time until it closes again.

A server on loopback is well, then fails in one of several ways, then is well again, under calls at a steady pace
through the client and the guard that every call outside goes through. Then what the guard costs a call.

    python -m benchmarks.breaker [--down 12] [--calls 20000]

Target: open within 20 failures or 2 s; all traffic at most 10 s after the first good probe.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import stamina.instrumentation

from ragstone.errors import CircuitOpen
from ragstone.resilience.breaker import State
from ragstone.resilience.http_client import CallTimeouts, HttpClient
from ragstone.resilience.retry import UpstreamFault
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies, UpstreamPolicy
from ragstone.telemetry.logs import configure_logs
from ragstone.telemetry.metrics import Metrics

WELL_S = 2.0
BACK_WITHIN_S = 20.0
IN_ROW = 50  # answers without a refusal: traffic is back
FAULTS = (("HTTP 503", 100), ("refuses", 100), ("hangs", 100), ("HTTP 503", 2), ("half HTTP 503", 100))
TIMEOUTS = CallTimeouts(connect_s=1.0, first_byte_s=1.0, idle_s=1.0, total_s=2.0)


class Server:
    """Answers as its `fault` says, and counts what it gets."""

    def __init__(self) -> None:
        self.fault = ""
        self.asked = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut all connections and refuse new ones."""
        assert self._server
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def begin(self, fault: str) -> None:
        """Fail from now on."""
        self.fault, self.asked = fault, 0
        if fault == "refuses":
            await self.stop()

    async def mend(self) -> None:
        """Be well again."""
        refused, self.fault = self.fault == "refuses", ""
        if refused:
            await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                if self.fault == "hangs":
                    await reader.read(1)
                    break
                failing = self.fault == "HTTP 503" or (self.fault == "half HTTP 503" and self.asked % 2)
                head = b"HTTP/1.1 503 X" if failing else b"HTTP/1.1 200 OK"
                writer.write(head + b"\r\ncontent-length: 2\r\n\r\nok")
        self._open.discard(writer)
        writer.close()


@dataclass(slots=True)
class Seen:
    """What happened, and when."""

    failures: int = 0
    opened_at: float | None = None
    failures_to_open: int = 0
    states: list[tuple[float, State]] = field(default_factory=list)
    outcomes: list[tuple[float, bool]] = field(default_factory=list)


async def call(guard: UpstreamPolicy, client: HttpClient, server: Server, seen: Seen) -> None:
    async def operation() -> None:
        async with client.open("GET", f"http://127.0.0.1:{server.port}/", trusted=True) as answer:
            await answer.read(100)
            if answer.status >= 500:
                raise UpstreamFault("It failed.", retryable=True)

    async def watched() -> None:
        try:
            await operation()
        except UpstreamFault:
            seen.failures += guard.breaker.state is State.CLOSED
            raise

    answered = False
    with suppress(CircuitOpen, UpstreamFault):
        await guard.call(watched)
        answered = True
    now = time.perf_counter()
    if seen.opened_at is None and guard.breaker.state is State.OPEN:
        seen.opened_at, seen.failures_to_open = now, seen.failures
    seen.outcomes.append((now, answered))


@asynccontextmanager
async def calling(
    guard: UpstreamPolicy, client: HttpClient, server: Server, per_second: int
) -> AsyncGenerator[Seen, None]:
    """Calls at a steady pace, whatever becomes of them."""
    seen = Seen()

    async def pace() -> None:
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as calls:
            for number in range(10**9):
                await asyncio.sleep(max(0.0, begin + number / per_second - time.perf_counter()))
                calls.create_task(call(guard, client, server, seen))
                if seen.states[-1:] == [] or seen.states[-1][1] is not guard.breaker.state:
                    seen.states.append((time.perf_counter(), guard.breaker.state))

    pacing = asyncio.create_task(pace())
    try:
        yield seen
    finally:
        pacing.cancel()
        with suppress(asyncio.CancelledError):
            await pacing


async def trial(client: HttpClient, fault: str, per_second: int, down_s: float) -> None:
    """One line of the table."""
    server, guard = Server(), UpstreamPolicies(UpstreamOptions(), metrics=Metrics()).guard("mock")
    await server.start()
    async with calling(guard, client, server, per_second) as seen:
        await asyncio.sleep(WELL_S)
        await server.begin(fault)
        broken_at, offered = time.perf_counter(), len(seen.outcomes)
        await asyncio.sleep(down_s)
        offered, asked = len(seen.outcomes) - offered, server.asked
        await server.mend()
        mended_at = time.perf_counter()
        good_at = await first_good(seen, mended_at)
        back_at = await in_a_row(seen, good_at, per_second)
    await server.stop()
    opened_s = "never" if seen.opened_at is None else f"{seen.opened_at - broken_at:.2f}"
    print(
        f"| {fault}, {per_second}/s | {seen.failures_to_open} | {opened_s} | {asked} of {offered} | "
        f"{good_at - mended_at:.1f} | {back_at - good_at:.3f} |"
    )


async def first_good(seen: Seen, since: float) -> float:
    """When the first call after `since` was answered."""
    give_up = since + BACK_WITHIN_S
    while time.perf_counter() < give_up:
        for at, answered in reversed(seen.outcomes):
            if at < since:
                break
            if answered:
                return next(when for when, good in seen.outcomes if when >= since and good)
        await asyncio.sleep(0.005)
    return float("inf")


async def in_a_row(seen: Seen, since: float, per_second: int) -> float:
    """When the row of answers began that was interrupted by no refusal."""
    count = min(IN_ROW, per_second * 5)
    give_up = since + BACK_WITHIN_S
    while time.perf_counter() < give_up:
        after = [(at, good) for at, good in seen.outcomes if at >= since]
        if len(after) >= count and all(good for _, good in after[-count:]):
            refused = [at for at, good in after if not good]
            return next(at for at, good in after if good and at > (refused[-1] if refused else 0))
        await asyncio.sleep(0.01)
    return float("inf")


async def costs(calls: int) -> None:
    """What the guard's own work takes, in microseconds."""
    guard = UpstreamPolicies(UpstreamOptions(), metrics=Metrics()).guard("mock")

    async def nothing() -> None:
        pass

    async def broken() -> None:
        raise UpstreamFault("It failed.", retryable=False)

    async def placed() -> None:
        async with guard.place("tenant"):
            pass

    async def refused() -> None:
        with suppress(CircuitOpen):
            await guard.call(nothing)

    print("\n| what | us |\n|---|---|")
    print(f"| guard.call | {await each_us(lambda: guard.call(nothing), calls):.1f} |")
    print(f"| guard.place | {await each_us(placed, calls):.1f} |")
    while guard.breaker.state is State.CLOSED:
        with suppress(UpstreamFault):
            await guard.call(broken)
    print(f"| guard.call, left alone | {await each_us(refused, calls):.1f} |")


async def each_us(operation: Callable[[], Awaitable[object]], calls: int) -> float:
    """Microseconds of one call, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls // 5):
            await operation()
        best = min(best, (time.perf_counter() - started) / (calls // 5))
    return best * 1e6


async def measure(down_s: float, calls: int) -> None:
    """Print both tables."""
    print("| fault | failures until open | s until open | asked while down | s from mended to good probe | ", end="")
    print("s from good probe to all traffic |\n|---|---|---|---|---|---|")
    client = HttpClient(timeouts=TIMEOUTS)
    for fault, per_second in FAULTS:
        await trial(client, fault, per_second, down_s)
    await client.close()
    await costs(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--down", type=float, default=12.0, help="seconds the server fails")
    parser.add_argument("--calls", type=int, default=20_000)
    arguments = parser.parse_args()
    configure_logs("error")
    stamina.instrumentation.set_on_retry_hooks(())
    asyncio.run(measure(arguments.down, arguments.calls))


if __name__ == "__main__":
    main()
