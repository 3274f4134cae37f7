"""The requests of /v1, without a framework: each becomes a response.

They look alike: the body is read and parsed, and a relay answers it in the dialect of its
client. Who may ask, and how much, was decided at the door.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from ragstone.billing.ledger import Ledger
from ragstone.billing.rate_limits import RateLimits
from ragstone.chat.usage_meter import UsageMeter
from ragstone.errors import InvalidInput, NotFound, RagstoneError
from ragstone.http.context import context_of
from ragstone.http.streaming import Refusal, Story, StreamingHandler, Writer
from ragstone.identity.authenticate import Admission
from ragstone.interceptor.deliver import ChatDelivery, UpstreamExchange
from ragstone.interceptor.embeddings import OwnEmbeddings, refuse_other
from ragstone.interceptor.enrich import Preparation, model_upstream, request_tokens
from ragstone.interceptor.policy import decide
from ragstone.interceptor.request import OWN_MODEL, ChatRequest, parsed, read
from ragstone.interceptor.upstream import Upstreams, UpstreamTarget, incoming, outgoing
from ragstone.interceptor.wire_formats import DialectName, dialect_of
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span
from ragstone.tenants.settings import TenantSettings
from ragstone.tenants.settings_store import TenantSettingsStore

if TYPE_CHECKING:
    from ragstone.interceptor.own_model import OwnModel

REFUSES_ENRICHED = frozenset({400, 413, 422})
"""What a server says to a chat that is too long, or has a shape it does not take: then it gets the client's own."""


class Interception:
    """Answers the chats of all tenants, each as its interceptor is set up."""

    def __init__(
        self,
        *,
        tenant_settings: TenantSettingsStore,
        preparation: Preparation,
        upstreams: Upstreams,
        delivery: ChatDelivery,
        own: OwnModel | None,
        limits: RateLimits,
        ledger: Ledger,
        metrics: Metrics,
    ) -> None:
        """`own` answers where there is no server to go on to; without it, that is refused."""
        self._tenant_settings = tenant_settings
        self._preparation = preparation
        self._upstreams = upstreams
        self._delivery = delivery
        self._own = own
        self._limits = limits
        self._ledger = ledger
        self._metrics = metrics

    async def intercept(self, asked: ChatRequest, writer: Writer) -> None:
        """Answer one chat.

        Raises:
            InvalidInput: it is no chat.
            NotFound: there is no such model here.
            RateLimited: all streams of the plan are taken.
            Unavailable: the ledger, or the model's server.
        """
        tenant = asked.principal.tenant
        known = await self._tenant_settings.get(tenant)
        target = self._upstreams.target(tenant, known, asked.dialect)
        with span("intercept", tenant=tenant, upstream=target.name if target else OWN_MODEL):
            async with self._limits.stream(asked.principal):
                if target is None:
                    await self._answer(asked, known, writer)
                else:
                    await self._pass_on(asked, known, target, writer)

    async def _answer(self, asked: ChatRequest, known: TenantSettings, writer: Writer) -> None:
        if self._own is None:
            raise NotFound("No model's server is set up here. Set one with `ragstone interceptor set`.")
        chat = read(asked.parsed, asked.dialect)
        if chat is None:
            raise InvalidInput("There is no question: `messages` needs a message of the user with text.")
        decision = decide(chat, asked.parsed, asked.headers, known.interceptor, asked.principal.tenant)
        self._metrics.interceptions.labels("answered" if decision.enrich else decision.reason).inc()
        link = self._preparation.linker(asked, known)
        await self._own.answer(asked, chat, decision, known, link, writer)

    async def _pass_on(self, asked: ChatRequest, known: TenantSettings, target: UpstreamTarget, writer: Writer) -> None:
        model = model_upstream(asked, known)
        # The row is written while the chat is prepared and the server asked; nothing is delivered before it is there.
        bill = UsageMeter.begin(self._ledger, asked.principal, "chat", overage=asked.overage)
        try:
            prepared = await self._preparation.prepare(asked, known, model)
            turn = UpstreamExchange(asked, known, prepared, target, model, bill)
            refusal = await self._sent(turn, writer)
            if refusal is not None and prepared.sources and refusal.status in REFUSES_ENRICHED:
                turn = replace(turn, prepared=self._preparation.without("refused", asked, model))
                refusal = await self._sent(turn, writer)
            if refusal is not None:
                status = ("x-ragstone-status", turn.prepared.status)
                await writer.respond(replace(refusal, headers=[*refusal.headers, status]))
            await writer.end()
        finally:
            bill.settle_soon()

    async def _sent(self, turn: UpstreamExchange, writer: Writer) -> Refusal | None:
        """Send a chat, and deliver its answer; the server's refusal, with nothing delivered, where it gives none."""
        asked, target = turn.asked, turn.target
        headers = outgoing(asked.headers, key=target.key, dialect=asked.dialect, request_id=asked.request_id)
        turn.sent()
        asking = self._upstreams.asked(target, "POST", asked.path, headers=headers, body=turn.prepared.body)
        answered = False
        try:
            async with asking as answer:
                if isinstance(answer, Refusal):
                    return answer
                answered = True
                await turn.bill.reserved()
                await self._delivery.deliver(turn, answer, writer)
                return None
        finally:
            if not answered:
                turn.refused()


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
        tenant_settings: TenantSettingsStore,
        upstreams: Upstreams,
        embeddings: OwnEmbeddings | None,
        ledger: Ledger,
        admission: Admission,
    ) -> None:
        """`embeddings` None: there is no model of our own in this process."""
        self._interception = interception
        self._tenant_settings = tenant_settings
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
            known = await self._tenant_settings.get(asked.principal.tenant)
            target = self._upstreams.target(asked.principal.tenant, known, "anthropic")
            if target is None:
                await writer.respond(_json({"input_tokens": request_tokens(asked.parsed)}))
            else:
                await self._forward(asked, target, writer)

        return self._relay(request, "anthropic", story)

    def _relay(self, request: Request, dialect: DialectName, story: Story) -> StreamingHandler:
        principal = context_of(request).authenticated
        words = dialect_of(dialect, dict(request.headers), context_of(request).request_id)
        return StreamingHandler(story, words, still=partial(self._admission.still, principal))

    async def _embed(self, asked: ChatRequest, writer: Writer) -> None:
        name = asked.parsed.get("model")
        known = await self._tenant_settings.get(asked.principal.tenant)
        target = self._upstreams.target(asked.principal.tenant, known, "openai")
        own = self._embeddings
        if own is None or (target is not None and name != own.name):
            await self._forward(asked, self._target(asked, known), writer)
            return
        refuse_other(name, own.name)
        bill = await UsageMeter.open(self._ledger, asked.principal, "search", overage=asked.overage)
        try:
            response, tokens = await own.answer(asked.parsed)
            bill.embedded(tokens)
            await writer.respond(response)
        finally:
            await bill.settle()

    async def _forward(self, asked: ChatRequest, target: UpstreamTarget, writer: Writer) -> None:
        headers = outgoing(asked.headers, key=target.key, dialect=asked.dialect, request_id=asked.request_id)
        asking = self._upstreams.asked(target, "POST", asked.path, headers=headers, body=asked.body)
        async with asking as answer:
            if isinstance(answer, Refusal):
                await writer.respond(answer)
                return
            kept = [header for header in incoming(answer.headers) if header[0].lower() != "content-length"]
            body = await answer.read(MAX_LIST_BYTES * 8)
            await writer.respond(Refusal(answer.status, [*kept, ("x-ragstone-status", "passed")], body))

    def _target(self, asked: ChatRequest, known: TenantSettings) -> UpstreamTarget:
        target = self._upstreams.target(asked.principal.tenant, known, asked.dialect)
        if target is None:
            raise NotFound(NO_SERVER)
        return target

    async def _models(self, request: Request) -> Models:
        principal = context_of(request).authenticated
        known = await self._tenant_settings.get(principal.tenant)
        target = self._upstreams.target(principal.tenant, known, "openai")
        names = [self._embeddings.name] if self._embeddings else []
        if known.interceptor.models:
            return _own([*known.interceptor.models, *names])
        if target is None and self._embeddings is None:
            raise NotFound(NO_SERVER)
        if target is None:
            return _own([OWN_MODEL, *names])
        return [*await self._upstream_models(target, request), *_own(names)]

    async def _upstream_models(self, target: UpstreamTarget, request: Request) -> Models:
        """The server's own list, a minute old at most; the last one it gave where it gives none."""
        until, listed = self._listed.get(target.name, (0.0, []))
        if time.monotonic() < until:
            return listed
        headers = outgoing({}, key=target.key, dialect="openai", request_id=context_of(request).request_id)
        try:
            async with self._upstreams.asked(target, "GET", "/models", headers=headers) as answer:
                if not isinstance(answer, Refusal):
                    listed = _listed(await answer.read(MAX_LIST_BYTES))
        except RagstoneError:
            if not listed:
                raise
        self._listed = {**self._listed, target.name: (time.monotonic() + LISTED_S, listed)}
        return listed


def _asked(request: Request, dialect: DialectName, path: str, body: bytes, value: Mapping[str, Any]) -> ChatRequest:
    return ChatRequest(
        dialect=dialect,
        path=path,
        body=body,
        parsed=value,
        headers=_joined(request),
        principal=context_of(request).authenticated,
        request_id=context_of(request).request_id,
        overage=context_of(request).is_overage,
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
