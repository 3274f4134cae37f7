"""POST /v1/embeddings: our own model's vectors, in both encodings that clients ask for."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragstone.errors import InvalidInput, NotFound, TooLarge
from ragstone.http.streaming import Refusal

if TYPE_CHECKING:
    from ragstone.embedding.base import Embedder

MAX_INPUTS = 2048  # OpenAI's limit
MAX_CHARS = 1 << 20  # of all inputs together: about a minute of one core


class OwnEmbeddings:
    """Embeds texts with the platform's model."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        """The model's name, without the digest that tells versions of its weights apart."""
        return self._embedder.name.partition(":")[0]

    async def answer(self, body: Mapping[str, Any]) -> tuple[Refusal, int]:
        """The response, and how many tokens were embedded.

        Raises:
            InvalidInput: the input is not text, or cannot be embedded so.
            ModelUnavailable: the model does not answer.
        """
        texts = texts_of(body.get("input"))
        encoding = body.get("encoding_format") or "float"
        if encoding not in {"float", "base64"}:
            raise InvalidInput("`encoding_format` is `float` or `base64`.")
        size = body.get("dimensions")
        if size not in {None, self._embedder.dimensions}:
            raise InvalidInput(f"This model has {self._embedder.dimensions} dimensions. Leave `dimensions` out.")
        vectors = await self._embedder.embed(texts, purpose="document")
        tokens = sum(len(self._embedder.token_offsets(text)) for text in texts)
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": vector.tolist()
                if encoding == "float"
                else base64.b64encode(vector.astype("<f4").tobytes()).decode(),
            }
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        value = {"object": "list", "data": data, "model": self.name, "usage": usage}
        return Refusal(200, [("content-type", "application/json")], json.dumps(value).encode()), tokens


def texts_of(value: object) -> Sequence[str]:
    """The texts of `input`.

    Raises:
        InvalidInput: token numbers, which are of another model's vocabulary; or no text at all.
        TooLarge: more than is embedded at once.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise InvalidInput("`input` is a text, or a list of texts.")
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInput(
            "`input` holds numbers of tokens, which are another model's. Send texts; "
            "with langchain-openai: OpenAIEmbeddings(check_embedding_ctx_length=False)."
        )
    if len(texts) > MAX_INPUTS or sum(map(len, texts)) > MAX_CHARS:
        raise TooLarge(f"At most {MAX_INPUTS} texts of {MAX_CHARS:,} characters together are embedded at once.")
    if not all(text.strip() for text in texts):
        raise InvalidInput("A text of `input` is empty. Leave it out.")
    return texts


def refuse_other(name: object, own: str) -> None:
    """Raises: NotFound, for a model that is not ours."""
    if name != own:
        raise NotFound(f"There is no embedding model {str(name)[:80]!r} here. It is called {own!r}.")
