"""The one place where tests poll: for facts about processes that cannot be awaited."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE_S = 30.0
POLL_S = 0.02

T = TypeVar("T")


async def until(fact: Callable[[], bool]) -> None:
    """Poll until the fact holds; fail when patience is out."""
    give_up = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < give_up, "It did not come true in time."
        await asyncio.sleep(POLL_S)


async def found(look: Callable[[], Awaitable[T | None]]) -> T:
    """Poll until something is found; fail when patience is out."""
    give_up = time.monotonic() + PATIENCE_S
    while (seen := await look()) is None:
        assert time.monotonic() < give_up, "It was not found in time."
        await asyncio.sleep(POLL_S)
    return seen


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return listed.strip() != "" and not listed.startswith("Z")
