"""Tenant isolation of search: hostile queries over 50 tenants in each leg, and the number of foreign hits.

Each tenant has the same words in its documents, so a query of one matches the chunks of all. Chunk, document and
collection names lie about their owner, metadata repeats the names of others, and filters ask for what is not theirs:
other tenants' documents, unknown ids, nothing, quotes, wildcards, characters of all kinds, huge limits.
A hit is foreign if the chunk it names is not the asking tenant's. By the rule of three, 100,000 queries without a
foreign hit say that fewer than 3 in 100,000 have one (95 %).

    python -m benchmarks.isolation [--queries 100000] [--seed 7]

The retriever answers more slowly than an index, and gets a tenth of the queries.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragstone.embedding.sparse import query_vector
from ragstone.index.base import Index, Point
from ragstone.index.memory import MemoryIndex
from ragstone.index.qdrant_edge.index import EdgeIndex
from ragstone.ingestion.submit import Upload
from ragstone.retrieval.fusion import convex, rrf
from ragstone.services import Services
from ragstone.settings import Settings
from ragstone.telemetry.logs import configure_logs
from ragstone.vocabulary import Filters, MetadataValue, Query, Scope
from ragstone.wiring import open_services

TENANTS = 50
DOCUMENTS = 4  # a tenant and collection
CHUNKS = 3  # a document
COLLECTIONS = ("default", "books")
DIMENSIONS = 16
WORDS = ("harbour", "crane", "lifts", "forty", "tonnes", "tide", "rope", "anchor", "night", "watch", "keel", "sail")
HOSTILE = (
    "",
    "*",
    "%",
    "_",
    "'",
    '"',
    "' OR 1=1 --",
    '"] or ["',
    "\\",
    "\n",
    "\u202e",
    "ﬀ",
    "🦘",
    "tenant",
    "null",
    "{}",
)
AT_ONCE = 8


def tenant_name(number: int) -> str:
    return f"t{number:02}"


def document_id(tenant: str, collection: str, number: int) -> str:
    return f"doc-{tenant}-{collection}-{number}"


@dataclass(frozen=True, slots=True)
class Attack:
    """One query of one tenant."""

    scope: Scope
    text: str
    filters: Filters
    limit: int


class Attacker:
    """Makes hostile queries; `strangers` gives documents of other tenants."""

    def __init__(self, seed: int, documents: Sequence[tuple[str, str]]) -> None:
        self._random = random.Random(seed)
        self._documents = documents

    def attacks(self, count: int) -> Iterable[Attack]:
        """`count` queries."""
        for _ in range(count):
            scope = Scope(tenant_name(self._random.randrange(TENANTS)), self._random.choice(COLLECTIONS))
            words = [*self._random.choices(WORDS, k=self._random.randint(1, 6)), self._random.choice(HOSTILE)]
            limit = self._random.choice((1, 3, 8, 50, 1000))
            yield Attack(scope, " ".join(words), self._filters(scope), limit)

    def _filters(self, scope: Scope) -> Filters:
        kinds: Sequence[Callable[[Scope], Filters]] = (
            lambda _: Filters(),
            self._of_strangers,
            self._of_strangers_and_own,
            lambda _: Filters(documents=tuple(self._random.choices(HOSTILE, k=3))),
            lambda _: Filters(media_types=tuple(self._random.choices((*HOSTILE, "text/markdown"), k=3))),
            self._by_metadata,
        )
        return self._random.choice(kinds)(scope)

    def _of_strangers(self, scope: Scope) -> Filters:
        drawn = self._random.choices(self._documents, k=5)
        return Filters(documents=tuple(document for tenant, document in drawn if tenant != scope.tenant))

    def _of_strangers_and_own(self, scope: Scope) -> Filters:
        drawn = self._random.choices(self._documents, k=20)
        own = [document for tenant, document in self._documents if tenant == scope.tenant]
        return Filters(documents=(*(document for _, document in drawn), self._random.choice(own)))

    def _by_metadata(self, _scope: Scope) -> Filters:
        name = self._random.choice(("tenant", "collection", "owner", "lang", "tenant'", "metadata", "*"))
        values: tuple[MetadataValue, ...] = (tenant_name(self._random.randrange(TENANTS)), 1, True, 1.0, "en")
        return Filters(metadata={name: values, "lang": ()})


def points(seed: int) -> Iterable[tuple[Scope, list[Point]]]:
    """The points of all tenants; equal words everywhere, and metadata that names another tenant as owner."""
    drawn = random.Random(seed)
    vectors = np.random.default_rng(seed)
    for number in range(TENANTS):
        for collection in COLLECTIONS:
            scope = Scope(tenant_name(number), collection)
            yield (
                scope,
                [_point(scope, index, chunk, drawn, vectors) for index in range(DOCUMENTS) for chunk in range(CHUNKS)],
            )


def _point(scope: Scope, number: int, chunk: int, drawn: random.Random, vectors: np.random.Generator) -> Point:
    document = document_id(scope.tenant, scope.collection, number)
    dense = vectors.normal(size=(1, DIMENSIONS)).astype(np.float32)
    dense /= np.linalg.norm(dense)
    sparse = query_vector(" ".join(drawn.choices(WORDS, k=8)))
    lies = tenant_name(drawn.randrange(TENANTS))
    metadata: dict[str, MetadataValue] = {"tenant": lies, "owner": lies, "lang": "en"}
    return Point(f"{document}:1:{chunk}", document, 1, "text/markdown", dense, sparse, metadata)


def known_documents() -> list[tuple[str, str]]:
    return [
        (tenant_name(number), document_id(tenant_name(number), collection, index))
        for number in range(TENANTS)
        for collection in COLLECTIONS
        for index in range(DOCUMENTS)
    ]


class Table:
    """Foreign hits and queries by leg."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()

    def count(self, leg: str, scope: Scope, documents: Iterable[str], owners: dict[str, Scope]) -> None:
        """Take the documents that one query of `scope` found."""
        self.queries[leg] += 1
        for document in documents:
            self.hits[leg] += 1
            self.foreign[leg] += owners.get(document) != scope

    def show(self, seconds: float, legs: Sequence[str]) -> None:
        """Print a row a leg."""
        for leg in legs:
            speed = self.queries[leg] / seconds
            print(f"| {leg} | {self.queries[leg]:,} | {self.hits[leg]:,} | {self.foreign[leg]} | {speed:,.0f} |")


async def attack_index(name: str, index: Index, count: int, seed: int, table: Table) -> None:
    """Fill the index, and ask it for both legs at once; both fusions come from the same candidates."""
    owners = {}
    for scope, some in points(seed):
        await index.upsert(scope, some)
        owners.update({point.document_id: scope for point in some})
    vectors = np.random.default_rng(seed + 1)
    legs = [f"{name}: {leg}" for leg in ("dense", "sparse", "fused (rrf)", "fused (convex)")]

    async def one(attack: Attack) -> None:
        dense = vectors.normal(size=DIMENSIONS).astype(np.float32)
        dense /= np.linalg.norm(dense)
        sparse = query_vector(attack.text)
        found = await index.search(
            attack.scope,
            dense=dense,
            sparse=sparse if len(sparse.indices) else None,
            filters=attack.filters,
            limit=attack.limit,
        )
        documents = {each.chunk_id: each.document_id for each in (*found.dense, *found.sparse)}
        table.count(legs[0], attack.scope, (each.document_id for each in found.dense), owners)
        table.count(legs[1], attack.scope, (each.document_id for each in found.sparse), owners)
        table.count(legs[2], attack.scope, (documents[hit.chunk_id] for hit in rrf(found)), owners)
        fused = convex(found, dense_weight=0.5)
        table.count(legs[3], attack.scope, (documents[hit.chunk_id] for hit in fused), owners)

    started = time.perf_counter()
    await several(one, Attacker(seed, known_documents()).attacks(count))
    table.show(time.perf_counter() - started, legs)


async def attack_retriever(services: Services, count: int, seed: int, table: Table) -> None:
    """The same through the retriever, whose passages come from SQL, cached or not."""
    owners = await ingested(services)
    documents = [(scope.tenant, document) for document, scope in owners.items()]
    leg = f"retriever on {services.settings.index.engine}"

    async def one(attack: Attack) -> None:
        found = await services.answers.retriever.search(attack.scope, Query(attack.text, attack.filters, attack.limit))
        table.count(leg, attack.scope, (each.chunk.document_id for each in found.passages), owners)

    started = time.perf_counter()
    await several(one, Attacker(seed, documents).attacks(count))
    table.show(time.perf_counter() - started, [leg])


async def ingested(services: Services) -> dict[str, Scope]:
    """Whose each document is. All tenants have documents of the same names and nearly the same words."""
    drawn = random.Random(1)
    owners = {}
    for number in range(TENANTS):
        for collection in COLLECTIONS:
            scope = Scope(tenant_name(number), collection)
            texts = [f"# Note {index}\n\n{' '.join(drawn.choices(WORDS, k=30))}." for index in range(DOCUMENTS)]
            uploads = [
                Upload(
                    f"upload:{index}.md",
                    f"{index}.md",
                    text.encode(),
                    "text/markdown",
                    {"tenant": tenant_name(number + 1)},
                )
                for index, text in enumerate(texts)
            ]
            job = await services.corpus.ingestion.submit(scope, uploads)
            await services.corpus.ingestion.work(until_job=(scope, job.id))
            owners.update({each.id: scope for each in await services.storage.library.documents(scope)})
    assert len(owners) == TENANTS * len(COLLECTIONS) * DOCUMENTS
    return owners


async def several(one: Callable[[Attack], Awaitable[None]], attacks: Iterable[Attack]) -> None:
    """Ask a few at once, so that what queries share is shared."""
    waiting = iter(attacks)

    async def ask_on() -> None:
        for attack in waiting:
            await one(attack)

    await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))


async def measure(queries: int, seed: int) -> int:
    """Print the table; returns how many hits were foreign."""
    table = Table()
    print(f"{TENANTS} tenants, {TENANTS * len(COLLECTIONS) * DOCUMENTS} documents, seed {seed}\n")
    print("| leg | queries | hits | foreign hits | queries/s |\n|---|---|---|---|---|")
    await attack_index("memory", MemoryIndex(DIMENSIONS), queries, seed, table)
    with tempfile.TemporaryDirectory() as folder:
        edge = await EdgeIndex.connect(Path(folder) / "index", dimensions=DIMENSIONS, embedder="bench", linger_s=0)
        try:
            await attack_index("edge", edge, queries, seed, table)
        finally:
            await edge.close()
    for engine in ("memory", "edge"):
        with tempfile.TemporaryDirectory() as folder:
            groups = {"embedding": {"model": "hashing"}, "index": {"engine": engine}}
            settings = Settings(_env_file=None, data_dir=Path(folder), **groups)  # type: ignore[arg-type]
            async with open_services(settings) as services:
                await attack_retriever(services, max(queries // 10, 1), seed, table)
    foreign = sum(table.foreign.values())
    print(f"\n{sum(table.queries.values()):,} lists of hits, {sum(table.hits.values()):,} hits, {foreign} foreign.")
    return foreign


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=100_000, help="for each index; the retriever gets a tenth")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    configure_logs("error")
    raise SystemExit(1 if asyncio.run(measure(arguments.queries, arguments.seed)) else 0)


if __name__ == "__main__":
    main()
