"""The interceptor as a process of its own: opened from the settings, without a database, and served.

It keeps nothing between requests that another copy would need: keys, upstreams and the
pipeline come from the settings, and there is one tenant. So any number of copies runs
behind any load balancer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NoReturn

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from ragstone.errors import ConfigurationError, Forbidden, NoIndex, NotFound, RagstoneError, Unauthenticated
from ragstone.http.authentication import Accounts, Authenticator, Requirement, admitted
from ragstone.http.context import ServerContext, context_of, install_server
from ragstone.http.middleware import RequestMiddleware
from ragstone.http.problems import problem_response
from ragstone.http.server import (
    configuration,
    keep_out_of_collections,
    listen,
    meanwhile,
    signals_end_the_server_only,
    where,
)
from ragstone.interceptor.app import PREFIX, RAGE_HEALTH, InterceptorServices, v1_app
from ragstone.interceptor.enrich import Enricher
from ragstone.interceptor.handle import ChatServices
from ragstone.interceptor.models import ModelList
from ragstone.interceptor.request import ChatRequest
from ragstone.interceptor.sources import own_url
from ragstone.interceptor.upstream import Upstreams
from ragstone.llm.token_usage import TokenUsage
from ragstone.principals import Permission, Principal
from ragstone.resilience.destinations import LOOPBACK_HOSTS
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.base import Retrieval
from ragstone.settings import Settings, tenant_defaults
from ragstone.storage.cache import MemoryCache
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.telemetry.tracing import configure_tracing
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Passage, Query, RateLimitStatus, Scope
from ragstone.wiring.outbound import http_client, pipeline_retriever, upstream_options

log = structlog.get_logger()


class InstallationSettings:
    """See `SettingsSource`: the settings of the installation, in each tenant."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def get(self, tenant: str) -> TenantSettings:
        """See `SettingsSource.get`."""
        return tenant_defaults(self._settings, tenant)


class NoIndexRetriever:
    """See `Retriever`: stands where no pipeline is set up, and finds nothing."""

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """Raises: NoIndex."""
        raise _no_index(scope)

    async def check(self, scope: Scope, query: Query) -> None:
        """Raises: NoIndex."""
        raise _no_index(scope)


def _no_index(scope: Scope) -> NoIndex:
    return NoIndex(
        f"The collection {scope.collection!r} lies in an index, and this process has none. "
        "Set up a pipeline with RAGSTONE_VECTORIZE__…, or send chats to `ragstone serve`."
    )


@dataclass(frozen=True, slots=True)
class UnwrittenUsage:
    """See `Meter`: counts for the metrics alone, as there is no ledger."""

    spent: TokenUsage = field(default_factory=TokenUsage)

    async def reserved(self) -> None:
        """See `Meter.reserved`."""

    def settle_soon(self) -> None:
        """See `Meter.settle_soon`."""


class NoAccounts:
    """The accounts of a process without any, for `http.authentication.Accounts`.

    The keys of the settings are known to `Authenticator`; no other credential is valid, and
    no caller has limits.
    """

    async def has_accounts(self) -> bool:
        """There are none."""
        return False

    async def admit(self, presented: str) -> Principal:
        """Raises: Unauthenticated."""
        raise Unauthenticated("This key is not valid here. Send one of RAGSTONE_SERVER__API_KEYS as a bearer token.")

    async def still(self, principal: Principal) -> bool:
        """Every caller that was authenticated still would be."""
        return True

    async def note(self, tenant: str, **event: object) -> None:
        """Keep nothing: `Authenticator` has logged the event."""

    async def origins(self) -> frozenset[str]:
        """No web site: there are no publishable keys."""
        return frozenset()

    async def hit(self, principal: Principal) -> RateLimitStatus:
        """No limit."""
        return RateLimitStatus(None, 0, 0.0)

    async def call(self, principal: Principal) -> None:
        """No limit."""

    async def get(self, plan_id: str) -> NoReturn:
        """Raises: NotFound; there are no plans."""
        raise NotFound(f"There is no plan {plan_id!r}: this process has no accounts.")


@dataclass(frozen=True, slots=True)
class AloneParts:
    """The open parts of the process."""

    services: InterceptorServices
    server: ServerContext


@asynccontextmanager
async def open_alone(settings: Settings) -> AsyncIterator[AloneParts]:
    """Open everything, hand it out, and close it in reverse order.

    Raises:
        ConfigurationError: the pipeline or its token cannot be used.
    """
    async with AsyncExitStack() as stack:
        metrics, failures, redactor = Metrics(), FailureBuffer(), Redactor(settings.privacy.patterns)
        if endpoint := settings.telemetry.otlp_endpoint:
            stop_tracing = configure_tracing(endpoint, settings.telemetry.service_name, redactor=redactor)
            stack.push_async_callback(asyncio.to_thread, stop_tracing)
        http = http_client(settings)
        stack.push_async_callback(http.close)
        policies = UpstreamPolicies(upstream_options(settings), metrics=metrics, failures=failures)
        given, tenant_settings = settings.interceptor, InstallationSettings(settings)
        upstreams = Upstreams(http, policies, trusted_urls=(given.upstream_url, given.anthropic_url))
        retriever = pipeline_retriever(settings, http, policies, metrics) or NoIndexRetriever()
        none = NoAccounts()
        services = InterceptorServices(
            chats=ChatServices(
                tenant_settings=tenant_settings,
                upstreams=upstreams,
                enricher=Enricher(
                    retriever,
                    policies,
                    cache=MemoryCache(),
                    metrics=metrics,
                    redactor=redactor,
                    context_tokens=settings.retrieval.context_tokens,
                ),
                link=_link,
                own_model=None,
                stream_slot=lambda _: nullcontext(),
                meter=_meter,
                metrics=metrics,
                failures=failures,
                redactor=redactor,
            ),
            models=ModelList(tenant_settings, upstreams, embedding_model=None),
            embeddings=None,
            still_admitted=none.still,
            policies=policies,
        )
        authenticator = Authenticator.of(settings.server, Accounts(none, none, none, none, none))
        yield AloneParts(services, ServerContext(authenticator, metrics, failures))


def create_app(parts: AloneParts) -> Starlette:
    """The application: /v1 and the addresses for operators."""
    app = Starlette(
        routes=[
            Mount(PREFIX, v1_app()),
            RAGE_HEALTH,
            Route("/health", _health),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
        ],
        middleware=[Middleware(RequestMiddleware)],
        exception_handlers={RagstoneError: _refuse, HTTPException: _refuse},
    )
    app.router.redirect_slashes = False  # the redirect would repeat the Host header, whatever it says
    install_server(app, parts.server)
    app.state.interceptor = parts.services
    return app


async def serve(settings: Settings, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: a setting needs a change; or there is no key, and the address is not loopback.
        PortInUse: another process listens there.
    """
    address = host or settings.server.host
    if address not in LOOPBACK_HOSTS and not settings.server.api_keys:
        raise ConfigurationError(
            f"Without keys the interceptor does not listen on {address}. Set RAGSTONE_SERVER__API_KEYS."
        )
    listener = listen(address, settings.server.port if port is None else port)
    async with open_alone(settings) as parts:
        server = uvicorn.Server(configuration(create_app(parts)))
        log.info("interceptor.listening", port=listener.getsockname()[1])
        sys.stdout.write(where(listener, with_keys=bool(settings.server.api_keys)) + "\n")
        sys.stdout.flush()  # the parent process waits for this line
        keep_out_of_collections()
        async with meanwhile(parts.server.metrics.watch_loop()):
            with signals_end_the_server_only():
                await server.serve(sockets=[listener])


def _link(_tenant: str, _collection: str, passage: Passage) -> str | None:
    return own_url(passage)


def _meter(_request: ChatRequest) -> UnwrittenUsage:
    return UnwrittenUsage()


async def _health(_: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def _ready(_: Request) -> Response:
    """The process answers: no chat depends on all upstreams, and each has a circuit."""
    return JSONResponse({"ready": True, "parts": {}})


async def _metrics(request: Request) -> Response:
    """All counters and histograms of this process, for operators."""
    await admitted(request, Requirement(Permission.MANAGE))
    context = context_of(request)
    if not context.authenticated.runs_the_installation:
        raise Forbidden("These numbers are of all tenants together, for operators of the installation.")
    return Response(context.server.metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 404:
        error = NotFound("There is nothing at this address: this process answers chats under /v1 only.")
    return problem_response(request.scope, error)
