"""Time that passes when a test says so."""

from __future__ import annotations


class Clock:
    """A clock to be given to code that takes one; `now` is in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
