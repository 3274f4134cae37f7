"""Redis, which may be there or not: every call has a deadline, and a broken one is left alone for a moment."""

from __future__ import annotations


class Redis:
    """A connection to Redis for what is derived: limits, caches, news of revocations."""

    def __init__(self, url: str, *, timeout_s: float = 0.05) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigurationError: the redis extra is not installed, or the URL is none.
        """
        self._url = url
        self._timeout_s = timeout_s

    async def close(self) -> None:
        """Let go of all connections."""
