"""Rules about this server: how it is reached, its secrets, its database and Redis, its index and logs."""

from __future__ import annotations

from collections.abc import Iterator

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

TLS_MODES = {"require", "verify-ca", "verify-full"}  # libpq's sslmode: those that refuse to go without TLS


def reached_without_tls(subject: Subject) -> Iterator[Problem]:
    """Beyond loopback, keys and sessions travel in headers: browsers and programs have to come over https."""
    server = subject.settings.server
    if is_loopback(server.host) or not subject.serves or (server.public_url or "").startswith("https://"):
        return
    yield Problem(
        subject.graded(production=Level.ERROR),
        "RAGSTONE_SERVER__PUBLIC_URL",
        f"the server listens on {server.host}, and no https address is known for it",
        "Put a proxy with TLS in front, and set its address, such as https://rag.example.com. "
        "Without it, cookies are not marked secure.",
    )


def secret_in_a_file(subject: Subject) -> Iterator[Problem]:
    """A secret that is made in the data directory serves one machine; backups of the directory hold it."""
    settings = subject.settings
    if settings.secret_key is not None:
        return
    several = settings.redis.url is not None or settings.database.url is not None
    if subject.is_production or (subject.serves and several):
        reason = "so each machine would make its own" if several else "and so in every copy of it"
        yield warning(
            "RAGSTONE_SECRET_KEY",
            f"unset: the secret is a file in the data directory, {reason}",
            "Set it on every server to the same value (an installation in use: the content of secret.key; "
            "a new one: `openssl rand -hex 32`), and keep it as you keep keys.",
        )


def records_of_one_machine(subject: Subject) -> Iterator[Problem]:
    """Redis is for several servers, and SQLite is not."""
    if subject.serves and subject.settings.redis.url is not None and subject.settings.database.url is None:
        yield warning(
            "RAGSTONE_DATABASE__URL",
            "unset beside Redis: each machine would have accounts and documents of its own",
            "For several machines, set a PostgreSQL URL; for one, Redis is of little use.",
        )


def database_without_tls(subject: Subject) -> Iterator[Problem]:
    """PostgreSQL beyond loopback without TLS shows rows and password to the network."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    database = subject.settings.database
    for name, secret in {"URL": database.url, "OWNER_URL": database.owner_url}.items():
        if secret is None:
            continue
        variable = f"RAGSTONE_DATABASE__{name}"
        try:
            url = make_url(secret.get_secret_value())
        except ArgumentError:
            yield error(variable, "is no URL", "Write postgresql://user:password@host/name.")
            continue
        mode = url.query.get("sslmode") or url.query.get("ssl")
        if subject.serves and not is_loopback(url.host or "localhost") and mode not in TLS_MODES:
            level = subject.graded(production=Level.ERROR)
            yield Problem(level, variable, "allows a connection without TLS", "Add ?sslmode=verify-full, or require.")


def owner_who_serves(subject: Subject) -> Iterator[Problem]:
    """The owner's URL is for migrations only, so that the server owns no tables."""
    database = subject.settings.database
    if database.owner_url is None:
        return
    if database.url is None:
        yield error("RAGSTONE_DATABASE__OWNER_URL", "is set, but RAGSTONE_DATABASE__URL is not", "Set both, or none.")
    elif database.owner_url.get_secret_value() == database.url.get_secret_value():
        yield warning(
            "RAGSTONE_DATABASE__OWNER_URL",
            "is the same as RAGSTONE_DATABASE__URL, so the server owns the tables all the same",
            "Give the server a user of its own, or leave this one out.",
        )


def open_redis(subject: Subject) -> Iterator[Problem]:
    """Redis that anybody reaches hands out limits and caches to anybody."""
    if subject.settings.redis.url is None or not subject.serves:
        return
    url = subject.settings.redis.url.get_secret_value()
    if is_plain_and_far(url):
        yield warning(
            "RAGSTONE_REDIS__URL",
            f"goes to {host_of(url)} without TLS" + ("" if "@" in url else " and without a password"),
            "Use rediss://:password@host, or keep that network to yourself.",
        )


def missing_packages(subject: Subject) -> Iterator[Problem]:
    """What a setting asks for is an extra that has to be installed."""
    settings, packages = subject.settings, subject.machine.packages
    wanted = {
        "asyncpg": ("RAGSTONE_DATABASE__URL", "postgres", settings.database.url is not None),
        "redis": ("RAGSTONE_REDIS__URL", "redis", settings.redis.url is not None),
        "openai": ("RAGSTONE_ANSWER__PROVIDER", "openai", settings.answer.provider == "openai"),
        "anthropic": ("RAGSTONE_ANSWER__PROVIDER", "anthropic", settings.answer.provider == "anthropic"),
        "opentelemetry.sdk": ("RAGSTONE_TELEMETRY__OTLP_ENDPOINT", "otel", bool(settings.telemetry.otlp_endpoint)),
        "opentelemetry.exporter": ("RAGSTONE_TELEMETRY__OTLP_ENDPOINT", "otel", bool(settings.telemetry.otlp_endpoint)),
    }
    missing = {(variable, extra) for name, (variable, extra, asked) in wanted.items() if asked and name not in packages}
    for variable, extra in sorted(missing):
        yield error(variable, f"needs the extra `{extra}`", f"pip install 'ragstone[{extra}]'")


def parts_for_tests(subject: Subject) -> Iterator[Problem]:
    """Two engines are for tests, and answer badly or forget."""
    if not subject.serves:
        return
    level = subject.graded(production=Level.ERROR)
    if subject.settings.index.engine == "memory":
        found = "memory: each process has an index of its own, which is empty when it starts"
        yield Problem(level, "RAGSTONE_INDEX__ENGINE", found, "Leave it at edge.")
    if subject.settings.embedding.model == "hashing":
        found = "hashing: no model at all, so meaning is not searched"
        yield Problem(level, "RAGSTONE_EMBEDDING__MODEL", found, "Leave it at minilm.")


def talkative_logs(subject: Subject) -> Iterator[Problem]:
    """Debug logs are large, and those of libraries are not ours to mask."""
    if subject.is_production and subject.settings.log.level == "debug":
        yield warning("RAGSTONE_LOG__LEVEL", "debug in production", "Set info; debug is for minutes, not for months.")


def readable_secrets_by_upload(subject: Subject) -> Iterator[Problem]:
    """A folder that requests may read must not hold the database and the secret."""
    data_dir = subject.machine.data_dir
    roots = {
        "RAGSTONE_INGESTION__ALLOWED_ROOT": subject.settings.ingestion.allowed_root,
        "RAGSTONE_LIBRECHAT__UPLOAD_ROOT": subject.settings.librechat.upload_root,
    }
    for variable, root in roots.items():
        if root is None:
            continue
        folder = root.expanduser().absolute()
        if folder == data_dir or folder in data_dir.parents:
            yield error(variable, "holds the data directory, with the secret in it", "Name a folder of documents only.")


RULES: tuple[Rule, ...] = (
    reached_without_tls,
    secret_in_a_file,
    records_of_one_machine,
    database_without_tls,
    owner_who_serves,
    open_redis,
    missing_packages,
    parts_for_tests,
    talkative_logs,
    readable_secrets_by_upload,
)
