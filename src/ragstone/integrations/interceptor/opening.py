"""The interceptor of an open platform."""

from __future__ import annotations

from ragstone.integrations.interceptor.delivering import Delivery
from ragstone.integrations.interceptor.embeddings import OwnEmbeddings
from ragstone.integrations.interceptor.intercept import Interception
from ragstone.integrations.interceptor.own_model import OwnModel
from ragstone.integrations.interceptor.preparing import Preparation
from ragstone.integrations.interceptor.retrieving import TurnRetrieval
from ragstone.integrations.interceptor.serving import Serving
from ragstone.integrations.interceptor.upstreams import Upstreams
from ragstone.wiring.platform import Platform


def serving_of(platform: Platform) -> Serving:
    """What answers the requests of /v1."""
    accounts = platform.accounts
    upstreams = upstreams_of(platform)
    return Serving(
        interception_of(platform, upstreams),
        interceptors=accounts.interceptors,
        upstreams=upstreams,
        embeddings=OwnEmbeddings(platform.embedder),
        ledger=accounts.ledger,
        admission=accounts.admission,
    )


def upstreams_of(platform: Platform) -> Upstreams:
    """The servers that chats go on to; those of the settings may be anywhere."""
    given = platform.settings.interceptor
    operators = frozenset(url.rstrip("/") for url in (given.upstream_url, given.anthropic_url) if url)
    return Upstreams(platform.http, platform.guards, operators=operators)


def interception_of(platform: Platform, upstreams: Upstreams) -> Interception:
    """The story, with all it needs."""
    accounts, metrics, failures, redactor = platform.accounts, platform.metrics, platform.failures, platform.redactor
    turns = TurnRetrieval(
        platform.retriever, guards=platform.guards, cache=platform.cache, metrics=metrics, redactor=redactor
    )
    return Interception(
        interceptors=accounts.interceptors,
        preparation=Preparation(turns, accounts.source_links, metrics=metrics, failures=failures),
        upstreams=upstreams,
        delivery=Delivery(upstreams, metrics=metrics, failures=failures, redactor=redactor),
        own=OwnModel(platform.chat),
        limits=accounts.limits,
        ledger=accounts.ledger,
        metrics=metrics,
    )
