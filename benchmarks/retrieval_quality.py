"""Retrieval quality of BM25 alone, dense alone, RRF, and Ragstone's fusion.

Each set is ingested through the whole services, an entry of its corpus as one Markdown
file (`# title`, then the text), and asked its own questions. Measured on documents:
the rank of a document is that of its best chunk. `bm25s` (k1 0.9, b 0.4, Lucene's
formula, Porter) ranks the same entries as a reference for our BM25.

    python -m benchmarks.retrieval_quality --keep /tmp/quality [--sets scifact …] [--queries 300]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean

import bm25s
import Stemmer

from ragstone.embedding.sparse import BM25_B, BM25_K1, query_vector
from ragstone.evaluation.datasets import TestCollection, TestDocument, read_collection
from ragstone.evaluation.metrics import ndcg_at_k, recall_at_k
from ragstone.ingestion.submit import Upload
from ragstone.retrieval.base import RetrievalOptions
from ragstone.retrieval.retrieve import HybridRetriever
from ragstone.services import Services
from ragstone.settings import Settings
from ragstone.telemetry.logs import configure_logs
from ragstone.vocabulary import Filters, Query, Scope
from ragstone.wiring import open_services

DATA = Path(os.environ.get("RAGSTONE_OPEN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SETS = ("scifact", "mlquestions", "squad_v2")
K = 10
CHUNKS = 50
"""Chunks taken of each ranking before they are counted as documents."""

Ranking = list[str]


def markdown(entry: TestDocument) -> bytes:
    """An entry as the file that is ingested."""
    return (f"# {entry.title}\n\n{entry.text}" if entry.title else entry.text).encode()


def sources(collection: TestCollection) -> dict[str, str]:
    """Document source to the id of its entry."""
    return {f"upload:{number}.md": entry for number, entry in enumerate(collection.documents)}


async def ingest(services: Services, collection: TestCollection) -> None:
    """Bring the collection in; what is already there is skipped."""
    entries = collection.documents
    uploads = [Upload(source, "", markdown(entries[entry])) for source, entry in sources(collection).items()]
    start = time.perf_counter()
    job = await services.corpus.ingestion.submit(Scope(), uploads)
    await services.corpus.ingestion.work(until_job=(Scope(), job.id))
    done = await services.corpus.ingestion.job(Scope(), job.id)
    seconds = time.perf_counter() - start
    print(
        f"  {done.done} ingested, {done.skipped} skipped, {done.failed} failed, {done.chunks} chunks, {seconds:.0f} s"
    )


async def entry_of_document(services: Services, collection: TestCollection) -> dict[str, str]:
    """Document id to entry id."""
    entries, after = sources(collection), None
    found: dict[str, str] = {}
    while page := await services.storage.library.documents(Scope(), limit=1000, after=after):
        found |= {document.id: entries[document.source] for document in page}
        after = page[-1].id
    return found


def distinct(documents: Iterable[str], entries: dict[str, str]) -> Ranking:
    """Entries in the order of their best chunk."""
    return list(dict.fromkeys(entries[document] for document in documents))


class Systems:
    """The rankings to compare, each a coroutine function from a question to entry ids."""

    def __init__(self, services: Services, entries: dict[str, str]) -> None:
        self._services = services
        self._entries = entries
        self._ours = self._retriever(RetrievalOptions())
        self._rrf = self._retriever(RetrievalOptions(fusion="rrf"))

    def _retriever(self, options: RetrievalOptions) -> HybridRetriever:
        p = self._services
        return HybridRetriever(
            embedder=p.engines.embedder,
            index=p.engines.index,
            library=p.storage.library,
            metrics=p.operations.metrics,
            options=options,
        )

    async def bm25(self, question: str) -> Ranking:
        """The lexical leg."""
        found = await self._services.engines.index.search(
            Scope(), dense=None, sparse=query_vector(question), filters=Filters(), limit=CHUNKS
        )
        return distinct((c.document_id for c in found.sparse), self._entries)

    async def dense(self, question: str) -> Ranking:
        """The dense leg."""
        vector = (await self._services.engines.embedder.embed([question], purpose="query"))[0]
        index = self._services.engines.index
        found = await index.search(Scope(), dense=vector, sparse=None, filters=Filters(), limit=CHUNKS)
        return distinct((c.document_id for c in found.dense), self._entries)

    async def rrf(self, question: str) -> Ranking:
        """Both legs by reciprocal rank fusion."""
        return await self._searched(self._rrf, question)

    async def ours(self, question: str) -> Ranking:
        """Both legs as the platform fuses them."""
        return await self._searched(self._ours, question)

    async def _searched(self, retriever: HybridRetriever, question: str) -> Ranking:
        found = await retriever.search(Scope(), Query(question, limit=CHUNKS))
        return distinct((passage.chunk.document_id for passage in found.passages), self._entries)


def reference(collection: TestCollection, questions: Sequence[str]) -> list[Ranking]:
    """What `bm25s` makes of the same entries."""
    stemmer, ids = Stemmer.Stemmer("porter"), list(collection.documents)
    texts = [f"{entry.title}\n{entry.text}" for entry in collection.documents.values()]
    index = bm25s.BM25(method="lucene", k1=BM25_K1, b=BM25_B)
    index.index(bm25s.tokenize(texts, stemmer=stemmer, show_progress=False), show_progress=False)
    asked = bm25s.tokenize(list(questions), stemmer=stemmer, show_progress=False)
    found, _ = index.retrieve(asked, k=K, show_progress=False)
    return [[ids[row] for row in rows] for rows in found]


def line(name: str, rankings: Sequence[Ranking], keys: Sequence[str], collection: TestCollection) -> tuple[str, float]:
    """A row of the table, and its nDCG."""
    judged = [(ranked, collection.relevance[key]) for ranked, key in zip(rankings, keys, strict=True)]
    ndcg = fmean(ndcg_at_k(ranked, relevance, K) for ranked, relevance in judged)
    recall = fmean(recall_at_k(ranked, relevance, K) for ranked, relevance in judged)
    return f"| {name} | {ndcg:.4f} | {recall:.4f} |", ndcg


async def measure(name: str, folder: Path, data: Path, limit: int | None) -> None:
    """Print the table of one set."""
    collection = read_collection(data / name)
    keys = list(collection.questions)
    if limit and limit < len(keys):
        keys = sorted(random.Random(0).sample(keys, limit))
    print(f"\n## {name}: {len(collection.documents)} documents, {len(keys)} questions")
    questions = [collection.questions[key] for key in keys]
    async with open_services(Settings(data_dir=folder)) as services:
        await ingest(services, collection)
        systems = Systems(services, await entry_of_document(services, collection))
        print(f"\n| ranking | nDCG@{K} | recall@{K} |\n|---|---|---|")
        scores = {}
        for label, system in (("BM25", systems.bm25), ("dense", systems.dense), ("RRF", systems.rrf)):
            row, scores[label] = line(label, [await system(q) for q in questions], keys, collection)
            print(row)
        print(line("ours", [await systems.ours(q) for q in questions], keys, collection)[0])
    row, ndcg = line("bm25s", reference(collection, questions), keys, collection)
    print(f"{row}\n\nOur BM25 against bm25s: {scores['BM25'] - ndcg:+.4f} nDCG@{K}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the sets")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--queries", type=int, help="questions per set, drawn with a fixed seed; default: all")
    parser.add_argument("--keep", type=Path, help="keep the ingested data here, and use it again")
    arguments = parser.parse_args()
    configure_logs("warning")
    with nullcontext(arguments.keep) if arguments.keep else tempfile.TemporaryDirectory() as folder:
        for name in arguments.sets:
            asyncio.run(measure(name, Path(folder) / name, arguments.data, arguments.queries))


if __name__ == "__main__":
    main()
