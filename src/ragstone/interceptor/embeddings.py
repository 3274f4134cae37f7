"""Vectors of the platform's own embedding model, in both encodings of OpenAI's API."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from ragstone.billing.ledger import Ledger
from ragstone.chat.usage_meter import UsageMeter
from ragstone.embedding.base import Embedder
from ragstone.errors import InvalidInput, NotFound, TooLarge
from ragstone.http.streaming import Refusal
from ragstone.interceptor.request import Body, ChatRequest
from ragstone.interceptor.wire_format import json_response

MAX_INPUTS = 2048  # OpenAI's limit
MAX_CHARS = 1 << 20  # of all inputs together: about a minute of one core


class OwnEmbeddings:
    """See `app.EmbeddingModel`: the embedder of the platform, with its usage in the ledger."""

    def __init__(self, embedder: Embedder, ledger: Ledger) -> None:
        self._embedder = embedder
        self._ledger = ledger

    @property
    def name(self) -> str:
        """The model's name, without the digest that identifies the version of its weights."""
        return self._embedder.name.partition(":")[0]

    async def answer(self, request: ChatRequest) -> Refusal:
        """The response to a request for embeddings.

        Raises:
            InvalidInput: the input is not text, or the options are not those of this model.
            NotFound: the request names another model.
            Unavailable: the model, or the ledger.
        """
        if (name := request.parsed.get("model")) != self.name:
            raise NotFound(f"There is no embedding model {str(name)[:80]!r} here. It is called {self.name!r}.")
        meter = await UsageMeter.open(self._ledger, request.principal, "search", overage=request.overage)
        try:
            response, tokens = await self._embedded(request.parsed)
            meter.embedded(tokens)
        finally:
            await meter.settle()
        return response

    async def _embedded(self, body: Body) -> tuple[Refusal, int]:
        """The response, and the number of embedded tokens."""
        texts = texts_of(body.get("input"))
        encoding = body.get("encoding_format") or "float"
        if encoding not in {"float", "base64"}:
            raise InvalidInput("`encoding_format` is `float` or `base64`.")
        if body.get("dimensions") not in {None, self._embedder.dimensions}:
            raise InvalidInput(f"This model has {self._embedder.dimensions} dimensions. Leave `dimensions` out.")
        vectors = await self._embedder.embed(texts, purpose="document")
        tokens = sum(len(self._embedder.token_offsets(text)) for text in texts)
        data: list[dict[str, Any]] = [
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
        return json_response({"object": "list", "data": data, "model": self.name, "usage": usage}), tokens


def texts_of(value: object) -> Sequence[str]:
    """The texts of `input`.

    Raises:
        InvalidInput: it holds token numbers, which are of another model's vocabulary; or no text.
        TooLarge: more than `MAX_INPUTS` texts or `MAX_CHARS` characters.
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
