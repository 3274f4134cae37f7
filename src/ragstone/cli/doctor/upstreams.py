"""Rules about other servers and personal data: models, LibreChat, pipelines, traces, private hosts, patterns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

from ragstone.cli.doctor.rules import (
    Level,
    Rule,
    SettingProblem,
    Subject,
    error,
    host_of,
    is_loopback,
    is_plain_and_far,
    warning,
)
from ragstone.errors import ConfigurationError
from ragstone.telemetry.custom_patterns import custom_detectors

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
"""Public model servers that refuse a call without a key."""

EXAMPLE_SECRETS = frozenset(
    {
        "69024f21e9ad17594dcccd93e87399af24a5426ccfe6108d1787f0335966abc4",
    }
)
"""SHA-256 of the JWT_SECRETs from LibreChat's public `.env.example`."""

SECRET_CHARS = 32  # 256 bits at 8 bits a character; RFC 7518 section 3.2 requires as much for HS256
SLOW_BUDGET_S = 2.0  # added to the time of each answer when retrieval hangs
MANY_HOSTS = 10  # private hosts that tenants' URLs may reach; a webhook needs one or two
METADATA_HOSTS = {
    "169.254.169.254",
    "[fd00:ec2::254]",
    "metadata.google.internal",
}  # they serve credentials


def _upstreams(subject: Subject) -> Iterator[tuple[str, str | None, str, SecretStr | None]]:
    """Yield each configured server: variable and value of its URL, then of its key."""
    settings = subject.settings
    chat, answer = settings.interceptor, settings.answer
    group = "RAGSTONE_INTERCEPTOR__"
    yield f"{group}UPSTREAM_URL", chat.upstream_url, f"{group}UPSTREAM_KEY", chat.upstream_key
    yield f"{group}ANTHROPIC_URL", chat.anthropic_url, f"{group}ANTHROPIC_KEY", chat.anthropic_key
    if answer.provider in {"openai", "anthropic"}:
        url = answer.base_url or f"https://api.{answer.provider}.com"
        yield "RAGSTONE_ANSWER__BASE_URL", url, "RAGSTONE_ANSWER__API_KEY", answer.api_key
    yield "RAGSTONE_VECTORIZE__URL", settings.vectorize.url, "RAGSTONE_VECTORIZE__TOKEN", settings.vectorize.token


def invalid_addresses(subject: Subject) -> Iterator[SettingProblem]:
    """A base URL needs a scheme and a host, and must not contain credentials."""
    named = [(variable, url) for variable, url, _, _ in _upstreams(subject)]
    named.append(("RAGSTONE_TELEMETRY__OTLP_ENDPOINT", subject.settings.telemetry.otlp_endpoint))
    for variable, url in named:
        if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not host_of(url)):
            yield error(variable, "is not an http:// or https:// address", "Write it with scheme and host.")
        elif url is not None and "@" in urlsplit(url).netloc:
            yield error(
                variable, "contains a user name or password", "Keys have their own variables; addresses are logged."
            )


def unencrypted_upstreams(subject: Subject) -> Iterator[SettingProblem]:
    """Questions, passages and keys must not travel unencrypted beyond this machine."""
    if not subject.serves:
        return
    for variable, url, _, key in _upstreams(subject):
        if url is not None and is_plain_and_far(url):
            level = subject.graded(production=Level.ERROR) if key else Level.WARNING
            sent = "its key and all questions" if key else "all questions"
            yield SettingProblem(
                level, variable, f"sends {sent} to {host_of(url)} unencrypted", "Use https, or a proxy with https."
            )


def missing_keys(subject: Subject) -> Iterator[SettingProblem]:
    """A public vendor needs a key; a key without a server has no effect."""
    for variable, url, key_variable, key in _upstreams(subject):
        if url is not None and key is None and host_of(url) in VENDOR_HOSTS:
            yield error(key_variable, f"unset, and {host_of(url)} requires a key", "Set it.")
        elif url is None and key is not None and not variable.startswith("RAGSTONE_VECTORIZE"):
            yield warning(key_variable, f"has no effect without {variable}", f"Set {variable}, or unset the key.")
    answer = subject.settings.answer
    if answer.provider == "extractive" and (answer.api_key or answer.model or answer.base_url):
        named = "RAGSTONE_ANSWER__PROVIDER"
        yield warning(named, "extractive, although a model, key or address is set", "Set openai or anthropic.")


def models_without_a_server(subject: Subject) -> Iterator[SettingProblem]:
    """Model names need an upstream server."""
    chat = subject.settings.interceptor
    if chat.models and not (chat.upstream_url or chat.anthropic_url):
        yield warning(
            "RAGSTONE_INTERCEPTOR__MODELS",
            "names models of an upstream server, but none is set",
            "Set RAGSTONE_INTERCEPTOR__UPSTREAM_URL.",
        )


def weak_librechat_secret(subject: Subject) -> Iterator[SettingProblem]:
    """A known or short secret lets an attacker sign as any user of that LibreChat."""
    secret = subject.settings.librechat.jwt_secret
    if secret is None:
        return
    variable, value = "RAGSTONE_LIBRECHAT__JWT_SECRET", secret.get_secret_value().strip()
    fix = "Generate one with `openssl rand -hex 32`; set it here and as JWT_SECRET in LibreChat's .env."
    if hashlib.sha256(value.encode()).hexdigest() in EXAMPLE_SECRETS:
        level = subject.graded(production=Level.ERROR, staging=Level.ERROR)
        yield SettingProblem(level, variable, "is the public example of LibreChat's .env.example", fix)
    elif len(value) < SECRET_CHARS:
        found = f"has {len(value)} characters; at least {SECRET_CHARS} are needed"
        yield SettingProblem(subject.graded(production=Level.ERROR), variable, found, fix)


def incomplete_pipeline(subject: Subject) -> Iterator[SettingProblem]:
    """A pipeline needs its organisation, its id and a token, or a URL and a token."""
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
        yield error(name, "unset, although a pipeline is configured", "Set it, or unset all of RAGSTONE_VECTORIZE__….")


def invalid_token(subject: Subject) -> Iterator[SettingProblem]:
    """A token must be valid; a warning names one that ends soon."""
    if subject.settings.vectorize.token is None:
        return
    from ragstone.wiring import pipeline_token_end

    variable = "RAGSTONE_VECTORIZE__TOKEN"
    try:
        ends = pipeline_token_end(subject.settings, now=datetime.fromtimestamp(subject.now, UTC))
    except ConfigurationError as broken:
        yield error(variable, broken.message, "Create an API access token at Vectorize.")
        return
    if ends is not None:
        found = f"ends on {ends:%Y-%m-%d}; then the pipeline refuses it"
        yield warning(variable, found, "Create a new API access token at Vectorize, and set it.")


def long_budget(subject: Subject) -> Iterator[SettingProblem]:
    """A long retrieval budget delays each chat when retrieval hangs."""
    budget_s = subject.settings.interceptor.budget_s
    if budget_s > SLOW_BUDGET_S:
        found = f"{budget_s:g} s: each chat waits so long for its first word when retrieval hangs"
        yield warning("RAGSTONE_INTERCEPTOR__BUDGET_S", found, f"Set at most {SLOW_BUDGET_S:g}; the default is 0.8.")


def inconsistent_upstream_limits(subject: Subject) -> Iterator[SettingProblem]:
    """The limit of a whole answer must exceed the limit of its first byte, and one tenant needs a share only."""
    upstream = subject.settings.upstream
    if upstream.total_s <= upstream.first_byte_s:
        yield warning(
            "RAGSTONE_UPSTREAM__TOTAL_S",
            f"{upstream.total_s:g} s for the whole answer, {upstream.first_byte_s:g} s until it begins",
            "Set it above RAGSTONE_UPSTREAM__FIRST_BYTE_S.",
        )
    if upstream.max_calls_per_tenant > upstream.max_calls:
        found = f"{upstream.max_calls_per_tenant} for one tenant of {upstream.max_calls}: one tenant can take all"
        yield warning("RAGSTONE_UPSTREAM__MAX_CALLS_PER_TENANT", found, "Keep it below RAGSTONE_UPSTREAM__MAX_CALLS.")


def open_private_hosts(subject: Subject) -> Iterator[SettingProblem]:
    """Tenants' URLs should reach few private hosts, not this machine, and no metadata service."""
    variable, hosts = "RAGSTONE_OUTBOUND__ALLOWED_HOSTS", subject.settings.outbound.allowed_hosts
    names = {host: host.rpartition(":")[0] for host in hosts}
    for host in sorted(host for host, name in names.items() if name in METADATA_HOSTS):
        yield error(variable, f"{host} serves the credentials of this machine to any tenant", "Remove it.")
    inside = sorted(host for host, name in names.items() if is_loopback(name.strip("[]")))
    if inside and subject.serves:
        found = f"{', '.join(inside)} is this machine: tenants' URLs reach what listens there"
        yield SettingProblem(subject.graded(production=Level.ERROR), variable, found, "Set the host of the receiver.")
    if len(hosts) > MANY_HOSTS:
        yield warning(variable, f"{len(hosts)} private hosts are open to tenants", "Set the hosts of receivers only.")


def broken_patterns(subject: Subject) -> Iterator[SettingProblem]:
    """An invalid pattern prevents the start of the server."""
    try:
        custom_detectors(subject.settings.privacy.patterns)
    except ConfigurationError as broken:
        yield error("RAGSTONE_PRIVACY__PATTERNS", broken.message, "docs/telemetry.md describes the allowed patterns.")


UPSTREAM_RULES: tuple[Rule, ...] = (
    invalid_addresses,
    unencrypted_upstreams,
    missing_keys,
    models_without_a_server,
    weak_librechat_secret,
    incomplete_pipeline,
    invalid_token,
    long_budget,
    inconsistent_upstream_limits,
    open_private_hosts,
    broken_patterns,
)
