"""The port of embedding: text in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Offsets = NDArray[np.int64]
Purpose = Literal["document", "query"]


class Embedder(Protocol):
    """Maps texts to unit vectors whose dot product is their likeness."""

    @property
    def name(self) -> str:
        """Identifies model, weights and preprocessing; vectors of two names never mix."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    @property
    def window_tokens(self) -> int:
        """Most tokens of one text that reach the model, without its special tokens."""
        ...

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Embed each text; a text beyond the window is cut to it (see `windows.py`).

        Returns:
            float32, shape (len(texts), dimensions), rows of length 1, in input order.

        Raises:
            ModelUnavailable: the model did not answer.
        """
        ...

    def token_offsets(self, text: str) -> Offsets:
        """Where each token of `text` lies.

        Returns:
            int64, shape (n, 2): start and end character of each token, ascending,
            without special tokens.
        """
        ...

    def close(self) -> None:
        """Let go of threads and connections; `embed` after it raises `ModelUnavailable`."""
        ...
