"""Questions with their passages, as an answerer gets them; shared by the benchmarks of answers.

Passages are the best eight of the set's corpus by the convex sum (0.5) of BM25 and
MiniLM's cosine, the default way of retrieval; rankings are kept in a folder, for they
take minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np
import Stemmer

from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.embedding.windows import embed_chunks
from ragstone.vocabulary import Chunk, Hit, Passage, StageScore

DATA = Path(os.environ.get("RAGSTONE_OPEN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PASSAGES = 8


@dataclass(frozen=True, slots=True)
class Case:
    """A question, its passages, and what a right answer quotes; no gold: it has no answer."""

    id: str
    group: str
    question: str
    gold: tuple[str, ...]
    passages: tuple[Passage, ...]

    @property
    def answerable(self) -> bool:
        """Whether a right answer exists."""
        return bool(self.gold)


def cases(name: str, keep: Path, *, joined: int = 1, every: int = 1, first: int = 0) -> list[Case]:
    """Cases of a set; `group` is the article the question is about (fold by it, never across).

    `joined`: so many paragraphs of an article make one passage; three are about 500
    tokens, the size of chunk that the platform makes of a whole article. `every`, `first`:
    only each `every`-th question, from that place on.
    """
    corpus = _joined(list(_lines(DATA / name / "corpus.jsonl")), joined)
    queries = list(_lines(DATA / name / "queries.jsonl"))[first::every]
    rows = _rankings(
        f"{name}-{joined}" + f"-{first}-{every}" * (every > 1), keep, corpus, [query["text"] for query in queries]
    )
    return [
        Case(
            query["id"],
            query.get("source_doc", query["id"]).partition("#")[0],
            query["text"],
            _gold(query),
            tuple(
                _passage(corpus[int(place)], rank, score, dense) for rank, (place, score, dense) in enumerate(row, 1)
            ),
        )
        for query, row in zip(queries, rows, strict=True)
    ]


def _joined(corpus: list[dict], size: int) -> list[dict]:
    """Runs of `size` paragraphs of one article, in its order."""
    articles: dict[str, list[dict]] = defaultdict(list)
    for entry in corpus:
        articles[entry["title"] if size > 1 else entry["id"]].append(entry)
    return [
        {**run[0], "text": "\n\n".join(entry["text"] for entry in run)}
        for entries in articles.values()
        for run in batched(entries, size)
    ]


def batched(entries: list[dict], size: int) -> Iterator[list[dict]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _gold(query: dict) -> tuple[str, ...]:
    """SQuAD: any of the answers. CLAP NQ: any of the evidence sentences, as its answers are written freely."""
    if query["unanswerable"]:
        return ()
    sentences = tuple(sentence for one in query.get("evidence_sentences", ()) for sentence in one)
    return sentences or tuple(query["answers"])


def _passage(entry: dict, rank: int, score: float, dense: float) -> Passage:
    text = entry["text"]
    chunk = Chunk(entry["id"], entry["id"], 1, 0, 0, len(text), text, len(text) // 4)
    stages = {"fused": StageScore(rank, score), "dense": StageScore(rank, dense)}
    return Passage(chunk, entry["title"], entry["id"], "text/plain", Hit(entry["id"], score, stages))


def _rankings(name: str, keep: Path, corpus: list[dict], questions: list[str]) -> np.ndarray:
    kept = keep / f"{name}.npy"
    if not kept.exists():
        keep.mkdir(parents=True, exist_ok=True)
        np.save(kept, asyncio.run(_rank(corpus, questions)))
    return np.asarray(np.load(kept))


async def _rank(corpus: list[dict], questions: list[str]) -> np.ndarray:
    """Place in the corpus, fused score and cosine of the best passages of each question."""
    embedder = MiniLMEmbedder.load()
    asked = await embedder.embed(questions, purpose="query")
    columns = []
    for entry in corpus:
        windows = await embed_chunks(embedder, [_passage(entry, 1, 0, 0).chunk], title=entry["title"])
        columns.append((asked @ windows[0].T).max(axis=1))
    dense = np.stack(columns, axis=1)
    embedder.close()
    texts = [f"{entry['title']}\n{entry['text']}" for entry in corpus]
    stemmer = Stemmer.Stemmer("porter")
    index = bm25s.BM25(k1=0.9, b=0.4, method="lucene")
    index.index(bm25s.tokenize(texts, stemmer=stemmer, show_progress=False), show_progress=False)
    rows = []
    for question, cosines in zip(questions, dense, strict=True):
        words = bm25s.tokenize([question], stemmer=stemmer, return_ids=False, show_progress=False)[0]
        sparse = index.get_scores(words) if words else np.zeros(len(texts))
        fused = 0.5 * sparse / (sparse.max() or 1) + 0.5 * (cosines - cosines.min()) / np.ptp(cosines)
        best = np.argsort(-fused, kind="stable")[:PASSAGES]
        rows.append(np.stack([best, fused[best], cosines[best]], axis=1))
    return np.stack(rows)


def _lines(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
