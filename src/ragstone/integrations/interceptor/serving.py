"""The requests of /v1, without a framework: each becomes a response.

They look alike: the body is read and parsed, and a relay answers it in the dialect of its
client. Who may ask, and how much, was decided at the door.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ragstone.accounts.admit import Admission
from ragstone.accounts.interceptors import Interceptor, Interceptors
from ragstone.accounts.usage import Ledger
from ragstone.chat.bill import Bill
from ragstone.errors import NotFound, RagstoneError
from ragstone.http.relaying import Refusal, Relay, Story, Writer
from ragstone.integrations.interceptor.asking import OWN_MODEL, Asked
from ragstone.integrations.interceptor.bodies import parsed
from ragstone.integrations.interceptor.dialects import DialectName, dialect_of
from ragstone.integrations.interceptor.embeddings import OwnEmbeddings, refuse_other
from ragstone.integrations.interceptor.enriching import request_tokens
from ragstone.integrations.interceptor.headers import incoming, outgoing
from ragstone.integrations.interceptor.intercept import Interception
from ragstone.integrations.interceptor.upstreams import Target, Upstreams
from ragstone.principals import Principal

MAX_LIST_BYTES = 4 << 20
LISTED_S = 60.0  # a server's list of models is asked for once a minute; LibreChat asks for it every two
NO_SERVER = "No model's server is set up for this. Set one with `ragstone interceptor set`."

Models = list[dict[str, Any]]


class Serving:
    """Answers the requests of /v1."""

    def __init__(
        self,
        interception: Interception,
        *,
        interceptors: Interceptors,
        upstreams: Upstreams,
        embeddings: OwnEmbeddings | None,
        ledger: Ledger,
        admission: Admission,
    ) -> None:
        """`embeddings` None: there is no model of our own in this process."""
        self._interception = interception
        self._interceptors = interceptors
        self._upstreams = upstreams
        self._embeddings = embeddings
        self._ledger = ledger
        self._admission = admission
        self._listed: dict[str, tuple[float, Models]] = {}

    async def chat(self, request: Request, dialect: DialectName, path: str) -> Response:
        """A chat of either dialect; `path` follows the base URL of its server."""
        body = await request.body()
        asked = partial(_asked, request, dialect, path, body)

        async def story(writer: Writer) -> None:
            await self._interception.intercept(asked(await parsed(body)), writer)

        return self._relay(request, dialect, story)

    async def embed(self, request: Request) -> Response:
        """Embeddings: of our own model, or of the server's."""
        body = await request.body()

        async def story(writer: Writer) -> None:
            asked = _asked(request, "openai", "/embeddings", body, await parsed(body))
            await self._embed(asked, writer)

        return self._relay(request, "openai", story)

    async def models(self, request: Request) -> Response:
        """The models that the caller may name."""

        async def story(writer: Writer) -> None:
            listed = await self._models(request)
            await writer.respond(_json({"object": "list", "data": listed}))

        return self._relay(request, "openai", story)

    async def model(self, request: Request, name: str) -> Response:
        """One of the models."""

        async def story(writer: Writer) -> None:
            for listed in await self._models(request):
                if listed.get("id") == name:
                    await writer.respond(_json(listed))
                    return
            raise NotFound(f"There is no model {name[:80]!r} here. GET /v1/models lists what there is.")

        return self._relay(request, "openai", story)

    async def count(self, request: Request) -> Response:
        """The tokens of a chat of Anthropic's, as its server counts them; estimated where there is none."""
        body = await request.body()

        async def story(writer: Writer) -> None:
            asked = _asked(request, "anthropic", "/v1/messages/count_tokens", body, await parsed(body))
            known = await self._interceptors.get(asked.principal.tenant)
            target = self._upstreams.target(asked.principal.tenant, known, "anthropic")
            if target is None:
                await writer.respond(_json({"input_tokens": request_tokens(asked.parsed)}))
            else:
                await self._forward(asked, target, writer)

        return self._relay(request, "anthropic", story)

    def _relay(self, request: Request, dialect: DialectName, story: Story) -> Relay:
        principal: Principal = request.state.principal
        words = dialect_of(dialect, dict(request.headers), request.state.request_id)
        return Relay(story, words, still=partial(self._admission.still, principal))

    async def _embed(self, asked: Asked, writer: Writer) -> None:
        name = asked.parsed.get("model")
        known = await self._interceptors.get(asked.principal.tenant)
        target = self._upstreams.target(asked.principal.tenant, known, "openai")
        own = self._embeddings
        if own is None or (target is not None and name != own.name):
            await self._forward(asked, self._target(asked, known), writer)
            return
        refuse_other(name, own.name)
        bill = await Bill.open(self._ledger, asked.principal, "search", overage=asked.overage)
        try:
            response, tokens = await own.answer(asked.parsed)
            bill.embedded(tokens)
            await writer.respond(response)
        finally:
            await bill.settle()

    async def _forward(self, asked: Asked, target: Target, writer: Writer) -> None:
        headers = outgoing(asked.headers, key=target.key, dialect=asked.dialect, request_id=asked.request_id)
        asking = self._upstreams.asked(target, "POST", asked.path, headers=headers, body=asked.body)
        async with asking as answer:
            if isinstance(answer, Refusal):
                await writer.respond(answer)
                return
            kept = [header for header in incoming(answer.headers) if header[0].lower() != "content-length"]
            body = await answer.read(MAX_LIST_BYTES * 8)
            await writer.respond(Refusal(answer.status, [*kept, ("x-ragstone-status", "passed")], body))

    def _target(self, asked: Asked, known: Interceptor) -> Target:
        target = self._upstreams.target(asked.principal.tenant, known, asked.dialect)
        if target is None:
            raise NotFound(NO_SERVER)
        return target

    async def _models(self, request: Request) -> Models:
        principal: Principal = request.state.principal
        known = await self._interceptors.get(principal.tenant)
        target = self._upstreams.target(principal.tenant, known, "openai")
        names = [self._embeddings.name] if self._embeddings else []
        if known.settings.models:
            return _own([*known.settings.models, *names])
        if target is None and self._embeddings is None:
            raise NotFound(NO_SERVER)
        if target is None:
            return _own([OWN_MODEL, *names])
        return [*await self._upstream_models(target, request), *_own(names)]

    async def _upstream_models(self, target: Target, request: Request) -> Models:
        """The server's own list, a minute old at most; the last one it gave where it gives none."""
        until, listed = self._listed.get(target.name, (0.0, []))
        if time.monotonic() < until:
            return listed
        headers = outgoing({}, key=target.key, dialect="openai", request_id=request.state.request_id)
        try:
            async with self._upstreams.asked(target, "GET", "/models", headers=headers) as answer:
                if not isinstance(answer, Refusal):
                    listed = _listed(await answer.read(MAX_LIST_BYTES))
        except RagstoneError:
            if not listed:
                raise
        self._listed = {**self._listed, target.name: (time.monotonic() + LISTED_S, listed)}
        return listed


def _asked(request: Request, dialect: DialectName, path: str, body: bytes, value: Mapping[str, Any]) -> Asked:
    standing = getattr(request.state, "standing", None)  # nobody counts whose plan has no limits
    return Asked(
        dialect=dialect,
        path=path,
        body=body,
        parsed=value,
        headers=_joined(request),
        principal=request.state.principal,
        request_id=request.state.request_id,
        overage=standing is not None and standing.overage,
    )


def _joined(request: Request) -> Mapping[str, str]:
    """The headers by name; of those that came several times, such as `anthropic-beta`, the values in one line."""
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _own(names: list[str]) -> Models:
    return [{"id": name, "object": "model", "created": 0, "owned_by": "ragstone"} for name in dict.fromkeys(names)]


def _listed(body: bytes) -> Models:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    found = value.get("data") if isinstance(value, dict) else None
    return [item for item in found or () if isinstance(item, dict) and isinstance(item.get("id"), str)]


def _json(value: object) -> Refusal:
    return Refusal(200, [("content-type", "application/json")], json.dumps(value).encode())
