"""The embedder port: text in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Offsets = NDArray[np.int64]
Purpose = Literal["document", "query"]


class Embedder(Protocol):
    """Embedder: maps texts to unit vectors; the dot product of two vectors is their similarity."""

    @property
    def name(self) -> str:
        """Name of the model, its weights and its preprocessing; vectors of different names are not comparable."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    @property
    def window_tokens(self) -> int:
        """Maximum number of tokens of a text that the model reads, without its special tokens."""
        ...

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """Embed each text; a text longer than the window is truncated (see `windows.py`).

        Returns:
            float32, shape (len(texts), dimensions), rows of length 1, in input order.

        Raises:
            ModelUnavailable: the model did not answer.
        """
        ...

    def token_offsets(self, text: str) -> Offsets:
        """Spans of the tokens of `text`.

        Returns:
            int64, shape (n, 2): start and end character of each token, ascending,
            without special tokens.
        """
        ...

    def close(self) -> None:
        """Release threads and connections; later calls of `embed` raise `ModelUnavailable`."""
        ...
