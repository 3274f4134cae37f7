"""Retrieval quality of several ways to embed a chunk longer than the embedder's window.

Cuts documents into chunks of 500 tokens, embeds them in several ways, and asks the
questions of public collections: nDCG@10 and recall@10 of the dense leg alone. In the
collections of documents a document scores by its best chunk; in chunking_eval a chunk
is relevant if it holds at least half of a gold span. squad_v2 has short passages: it
shows what the title adds.

    python -m benchmarks.embedding_windows --data ../shared/data [--documents 800]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragstone.documents.chunking import chunk
from ragstone.embedding.cache import CachedEmbedder
from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.embedding.windows import windows
from ragstone.vocabulary import Chunk

DEPTH = 10
SEED = 7


@dataclass(frozen=True, slots=True)
class Collection:
    """Chunks with the title of their document, and for each question the units that answer it.

    `units[i]` is what chunk i counts as: its document, or itself.
    """

    name: str
    chunks: list[Chunk]
    titles: list[str]
    units: list[str]
    questions: list[str]
    relevant: list[set[str]]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to embed a long chunk."""

    pooling: str
    overlap_share: float
    titled: bool

    def __str__(self) -> str:
        overlap = f", {self.overlap_share:.0%} overlap" if self.overlap_share else ""
        return f"{self.pooling}{overlap}{', with title' if self.titled else ', text only'}"


WAYS = [
    *(Way(pooling, 0, titled) for titled in (False, True) for pooling in ("cut", "mean", "best")),
    *(Way(pooling, 0.125, True) for pooling in ("mean", "best")),
]


class MemoryStore:
    """Vectors of this run."""

    def __init__(self):
        self.kept: dict[str, bytes] = {}

    async def get_many(self, keys):
        """See `VectorStore`."""
        return {key: self.kept[key] for key in keys if key in self.kept}

    async def put_many(self, values):
        """See `VectorStore`."""
        self.kept |= values


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def documents_collection(folder: Path, embedder: MiniLMEmbedder, limit: int, *, beyond: int) -> Collection:
    """Questions answered by a document of more than `beyond` tokens, all of those documents, and others."""
    corpus = {row["id"]: row for row in lines(folder / "corpus.jsonl")}
    qrels: dict[str, set[str]] = defaultdict(set)
    for row in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        question, document, score = row.split("\t")
        if int(score) > 0 and document in corpus:
            qrels[question].add(document)
    sizes = {key: len(embedder.token_offsets(row["text"])) for key, row in corpus.items()}
    long = {question: found for question, found in qrels.items() if any(sizes[key] > beyond for key in found)}
    draw = random.Random(SEED)
    asked = draw.sample(sorted(long), min(len(long), limit // 3))
    needed = {key for question in asked for key in long[question]}
    others = [key for key in corpus if key not in needed]
    kept = [*sorted(needed), *draw.sample(others, max(0, min(len(others), limit - len(needed))))]
    texts = {row["id"]: row["text"] for row in lines(folder / "queries.jsonl")}
    return collection(folder.name, {key: corpus[key] for key in kept}, embedder, asked, texts, long)


def collection(name, corpus, embedder, asked, texts, qrels) -> Collection:
    chunks = [
        (one, row["title"], key)
        for key, row in corpus.items()
        for one in chunk(row["text"], document_id=key, version=1, token_offsets=embedder.token_offsets)
    ]
    return Collection(
        name,
        [one for one, _, _ in chunks],
        [title for _, title, _ in chunks],
        [key for _, _, key in chunks],
        [texts[question] for question in asked],
        [qrels[question] for question in asked],
    )


def spans_collection(folder: Path, embedder: MiniLMEmbedder) -> Collection:
    chunks = [
        one
        for row in lines(folder / "corpus.jsonl")
        for one in chunk(row["text"], document_id=row["id"], version=1, token_offsets=embedder.token_offsets)
    ]
    asked, relevant = [], []
    for row in lines(folder / "queries.jsonl"):
        asked.append(row["text"])
        relevant.append(
            {
                one.id
                for one in chunks
                for span in row["evidence"]
                if one.document_id == span["doc"]
                and 2 * (min(one.end, span["end"]) - max(one.start, span["start"])) >= span["end"] - span["start"]
            }
        )
    titles = [one.document_id.replace("_", " ") for one in chunks]
    return Collection(folder.name, chunks, titles, [one.id for one in chunks], asked, relevant)


def texts_of(way: Way, embedder: MiniLMEmbedder, one: Chunk, title: str) -> list[str]:
    head = f"{title}\n" if way.titled and title else ""
    room = embedder.window_tokens - len(embedder.token_offsets(head))
    offsets = embedder.token_offsets(one.text)
    if len(offsets) <= room:
        return [head + one.text]
    cuts = windows(len(offsets), room, overlap=int(room * way.overlap_share))
    if way.pooling == "cut":
        cuts = [(0, room)]
    return [head + one.text[offsets[first, 0] : offsets[last - 1, 1]] for first, last in cuts]


async def measure(way: Way, data: Collection, embedder: CachedEmbedder, model: MiniLMEmbedder) -> tuple[float, float]:
    texts = [texts_of(way, model, one, title) for one, title in zip(data.chunks, data.titles, strict=True)]
    vectors = await embedder.embed([text for of_chunk in texts for text in of_chunk], purpose="document")
    owner = np.repeat(np.arange(len(texts)), [len(of_chunk) for of_chunk in texts])
    if way.pooling == "mean":
        vectors = np.stack([vectors[owner == at].mean(axis=0) for at in range(len(texts))])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        owner = np.arange(len(texts))
    questions = await embedder.embed(data.questions, purpose="query")
    ndcgs, recalls = [], []
    for scores, relevant in zip(questions @ vectors.T, data.relevant, strict=True):
        best: dict[str, float] = defaultdict(lambda: -1.0)
        for row, score in enumerate(scores):
            unit = data.units[owner[row]]
            best[unit] = max(best[unit], score)
        top = sorted(best, key=lambda unit: -best[unit])[:DEPTH]
        gains = [unit in relevant for unit in top]
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(DEPTH, len(relevant))))
        ndcgs.append(sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains)) / ideal)
        recalls.append(sum(gains) / len(relevant))
    return float(np.mean(ndcgs)), float(np.mean(recalls))


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--documents", type=int, default=800, help="documents taken of each collection")
    arguments.add_argument("--only", nargs="+", default=["scifact", "clapnq", "squad_v2", "chunking_eval"])
    asked = arguments.parse_args()
    model = MiniLMEmbedder.load()
    embedder = CachedEmbedder(model, MemoryStore())
    long = model.window_tokens
    makers: dict[str, Callable[[Path], Collection]] = {
        "scifact": lambda folder: documents_collection(folder, model, asked.documents, beyond=long),
        "clapnq": lambda folder: documents_collection(folder, model, asked.documents, beyond=long),
        "squad_v2": lambda folder: documents_collection(folder, model, asked.documents, beyond=0),
        "chunking_eval": lambda folder: spans_collection(folder, model),
    }
    collections = [make(asked.data / name) for name, make in makers.items() if name in asked.only]
    for data in collections:
        long = sum(one.token_count > model.window_tokens for one in data.chunks)
        print(f"- {data.name}: {len(data.questions)} questions, {len(data.chunks)} chunks, {long} beyond the window")
    print(f"\n| nDCG@10 / recall@10 | {' | '.join(data.name for data in collections)} | mean nDCG@10 |")
    print("|---|" + "---|" * (len(collections) + 1), flush=True)
    for way in WAYS:
        found = [await measure(way, data, embedder, model) for data in collections]
        cells = " | ".join(f"{ndcg:.3f} / {recall:.3f}" for ndcg, recall in found)
        print(f"| {way} | {cells} | {np.mean([ndcg for ndcg, _ in found]):.3f} |", flush=True)
    model.close()


if __name__ == "__main__":
    asyncio.run(main())
