"""The default embedder: all-MiniLM-L6-v2 in this process, without key and network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ragstone.embedding.base import Matrix, Offsets, Purpose
from ragstone.errors import ModelUnavailable
from ragstone.inference.encoder import EncoderSession, batches, read_model_files

if TYPE_CHECKING:
    from ragstone.inference.matching import TokenMatcher

DIMENSIONS = 384
WINDOW_TOKENS = 254  # the model was trained on 256 word pieces; two are [CLS] and [SEP]
CLS, SEP, PAD = 101, 102, 0  # ids in the model's vocabulary
# The tokenizer turns a longer word into one [UNK], so characters beyond this many per
# token of the window cannot bring another word in. It bounds the work on a huge text.
WINDOW_CHARS = WINDOW_TOKENS * 100
BATCH_TOKENS = 1024  # padded tokens per batch; 8192 took 330 MB more and was slower
SLAB_TEXTS = 512  # texts tokenised at once
BLOCK_CHARS = 65_536  # characters tokenised at once for offsets

T = TypeVar("T")


class MiniLMEmbedder:
    """Embedder of all-MiniLM-L6-v2; safe to share between tasks.

    Documents and queries have a thread each: it computes one batch of documents at a time for
    all callers, and a query does not wait for them.
    """

    # Contains the first digits of the SHA-256 of the original weights. The index and the
    # cache store it with the vectors, so it must change only when the vectors do.
    name = "all-MiniLM-L6-v2:53aa51172d14"
    dimensions = DIMENSIONS
    window_tokens = WINDOW_TOKENS

    def __init__(self, session: EncoderSession, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._lanes: dict[Purpose, ThreadPoolExecutor] = {
            "document": ThreadPoolExecutor(1, "embed-documents"),
            "query": ThreadPoolExecutor(1, "embed-queries"),
        }

    @classmethod
    def load(cls, model_folder: Path | None = None, *, threads: int | None = None) -> MiniLMEmbedder:
        """Load the model from `model_folder`, or from the installed package (blocks for about 0.5 s).

        Raises:
            ModelFileError: a file is missing or not the pinned one.
        """
        files = read_model_files(model_folder)
        tokenizer = Tokenizer.from_buffer(files.tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(EncoderSession(files, threads=threads), tokenizer)

    def matcher(self) -> TokenMatcher:
        """A matcher of questions with texts, of the same model in memory."""
        from ragstone.inference.matching import TokenMatcher  # only what answers needs it

        return TokenMatcher(self._session, self._tokenizer)

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """See `Embedder.embed`."""
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), SLAB_TEXTS):
            rows = order[start : start + SLAB_TEXTS]
            tokens = await self._in_lane(purpose, partial(self._tokens, [texts[row] for row in rows]))
            for batch in batches([len(ids) for ids in tokens], BATCH_TOKENS):
                ids, mask = _padded([tokens[at] for at in batch])
                found = await self._in_lane(purpose, partial(self._session.vectors, ids, mask))
                vectors[[rows[at] for at in batch]] = found
        return vectors

    def token_offsets(self, text: str) -> Offsets:
        """See `Embedder.token_offsets`."""
        blocks = [(start, _encodable(text[start:end])) for start, end in _blocks(text)]
        found = self._tokenizer.encode_batch([block for _, block in blocks], add_special_tokens=False)
        parts = [
            np.array(encoding.offsets, np.int64).reshape(-1, 2) + start
            for (start, _), encoding in zip(blocks, found, strict=True)
        ]
        return np.concatenate([np.empty((0, 2), np.int64), *parts])

    def close(self) -> None:
        """See `Embedder.close`. Waits for the current batch."""
        for lane in self._lanes.values():
            lane.shutdown()

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        cut = [_encodable(text[:WINDOW_CHARS]) for text in texts]
        found = self._tokenizer.encode_batch_fast(cut, add_special_tokens=False)
        return [[CLS, *encoding.ids[:WINDOW_TOKENS], SEP] for encoding in found]

    async def _in_lane(self, purpose: Purpose, work: Callable[[], T]) -> T:
        try:
            future = self._lanes[purpose].submit(work)
        except RuntimeError as error:
            raise ModelUnavailable("The embedder is closed. Open the platform again.") from error
        return await asyncio.wrap_future(future)


def _padded(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    lengths = np.array([[len(tokens)] for tokens in rows])
    return ids, (np.arange(ids.shape[1]) < lengths).astype(np.int64)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans of `text` to tokenise separately, cut at white space so that no token is split."""
    start = 0
    while start < len(text):
        end = start + BLOCK_CHARS
        if end < len(text):
            space = max(text.rfind("\n", start + 1, end), text.rfind(" ", start + 1, end))
            end = space if space > 0 else end
        yield start, end
        start = end


def _encodable(text: str) -> str:
    """`text` with lone surrogates replaced by question marks, because the tokenizer refuses them; same length."""
    return text.encode(errors="replace").decode()
