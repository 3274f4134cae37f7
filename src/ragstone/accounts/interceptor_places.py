"""Where a tenant's chats and keys may be sent: URLs it may name, and keys that go where they were meant to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from ragstone.errors import InvalidInput

if TYPE_CHECKING:
    from ragstone.accounts.interceptors import Interceptor, InterceptorSettings

VECTORIZE = "https://api.vectorize.io"  # where a pipeline is that is named by organisation and id
_PORTS = {"http": 80, "https": 443}
_HOW_TO_ALLOW = "or have the operator add its host and port to RAGSTONE_OUTBOUND__ALLOWED_HOSTS"


def checked_places(settings: InterceptorSettings, allowed: frozenset[str]) -> InterceptorSettings:
    """The settings with each URL in its canonical form.

    Raises:
        InvalidInput: see `resilience.destinations.checked_url`; or a key would travel readable.
    """
    pipeline = settings.pipeline
    if pipeline and pipeline.url:
        pipeline = replace(pipeline, url=_checked("pipeline.url", pipeline.url, allowed))
    upstream, anthropic = settings.upstream_url, settings.anthropic_url
    return replace(
        settings,
        upstream_url=_base("upstream_url", upstream, allowed) if upstream else None,
        anthropic_url=_base("anthropic_url", anthropic, allowed).removesuffix("/v1") if anthropic else None,
        pipeline=pipeline,
    )


def without_servers(settings: InterceptorSettings) -> InterceptorSettings:
    """The settings of an operator as a tenant sees them: servers inside, and what they offer, are not its business."""
    return replace(settings, upstream_url=None, anthropic_url=None, models={}, pipeline=None)


def inherited(own: Interceptor, operators: Interceptor) -> Interceptor:
    """What holds for a tenant: its own settings, with the operator's servers where it names none.

    A server is inherited with its key and its models, or not at all: so no URL of a tenant
    gets a key of the operator, and no model is used at his cost that he does not offer.
    """
    settings, keys = own.settings, own.keys
    if settings.upstream_url is None and settings.anthropic_url is None:
        given = operators.settings
        settings = replace(
            settings, upstream_url=given.upstream_url, anthropic_url=given.anthropic_url, models=given.models
        )
        keys = replace(keys, upstream=operators.keys.upstream, anthropic=operators.keys.anthropic)
    if settings.pipeline is None:
        settings = replace(settings, pipeline=operators.settings.pipeline)
        keys = replace(keys, pipeline=operators.keys.pipeline)
    if settings.pipeline is None:
        settings = replace(settings, knowledge="index")  # the operator has taken his pipeline away
    return replace(own, settings=settings, keys=replace(keys, librechat=keys.librechat or operators.keys.librechat))


def urls(settings: InterceptorSettings) -> tuple[str, ...]:
    """All URLs that the settings name."""
    pipeline = settings.pipeline.url if settings.pipeline else None
    return tuple(url for url in (settings.upstream_url, settings.anthropic_url, pipeline) if url)


def places(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """For each kind of key, scheme, host and port of where it is sent; of settings as they are stored.

    Raises nothing: where something else is stored than there should be, the key has no place.
    """
    pipeline = settings.get("pipeline")
    url = (pipeline.get("url") or VECTORIZE) if isinstance(pipeline, Mapping) else None
    found = {"upstream": settings.get("upstream_url"), "anthropic": settings.get("anthropic_url"), "pipeline": url}
    return {name: _origin(value) if isinstance(value, str) else "" for name, value in found.items()}


def refuse_moved(before: Mapping[str, str], after: Mapping[str, str], staying: frozenset[str]) -> None:
    """Keep a key from a server that it was not set for.

    Who may change settings may not read keys; sending one to a server of his own would be reading it.

    Raises:
        InvalidInput: a key of `staying` would be sent elsewhere.
    """
    for name in sorted(staying & after.keys()):
        if before.get(name, "") != after[name]:
            raise InvalidInput(
                f"The {name} key was set for another server, and is not sent to this one. "
                f"Send the key anew with the URL, or null to remove it."
            )


def host(origin: str) -> str:
    """The host of a place, for records."""
    return urlsplit(origin).netloc


def _base(name: str, url: str, allowed: frozenset[str]) -> str:
    checked = _checked(name, url, allowed)
    if urlsplit(checked).query:
        raise InvalidInput(f"{name} has to be a base that paths are added to. Leave the question mark out.")
    return checked.rstrip("/")


def _checked(name: str, url: str, allowed: frozenset[str]) -> str:
    # Imported when first needed: it brings an HTTP client, which a process that only reads settings does without.
    from ragstone.resilience.destinations import checked_url

    try:
        checked = checked_url(url, allowed=allowed)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}") from None
    parts = urlsplit(checked)
    if parts.scheme != "https" and _host_and_port(parts) not in allowed:
        raise InvalidInput(f"{name}: keys and chats would travel readable. Use https://, {_HOW_TO_ALLOW}.")
    return checked


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{_host_and_port(parts)}"
    except ValueError:
        return ""


def _host_and_port(parts: SplitResult) -> str:
    name = parts.hostname or ""
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
