"""Time saved by the query cache: a search, a cached search, and the embedding of the question alone.

Ingests a folder, asks for the headings found in it, and asks again. Needs the model, and
redis-server for the lines with Redis.

    python -m benchmarks.query_cache [--folder docs] [--times 200]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ragstone.retrieval.cache import CachedRetriever, dumps, loads
from ragstone.retrieval.retrieve import HybridRetriever
from ragstone.storage.cache import Cache, MemoryCache, cache_key
from ragstone.storage.redis import Redis
from ragstone.storage.shared_cache import RedisCache
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Query, Scope
from tests.platforms import OpenedPlatform, default_platform
from tests.redis_server import throw_away_redis

SCOPE = Scope()


async def timed(name: str, asked: Sequence[str], call: Callable[[str], Awaitable[object]]) -> None:
    took = []
    for text in asked:
        start = time.perf_counter()
        await call(text)
        took.append((time.perf_counter() - start) * 1000)
    took.sort()
    print(f"| {name} | {took[len(took) // 2]:.2f} | {took[int(len(took) * 0.99)]:.2f} |")


async def compare(platform: OpenedPlatform, redis: Redis, questions: Sequence[str], times: int) -> None:
    asked = [questions[number % len(questions)] for number in range(times)]
    fresh = HybridRetriever(
        embedder=platform.engines.embedder,
        index=platform.engines.index,
        library=platform.storage.library,
        metrics=Metrics(),
    )

    def remembering(cache: Cache) -> CachedRetriever:
        name = platform.engines.embedder.name
        return CachedRetriever(fresh, cache, library=platform.storage.library, embedder_name=name, metrics=Metrics())

    async def embedded(text: str) -> None:
        await platform.engines.embedder.embed([text], purpose="query")

    vectors = RedisCache(redis)
    keys = {text: cache_key(SCOPE.tenant, "vector", text) for text in questions}
    await vectors.put_many(dict.fromkeys(keys.values(), bytes(4 * platform.engines.embedder.dimensions)), 3600)
    print("| step | p50 ms | p99 ms |")
    print("|---|---|---|")
    await timed("embed a question", asked, embedded)
    await timed("fetch a vector from Redis", asked, lambda text: vectors.get_many([keys[text]]))
    await timed("search", asked, lambda text: fresh.search(SCOPE, Query(text)))
    for name, cache in (("memory", MemoryCache()), ("Redis", RedisCache(redis))):
        retriever = remembering(cache)
        await timed(f"search, then kept in {name}", questions, lambda text: retriever.search(SCOPE, Query(text)))  # noqa: B023
        await timed(f"search, remembered in {name}", asked, lambda text: retriever.search(SCOPE, Query(text)))  # noqa: B023
    found = await fresh.search(SCOPE, Query(questions[0]))
    start = time.perf_counter()
    for _ in range(times):
        loads(dumps(found, SCOPE), SCOPE)
    each_ms = (time.perf_counter() - start) / times * 1000
    print(
        f"\n{len(found.passages)} passages are {len(dumps(found, SCOPE))} bytes, written and read in {each_ms:.2f} ms"
    )


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--folder", type=Path, default=Path("docs"))
    arguments.add_argument("--times", type=int, default=200)
    asked = arguments.parse_args()
    texts = "\n".join(path.read_text(encoding="utf-8") for path in sorted(asked.folder.rglob("*.md")))
    questions = list(dict.fromkeys(re.findall(r"^#+ (.+)$", texts, re.MULTILINE)))[:50]
    with tempfile.TemporaryDirectory() as folder, throw_away_redis() as server:
        async with default_platform(Path(folder)) as platform:
            await platform.ingest(asked.folder, scope=SCOPE)
            redis = Redis(server.url, timeout_s=1)
            await compare(platform, redis, questions, asked.times)
            await redis.close()


if __name__ == "__main__":
    asyncio.run(main())
