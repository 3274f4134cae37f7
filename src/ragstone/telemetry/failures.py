"""What failed lately, kept in memory until it is written down."""

from __future__ import annotations

from collections import deque


class Failures:
    """Collects failures; the oldest make room for new ones."""

    def __init__(self, *, most: int = 1000) -> None:
        self._kept: deque[tuple[str, str, str, str]] = deque(maxlen=most)

    def note(self, stage: str, error: BaseException | str, *, upstream: str = "", tenant: str = "") -> None:
        """Note one; never fails."""
        self._kept.append((stage, error if isinstance(error, str) else type(error).__name__, upstream, tenant))
