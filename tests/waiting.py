"""The one place where tests poll: for facts about processes that nobody can wait for."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable

PATIENCE_S = 30.0
POLL_S = 0.02


async def until(fact: Callable[[], bool]) -> None:
    """Poll until the fact holds; fail when patience is out."""
    give_up = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < give_up, "It did not come true in time."
        await asyncio.sleep(POLL_S)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has waited for does not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return listed.strip() != "" and not listed.startswith("Z")
