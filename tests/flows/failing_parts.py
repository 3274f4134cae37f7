"""Parts that fail by a seeded chance, in every way there is, and a model's server without a network."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragstone.errors import IndexUnavailable, ModelUnavailable, Unavailable
from ragstone.resilience.retry import UpstreamFault

FAILURES: tuple[Callable[[], BaseException], ...] = (
    lambda: IndexUnavailable("It is down."),
    lambda: ModelUnavailable("It is down."),
    lambda: Unavailable("It is down."),
    lambda: OSError("reset"),
    lambda: RuntimeError("a mistake of somebody"),
    lambda: KeyError("absent"),
    MemoryError,
)
GARBAGE = object()
KINDS = ("raises",) * 8 + ("garbage",) * 2 + ("hangs",)


class Flaky:
    """Stands for a part of retrieval; each of its coroutines fails, hangs or returns nonsense by chance.

    `chance` may be changed at any time; `failed` counts what was done, by kind.
    """

    def __init__(self, inner: Any, seed: int, *, chance: float = 0.0) -> None:
        self._inner = inner
        self._random = random.Random(seed)
        self.chance = chance
        self.failed: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._spoilt(found) if inspect.iscoroutinefunction(found) else found

    def _spoilt(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*args: Any, **named: Any) -> Any:
            if self._random.random() >= self.chance:
                return await call(*args, **named)
            kind = self._random.choice(KINDS)
            self.failed[kind] += 1
            if kind == "raises":
                failure = self._random.choice(FAILURES)()
                raise failure
            if kind == "hangs":
                await asyncio.Event().wait()
            return GARBAGE

        return called


@dataclass
class Answer:
    """What the server without a network says: the shape of an answer whose head is there."""

    status: int
    body: bytes
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),)

    async def chunks(self) -> AsyncGenerator[bytes]:
        yield self.body

    async def read(self, limit: int) -> bytes:
        return self.body

    def close(self) -> None:
        pass


@dataclass
class Servers:
    """Begins answers as `HttpClient` does; every `fails`-th request on average finds no server."""

    seed: int
    fails: float = 0.05
    status: int = 200
    asked: list[bytes] = field(default_factory=list)
    refused: int = 0
    billed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def begin(self, method: str, url: str, *, headers: Any, body: bytes, trusted: bool) -> Answer:
        self.asked.append(body)
        if self._random.random() < self.fails:
            self.refused += 1
            raise UpstreamFault("no server is there", retryable=False)
        if self.status != 200:
            return Answer(self.status, b'{"error":{"message":"down"}}')
        self.billed += 1
        message = {"role": "assistant", "content": f"Answer {self.billed} [1]."}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return Answer(200, json.dumps({"id": "c", "choices": choices, "usage": usage}).encode())
