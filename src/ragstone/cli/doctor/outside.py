"""Rules about what reaches out: models, upstreams, LibreChat, pipelines, traces, and personal data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

from ragstone.cli.doctor.rules import (
    Level,
    Problem,
    Rule,
    Subject,
    error,
    host_of,
    is_loopback,
    is_plain_and_far,
    warning,
)
from ragstone.errors import ConfigurationError
from ragstone.retrieval.vectorize.client import SOON, checked_token, expiry_of
from ragstone.telemetry.custom_patterns import own_shapes

VENDOR_HOSTS = frozenset(
    {
        "api.anthropic.com",
        "api.cohere.com",
        "api.deepseek.com",
        "api.fireworks.ai",
        "api.groq.com",
        "api.mistral.ai",
        "api.openai.com",
        "api.together.xyz",
        "api.x.ai",
        "generativelanguage.googleapis.com",
        "openrouter.ai",
    }
)
"""Public model servers: all of them refuse a call without a key."""

EXAMPLE_SECRETS = frozenset(
    {
        "69024f21e9ad17594dcccd93e87399af24a5426ccfe6108d1787f0335966abc4",
    }
)
"""SHA-256 of the JWT_SECRETs that LibreChat's `.env.example` shows, so that everybody knows them."""

SECRET_CHARS = 32  # 256 bits where each character has 8; RFC 7518 3.2 asks for as much for HS256
SLOW_BUDGET_S = 2.0  # a reader waits that much longer for each answer when retrieval hangs
MANY_HOSTS = 10  # private hosts that tenants' URLs may reach; a callback needs one or two
METADATA_HOSTS = {"169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal"}  # they hand out a machine's keys


def _upstreams(subject: Subject) -> Iterator[tuple[str, str | None, str, SecretStr | None]]:
    """Each server that settings name: variable and value of its URL, then of its key."""
    settings = subject.settings
    chat, answer = settings.interceptor, settings.answer
    group = "RAGSTONE_INTERCEPTOR__"
    yield f"{group}UPSTREAM_URL", chat.upstream_url, f"{group}UPSTREAM_KEY", chat.upstream_key
    yield f"{group}ANTHROPIC_URL", chat.anthropic_url, f"{group}ANTHROPIC_KEY", chat.anthropic_key
    if answer.provider != "extractive":
        url = answer.base_url or f"https://api.{answer.provider}.com"
        yield "RAGSTONE_ANSWER__BASE_URL", url, "RAGSTONE_ANSWER__API_KEY", answer.api_key
    yield "RAGSTONE_VECTORIZE__URL", settings.vectorize.url, "RAGSTONE_VECTORIZE__TOKEN", settings.vectorize.token


def no_address(subject: Subject) -> Iterator[Problem]:
    """A base URL has a scheme and a host; anything else fails with the first chat."""
    named = [(variable, url) for variable, url, _, _ in _upstreams(subject)]
    named.append(("RAGSTONE_TELEMETRY__OTLP_ENDPOINT", subject.settings.telemetry.otlp_endpoint))
    for variable, url in named:
        if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not host_of(url)):
            yield error(variable, "is no http:// or https:// address", "Write it with scheme and host.")
        elif url is not None and "@" in urlsplit(url).netloc:
            yield error(variable, "holds a name or password", "Keys have variables of their own; addresses get logged.")


def readable_on_the_way(subject: Subject) -> Iterator[Problem]:
    """Questions, passages and keys over plain http beyond this machine."""
    if not subject.serves:
        return
    for variable, url, _, key in _upstreams(subject):
        if url is not None and is_plain_and_far(url):
            level = subject.graded(production=Level.ERROR) if key else Level.WARNING
            sent = "its key and every question" if key else "every question"
            yield Problem(
                level, variable, f"sends {sent} to {host_of(url)} unencrypted", "Use https, or a proxy that speaks it."
            )


def missing_keys(subject: Subject) -> Iterator[Problem]:
    """A public vendor answers nobody without a key; a key without its server does nothing."""
    for variable, url, key_variable, key in _upstreams(subject):
        if url is not None and key is None and host_of(url) in VENDOR_HOSTS:
            yield error(key_variable, f"unset, and {host_of(url)} answers nobody without a key", "Set it.")
        elif url is None and key is not None and not variable.startswith("RAGSTONE_VECTORIZE"):
            yield warning(key_variable, f"has no effect without {variable}", f"Set {variable}, or leave the key out.")
    answer = subject.settings.answer
    if answer.provider == "extractive" and (answer.api_key or answer.model or answer.base_url):
        named = "RAGSTONE_ANSWER__PROVIDER"
        yield warning(named, "extractive, though a model, key or address is set", "Set openai or anthropic.")


def models_without_a_server(subject: Subject) -> Iterator[Problem]:
    """Names for models upstream say nothing where there is no upstream."""
    chat = subject.settings.interceptor
    if chat.models and not (chat.upstream_url or chat.anthropic_url):
        yield warning(
            "RAGSTONE_INTERCEPTOR__MODELS",
            "names models of a server, but none is set",
            "Set RAGSTONE_INTERCEPTOR__UPSTREAM_URL.",
        )


def weak_librechat_secret(subject: Subject) -> Iterator[Problem]:
    """Whoever knows the secret is every user of that LibreChat."""
    secret = subject.settings.librechat.jwt_secret
    if secret is None:
        return
    variable, value = "RAGSTONE_LIBRECHAT__JWT_SECRET", secret.get_secret_value().strip()
    mend = "Make one with `openssl rand -hex 32`; set it here and as JWT_SECRET in LibreChat's .env."
    if hashlib.sha256(value.encode()).hexdigest() in EXAMPLE_SECRETS:
        level = subject.graded(production=Level.ERROR, staging=Level.ERROR)
        yield Problem(level, variable, "is the example of LibreChat's .env.example, which everybody knows", mend)
    elif len(value) < SECRET_CHARS:
        found = f"has {len(value)} characters; {SECRET_CHARS} are the least that is not guessed"
        yield Problem(subject.graded(production=Level.ERROR), variable, found, mend)


def half_a_pipeline(subject: Subject) -> Iterator[Problem]:
    """A pipeline is its organisation, its id and a token, or a URL and a token."""
    vectorize = subject.settings.vectorize
    parts = {
        "RAGSTONE_VECTORIZE__ORGANIZATION": vectorize.organization,
        "RAGSTONE_VECTORIZE__PIPELINE": vectorize.pipeline,
        "RAGSTONE_VECTORIZE__TOKEN": vectorize.token,
    }
    if vectorize.url is not None:
        missing = [] if vectorize.token else ["RAGSTONE_VECTORIZE__TOKEN"]
    elif any(parts.values()):
        missing = [name for name, value in parts.items() if not value]
    else:
        missing = []
    for name in missing:
        yield error(name, "unset, though a pipeline is", "Set it, or none of RAGSTONE_VECTORIZE__….")


def useless_token(subject: Subject) -> Iterator[Problem]:
    """A token that is none or has expired finds nothing; one that ends soon, soon."""
    vectorize, variable = subject.settings.vectorize, "RAGSTONE_VECTORIZE__TOKEN"
    if vectorize.token is None:
        return
    token, now = vectorize.token.get_secret_value(), datetime.fromtimestamp(subject.now, UTC)
    try:
        checked_token(token, now=now, opaque=vectorize.url is not None)
        ends = None if vectorize.url else expiry_of(token)
    except ConfigurationError as broken:
        yield error(variable, broken.message, "Make an API access token at Vectorize.")
        return
    if ends is not None and ends - now <= SOON:
        found = f"ends on {ends:%Y-%m-%d}; then the pipeline is refused"
        yield warning(variable, found, "Make a new API access token at Vectorize, and set it.")


def slow_budget(subject: Subject) -> Iterator[Problem]:
    """What readers wait for when retrieval hangs."""
    budget_s = subject.settings.interceptor.budget_s
    if budget_s > SLOW_BUDGET_S:
        found = f"{budget_s:g} s: when retrieval hangs, every chat waits so long before its first word"
        yield warning(
            "RAGSTONE_INTERCEPTOR__BUDGET_S", found, f"Stay at or below {SLOW_BUDGET_S:g}; the default is 0.8."
        )


def impatient_upstream(subject: Subject) -> Iterator[Problem]:
    """A whole answer cannot take less than its beginning."""
    upstream = subject.settings.upstream
    if upstream.total_s <= upstream.first_byte_s:
        yield warning(
            "RAGSTONE_UPSTREAM__TOTAL_S",
            f"{upstream.total_s:g} s for the whole answer, {upstream.first_byte_s:g} s until it begins",
            "Give the whole more than its beginning.",
        )
    if upstream.max_calls_per_tenant > upstream.max_calls:
        found = f"{upstream.max_calls_per_tenant} for one tenant, of {upstream.max_calls}: one can take every place"
        yield warning("RAGSTONE_UPSTREAM__MAX_CALLS_PER_TENANT", found, "Keep it below RAGSTONE_UPSTREAM__MAX_CALLS.")


def wide_open_inside(subject: Subject) -> Iterator[Problem]:
    """Private hosts that a tenant's URL may reach: as few as can be, and none that hands out keys."""
    variable, hosts = "RAGSTONE_OUTBOUND__ALLOWED_HOSTS", subject.settings.outbound.allowed_hosts
    names = {host: host.rpartition(":")[0] for host in hosts}
    for host in sorted(host for host, name in names.items() if name in METADATA_HOSTS):
        yield error(variable, f"{host} hands out the keys of this machine to any tenant", "Take it out.")
    inside = sorted(host for host, name in names.items() if is_loopback(name.strip("[]")))
    if inside and subject.serves:
        found = f"{', '.join(inside)} is this machine: tenants' URLs reach what listens there"
        yield Problem(subject.graded(production=Level.ERROR), variable, found, "Name the receiver's own host.")
    if len(hosts) > MANY_HOSTS:
        yield warning(variable, f"{len(hosts)} private hosts can be reached by any tenant", "Name only receivers.")


def broken_patterns(subject: Subject) -> Iterator[Problem]:
    """A pattern that cannot be used: the server would not start."""
    try:
        own_shapes(subject.settings.privacy.patterns)
    except ConfigurationError as broken:
        yield error("RAGSTONE_PRIVACY__PATTERNS", broken.message, "docs/telemetry.md says what a pattern may hold.")


RULES: tuple[Rule, ...] = (
    no_address,
    readable_on_the_way,
    missing_keys,
    models_without_a_server,
    weak_librechat_secret,
    half_a_pipeline,
    useless_token,
    slow_budget,
    impatient_upstream,
    wide_open_inside,
    broken_patterns,
)
