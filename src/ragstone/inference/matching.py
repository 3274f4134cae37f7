"""Token matches: how far the words of a question find their like in a text.

The vector of a token before pooling stands for the token as its text means it. A word of the question matches a text as
far as its vector is like the likest one of the text: late interaction (Khattab and Zaharia, "ColBERT", SIGIR 2020),
over the embedder as it ships, without further training. It finds a word in another form, or a synonym, and tells
whether a word of the question has nothing like it in a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from ragstone.inference.encoder import EncoderSession, batches, read_model_files

CLS, SEP = 101, 102  # ids in the model's vocabulary

QUESTION_TOKENS, CONTEXT_TOKENS, SENTENCE_TOKENS = 64, 40, 80
"""Longer parts lose their end, a context its beginning."""

CHARS_PER_TOKEN = 20
"""A part is cut to so many characters per token before it is tokenised: it bounds the work on a huge text."""

BATCH_TOKENS = 768
"""Padded tokens per batch; more is no faster and takes more memory."""


@dataclass(frozen=True, slots=True)
class Match:
    """How far a text holds the words of a question, as cosines from -1 to 1.

    `whole` is the mean over all tokens of the question, `mean` that over the words that were named.
    """

    whole: float
    mean: float


class TokenMatcher:
    """Matches questions with texts; calls block, and several threads may call at once."""

    def __init__(self, session: EncoderSession, tokenizer: Tokenizer) -> None:
        """`tokenizer` must neither cut nor pad."""
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path | None = None, *, threads: int | None = None) -> TokenMatcher:
        """Load the model from `folder`, or from the installed package (blocks for about 0.5 s).

        Raises:
            ModelFileError: a file is missing or not the pinned one.
        """
        files = read_model_files(folder)
        tokenizer = Tokenizer.from_buffer(files.tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(EncoderSession(files, threads=threads), tokenizer)

    def matches(self, question: str, words: Sequence[tuple[int, int]], texts: Sequence[str]) -> list[Match]:
        r"""Match each text with the question, in the order given.

        `words` are the spans of the question's words that count, at least one. A text is a sentence, alone or below
        its context: `"Title > Heading: lead\nsentence"`; its last line is the sentence.

        Raises:
            ModelUnavailable: the runtime failed, for example for lack of memory.
        """
        encoding = self._encoded([question[: QUESTION_TOKENS * CHARS_PER_TOKEN]])[0]
        asked = self._vectors([(CLS, *encoding.ids[:QUESTION_TOKENS], SEP)])[0][1:-1]
        places = [tokens for word in words if (tokens := _tokens_of(encoding, word))]
        return [_match(asked, places, vectors[1:-1]) for vectors in self._vectors(self._rows(texts))]

    def _encoded(self, texts: Sequence[str]) -> list[Encoding]:
        # The tokenizer refuses lone surrogates.
        readable = [text.encode(errors="replace").decode() for text in texts]
        return self._tokenizer.encode_batch(readable, add_special_tokens=False)

    def _rows(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        parted = [text.strip().rpartition("\n") for text in texts]
        contexts = self._encoded([context[-CONTEXT_TOKENS * CHARS_PER_TOKEN :] for context, _, _ in parted])
        sentences = self._encoded([sentence[: SENTENCE_TOKENS * CHARS_PER_TOKEN] for _, _, sentence in parted])
        return [
            (CLS, *context.ids[-CONTEXT_TOKENS:], *sentence.ids[:SENTENCE_TOKENS], SEP)
            for context, sentence in zip(contexts, sentences, strict=True)
        ]

    def _vectors(self, rows: Sequence[tuple[int, ...]]) -> list[NDArray[np.float32]]:
        """Unit vectors of the tokens of each row, of shape (tokens, 384)."""
        found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(rows)
        for batch in batches([len(row) for row in rows], BATCH_TOKENS):
            ids, mask = (np.zeros((len(batch), max(len(rows[at]) for at in batch)), np.int64) for _ in range(2))
            for place, at in enumerate(batch):
                ids[place, : len(rows[at])], mask[place, : len(rows[at])] = rows[at], 1
            vectors = self._session.tokens(ids, mask)
            for place, at in enumerate(batch):
                kept = vectors[place, : len(rows[at])]
                found[at] = kept / np.linalg.norm(kept, axis=1, keepdims=True)
        return found


def _tokens_of(encoding: Encoding, word: tuple[int, int]) -> list[int]:
    """The places of a word's tokens, as far as they were not cut."""
    start, end = word
    return [
        place for place, (first, last) in enumerate(encoding.offsets[:QUESTION_TOKENS]) if first < end and start < last
    ]


def _match(asked: NDArray[np.float32], words: Sequence[Sequence[int]], text: NDArray[np.float32]) -> Match:
    if not len(text) or not len(asked):
        return Match(0.0, 0.0)
    likest = (asked @ text.T).max(axis=1)
    of_words = [float(likest[list(places)].mean()) for places in words] or [float(likest.mean())]
    return Match(float(likest.mean()), sum(of_words) / len(of_words))
