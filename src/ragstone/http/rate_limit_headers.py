"""Response headers that say how many requests of its plan a tenant has left.

`RateLimit-Limit`, `-Remaining` and `-Reset` are what most clients read (drafts up to
draft-ietf-httpapi-ratelimit-headers-06); `RateLimit-Policy` and `RateLimit` are the fields
of draft-ietf-httpapi-ratelimit-headers-11. Both give numbers of requests, and
times in whole seconds, rounded up.
"""

from __future__ import annotations

from math import ceil

from ragstone.vocabulary import REQUESTS_WINDOW_S, RateLimitStatus


def status_headers(status: RateLimitStatus) -> dict[str, str]:
    """The headers of a request that was counted; none where the plan has no limit."""
    if status.limit is None:
        return {}
    return _headers(status.limit, max(status.remaining, 0), status.reset_s)


def refused_headers(limit: int | None, retry_after_s: float) -> dict[str, str]:
    """The headers of a request for which there was no room."""
    return {} if limit is None else _headers(limit, 0, retry_after_s)


def whole_seconds(seconds: float) -> str:
    """Seconds for a header: rounded up, so that a client that waits this long waits long enough."""
    return str(max(ceil(seconds), 0))


def _headers(limit: int, remaining: int, reset_s: float) -> dict[str, str]:
    reset = whole_seconds(reset_s)
    return {
        "ratelimit-limit": str(limit),
        "ratelimit-remaining": str(remaining),
        "ratelimit-reset": reset,
        "ratelimit-policy": f'"plan";q={limit};w={REQUESTS_WINDOW_S}',
        "ratelimit": f'"plan";r={remaining};t={reset}',
    }
