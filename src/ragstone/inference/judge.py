"""The judge: a small model that reads two texts together.

It tells how far a sentence answers a question, and whether evidence bears a statement out. It is a cross-encoder of
four layers, trained from all-MiniLM-L6-v2; data, licences and figures are in packages/ragstone-minilm/README.md. Its
word and position vectors are those of the embedder's file, which is mapped, not copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
from tokenizers import Tokenizer

from ragstone.errors import ModelUnavailable
from ragstone.inference.encoder import (
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    batches,
    mapped_model_file,
    package_folder,
    read_model_file,
    session_options,
)
from ragstone.inference.pairs import PairRow, answer_rows, support_rows

JUDGE_GRAPH_FILE = "judge.onnx"
JUDGE_WEIGHTS_FILE = "judge.onnx.data"  # the graph refers to it by this name

WORDS, POSITIONS, DIMENSIONS = 30_522, 512, 384
"""Shapes of the first two tensors of the embedder's weights."""

ALIGNMENT_BYTES = 4096  # of each tensor in the weights file
BATCH_TOKENS = 768
"""Padded tokens per batch; more is no faster and takes more memory."""


@dataclass(frozen=True, slots=True)
class Support:
    """Probabilities that the evidence bears a claim out, and that it contradicts it; the rest: it states neither."""

    supported: float
    contradicted: float


class PairJudge:
    """Judge of pairs of texts; calls block, and several threads may call at once."""

    def __init__(self, session: onnxruntime.InferenceSession, tokenizer: Tokenizer, vectors: NDArray[np.uint8]) -> None:
        """`vectors` is the content of the embedder's weights file."""
        self._session = session
        self._tokenizer = tokenizer
        self._words = word_vectors(vectors)
        self._positions = _table(vectors, WORDS, POSITIONS)

    @classmethod
    def load(cls, folder: Path | None = None, *, threads: int | None = None) -> PairJudge:
        """Load the judge from `folder`, or from the installed model package (blocks for about 0.3 s).

        `threads` compute one batch together (default: one per core this process may use).

        Raises:
            ModelFileError: a file is missing or not the pinned one.
        """
        folder = folder or package_folder()
        tokenizer = Tokenizer.from_buffer(read_model_file(folder / TOKENIZER_FILE))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        weights = read_model_file(folder / JUDGE_WEIGHTS_FILE)
        options = session_options(threads)
        options.add_external_initializers_from_files_in_memory([JUDGE_WEIGHTS_FILE], [weights], [len(weights)])
        graph = read_model_file(folder / JUDGE_GRAPH_FILE)
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return cls(session, tokenizer, mapped_model_file(folder / WEIGHTS_FILE))

    def answers(self, question: str, candidates: Sequence[str]) -> list[float]:
        r"""Log odds (natural logarithm) that each candidate answers the question, in the order given.

        A candidate is a sentence, alone or below its context: `"Title > Heading: lead or sentence before\nsentence"`.
        The last line is the sentence; only it is judged. A line break inside the sentence must be a space. The
        question is cut to 40 tokens, the context to its last 32, the sentence to its first 64.

        Raises:
            ModelUnavailable: the runtime failed, for example for lack of memory.
        """
        logits = self._logits(answer_rows(self._tokenizer, [(question, candidate) for candidate in candidates]))
        return [float(value) for value in logits[:, 3]]

    def supports(self, pairs: Sequence[tuple[str, str]]) -> list[Support]:
        """How far the evidence of each pair (claim, evidence) bears the claim out, in the order given.

        Both texts must be canonical: `ragstone.generation.evidence.support_pair` makes the pair. The claim is cut to
        64 tokens, the evidence to 96.

        Raises:
            ModelUnavailable: the runtime failed, for example for lack of memory.
        """
        logits = self._logits(support_rows(self._tokenizer, pairs))[:, :3]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = odds / odds.sum(axis=1, keepdims=True)
        return [Support(float(supported), float(contradicted)) for _, supported, contradicted in shares]

    def _logits(self, rows: Sequence[PairRow]) -> NDArray[np.float32]:
        found = np.zeros((len(rows), 4), np.float32)
        for batch in batches([len(row.ids) for row in rows], BATCH_TOKENS):
            found[batch] = self._run([rows[place] for place in batch])
        return found

    def _run(self, rows: Sequence[PairRow]) -> NDArray[np.float32]:
        """The logits of one padded batch."""
        ids, types, mask = (np.zeros((len(rows), max(len(row.ids) for row in rows)), np.int64) for _ in range(3))
        for place, row in enumerate(rows):
            length = len(row.ids)
            ids[place, :length], types[place, :length], mask[place, :length] = row.ids, row.types, 1
        embedded = self._words[ids] + self._positions[: ids.shape[1]]
        try:
            logits: NDArray[np.float32] = self._session.run(
                ["logits"], {"embedded": embedded, "types": types, "mask": mask}
            )[0]
        except (Fail, RuntimeException) as error:
            raise ModelUnavailable("The judge failed on a batch. Check the free memory.") from error
        return logits


def word_vectors(vectors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The vectors of the tokens (shape `WORDS`, `DIMENSIONS`) in the content of the embedder's weights file."""
    return _table(vectors, 0, WORDS)


def _table(vectors: NDArray[np.uint8], rows_before: int, rows: int) -> NDArray[np.float32]:
    """A tensor of the weights file, as a view; `rows_before` are those of the tensor before it."""
    before = rows_before * DIMENSIONS * 4
    start = before + -before % ALIGNMENT_BYTES
    return vectors[start : start + rows * DIMENSIONS * 4].view(np.float32).reshape(rows, DIMENSIONS)
