"""Hashing embedder: hashed words and character trigrams, without a model, for tests.

Deterministic across processes and machines; texts that share words, or parts of words,
are similar. The features are hashed with a sign (Weinberger et al., "Feature Hashing for
Large Scale Multitask Learning", ICML 2009), so collisions cancel on average.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from math import sqrt

import numpy as np

from ragstone.embedding.base import Matrix, Offsets, Purpose

WINDOW_TOKENS = 254  # as small as the real model's, so that tests meet long chunks too
TRIGRAM_WEIGHT = 0.25  # a shared word counts more than shared trigrams

_TOKEN = re.compile(r"\w+|[^\w\s]")


class HashingEmbedder:
    """Hashing embedder; a token is a word or a single character that is not part of one."""

    window_tokens = WINDOW_TOKENS

    def __init__(self, dimensions: int = 256) -> None:
        self.dimensions = dimensions
        self.name = f"hashing:{dimensions}"

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """See `Embedder.embed`; `purpose` makes no difference."""
        return await asyncio.to_thread(self._vectors, texts)

    def token_offsets(self, text: str) -> Offsets:
        """See `Embedder.token_offsets`."""
        return np.array([match.span() for match in _TOKEN.finditer(text)], np.int64).reshape(-1, 2)

    def close(self) -> None:
        """See `Embedder.close`; there is nothing to release."""

    def _vectors(self, texts: Sequence[str]) -> Matrix:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            for feature, weight in _features(text):
                digest = int.from_bytes(blake2b(feature.encode(errors="surrogatepass"), digest_size=8).digest())
                vectors[row, digest % self.dimensions] += weight if digest >> 63 else -weight
        # A text without features, or with features that cancel out, still needs a direction.
        vectors[~vectors.any(axis=1), 0] = 1
        unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def _features(text: str) -> Iterator[tuple[str, float]]:
    words = [match[0].casefold() for match, _ in zip(_TOKEN.finditer(text), range(WINDOW_TOKENS), strict=False)]
    for word, count in Counter(words).items():
        yield word, sqrt(count)
        for start in range(len(word) - 2):
            yield f"{start and '…'}{word[start : start + 3]}", TRIGRAM_WEIGHT * sqrt(count)
