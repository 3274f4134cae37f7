"""Load driver: sends each request when it is due, independently of other answers, and measures its own delay.

A queue in the client would hide the delay that the test measures, so there is none: while `most`
requests are open, further arrivals are counted as not sent.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

MAX_GAPS = 1_000_000  # 8 bytes each; the first million describe a run well


@dataclass(frozen=True, slots=True)
class Reply:
    """Outcome of one request; times in seconds after it was sent. `problem` is empty for a complete answer.

    `first_s` is the time of the first word, None without one; `gaps_s` are the gaps between words.
    """

    first_s: float | None
    total_s: float
    words: int = 0
    problem: str = ""
    gaps_s: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One arrival: its due time, its delay in the client, and the times of its reply counted from the due time."""

    due_s: float
    lag_s: float
    first_s: float | None
    total_s: float
    words: int
    problem: str

    @property
    def done_s(self) -> float:
        """End of the call in seconds from the start."""
        return self.due_s + self.total_s


@dataclass(slots=True)
class Run:
    """Recorded test: calls in order of their end, arrivals that were not sent, and gaps between words."""

    calls: list[Call] = field(default_factory=list)
    not_sent: list[float] = field(default_factory=list)
    gaps_s: array[float] = field(default_factory=lambda: array("d"))
    wall_s: float = 0.0
    cpu_s: float = 0.0
    most_at_once: int = 0

    def add(self, call: Call, gaps_s: Sequence[float]) -> None:
        """Record the outcome of a call."""
        self.calls.append(call)
        self.gaps_s.extend(gaps_s[: max(0, MAX_GAPS - len(self.gaps_s))])


async def drive(
    moments: Sequence[float],
    ask: Callable[[int], Awaitable[Reply]],
    *,
    most: int,
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    report: Callable[[float, int], None] = lambda _moment, _running: None,
) -> Run:
    """Send a request at each of `moments` and wait for all answers.

    Args:
        moments: Due times in seconds from now, in order.
        ask: Sends request number n and returns its reply; it has a time limit of its own and raises nothing.
        most: Limit of open requests; further arrivals are not sent.
        clock: Monotonic clock in seconds.
        pause: Waits for a number of seconds; 0 only yields to other tasks.
        report: Called with seconds since the start and open requests.
    """
    run, running = Run(), set[asyncio.Task[None]]()
    start, cpu = clock(), time.process_time()
    try:
        for number, due_s in enumerate(moments):
            await pause(max(0.0, start + due_s - clock()))
            if len(running) >= most:
                run.not_sent.append(due_s)
                continue
            lag_s = max(0.0, clock() - start - due_s)
            task = asyncio.create_task(_one(run, ask, number, due_s, lag_s))
            running.add(task)
            task.add_done_callback(running.discard)
            run.most_at_once = max(run.most_at_once, len(running))
            report(due_s, len(running))
        if running:
            await asyncio.wait(running)
    finally:
        await _end(running)
    run.wall_s, run.cpu_s = clock() - start, time.process_time() - cpu
    return run


async def _one(run: Run, ask: Callable[[int], Awaitable[Reply]], number: int, due_s: float, lag_s: float) -> None:
    reply = await ask(number)
    first_s = None if reply.first_s is None else reply.first_s + lag_s
    run.add(Call(due_s, lag_s, first_s, reply.total_s + lag_s, reply.words, reply.problem), reply.gaps_s)


async def _end(running: set[asyncio.Task[None]]) -> None:
    left = list(running)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
