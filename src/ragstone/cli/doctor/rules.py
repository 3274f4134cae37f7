"""Rules about the settings of the server and the machine: a rule reads a `Subject` and yields `SettingProblem`s.

A rule is a pure function that yields a `SettingProblem` for each fault. A problem names the variable of a
secret, never its value.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ragstone.settings import LOOPBACK_HOSTS, Settings

Profile = Literal["development", "staging", "production"]
OPTIONAL_PACKAGES = ("anthropic", "asyncpg", "openai", "redis", "opentelemetry.sdk", "opentelemetry.exporter")
UNKNOWN_LIMIT = 1 << 20  # open files, where the system has no limit or does not report it
LOW_DISK_BYTES = 1 << 30
FULL_DISK_BYTES = 64 << 20
OWN_FILES = 200  # database, blobs, index, parsers and libraries, rounded up
OTHERS = 0o077  # permission bits of group and others
TLS_MODES = {"require", "verify-ca", "verify-full"}  # libpq's sslmode values that require TLS


class Level(StrEnum):
    """Severity: an error has to be fixed before the first start, a warning may be intended."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One fault: its variable, the finding, and the fix."""

    level: Level
    variable: str
    found: str
    fix: str


@dataclass(frozen=True, slots=True)
class Machine:
    """State of the machine that rules read. Paths are absolute; `dotenv_mode` is None without a `.env`."""

    data_dir: Path
    free_bytes: int
    open_files: int
    packages: frozenset[str]
    temporary: tuple[Path, ...] = ()
    dotenv_mode: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Input of a rule. `given` maps each set variable to its origin; `now` is in seconds UTC."""

    settings: Settings
    profile: Profile
    machine: Machine
    given: Mapping[str, str]
    now: float

    def graded(self, *, production: Level, staging: Level | None = None, development: Level | None = None) -> Level:
        """Severity of a fault in this profile; a warning unless given."""
        match self.profile:
            case "production":
                return production
            case "staging":
                return staging or Level.WARNING
            case "development":
                return development or Level.WARNING

    @property
    def serves(self) -> bool:
        """Whether the profile serves other users: staging or production."""
        return self.profile != "development"

    @property
    def is_production(self) -> bool:
        """Whether the profile is production."""
        return self.profile == "production"


Rule = Callable[[Subject], Iterator[SettingProblem]]


def error(variable: str, found: str, fix: str) -> SettingProblem:
    """Create a problem that has to be fixed."""
    return SettingProblem(Level.ERROR, variable, found, fix)


def warning(variable: str, found: str, fix: str) -> SettingProblem:
    """Create a problem that may be intended."""
    return SettingProblem(Level.WARNING, variable, found, fix)


def observed(settings: Settings) -> Machine:
    """Read disk, limits and packages of this machine; changes nothing."""
    data_dir = settings.data_dir.expanduser().absolute()
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    dotenv = Path(".env")
    return Machine(
        data_dir=data_dir,
        free_bytes=shutil.disk_usage(existing).free,
        open_files=_open_files(),
        packages=frozenset(name for name in OPTIONAL_PACKAGES if _is_installed(name)),
        temporary=tuple({Path("/tmp"), Path("/var/tmp"), Path(tempfile.gettempdir())}),  # noqa: S108 — only compared
        dotenv_mode=stat.S_IMODE(dotenv.stat().st_mode) if dotenv.is_file() and os.name == "posix" else None,
    )


def _open_files() -> int:
    try:
        import resource
    except ImportError:  # not on Windows
        return UNKNOWN_LIMIT
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNKNOWN_LIMIT if soft == resource.RLIM_INFINITY else soft


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def host_of(url: str) -> str:
    """Host of a URL in lower case without brackets; empty without one."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether the host is a loopback address or name."""
    if host in LOOPBACK_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_plain_and_far(url: str) -> bool:
    """Whether the URL is unencrypted and leads to another machine."""
    return urlsplit(url).scheme in {"http", "redis"} and not is_loopback(host_of(url))


def server_without_tls(subject: Subject) -> Iterator[SettingProblem]:
    """A server beyond loopback needs https, because keys and sessions are sent in headers."""
    server = subject.settings.server
    if is_loopback(server.host) or not subject.serves or (server.public_url or "").startswith("https://"):
        return
    yield SettingProblem(
        subject.graded(production=Level.ERROR),
        "RAGSTONE_SERVER__PUBLIC_URL",
        f"the server listens on {server.host}, and its https address is not set",
        "Put a TLS proxy in front of the server and set its address, such as https://rag.example.com. "
        "Without it, cookies are not marked secure.",
    )


def generated_secret(subject: Subject) -> Iterator[SettingProblem]:
    """A secret generated in the data directory serves one machine and is part of each backup."""
    settings = subject.settings
    if settings.secret_key is not None:
        return
    several = settings.redis.url is not None or settings.database.url is not None
    if subject.is_production or (subject.serves and several):
        reason = "so each machine generates its own" if several else "and in each copy of it"
        yield warning(
            "RAGSTONE_SECRET_KEY",
            f"unset: the secret is a file in the data directory, {reason}",
            "Set the same value on all servers (an installation in use: the content of secret.key; "
            "a new one: `openssl rand -hex 32`), and store it like a key.",
        )


def sqlite_beside_redis(subject: Subject) -> Iterator[SettingProblem]:
    """Redis serves several machines; SQLite serves one."""
    if subject.serves and subject.settings.redis.url is not None and subject.settings.database.url is None:
        yield warning(
            "RAGSTONE_DATABASE__URL",
            "unset although Redis is set: each machine would have its own accounts and documents",
            "For several machines, set a PostgreSQL URL; one machine hardly needs Redis.",
        )


def database_without_tls(subject: Subject) -> Iterator[SettingProblem]:
    """A PostgreSQL connection beyond loopback needs TLS for its rows and password."""
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
            yield error(variable, "is not a URL", "Write postgresql://user:password@host/name.")
            continue
        mode = url.query.get("sslmode") or url.query.get("ssl")
        if subject.serves and not is_loopback(url.host or "localhost") and mode not in TLS_MODES:
            level = subject.graded(production=Level.ERROR)
            yield SettingProblem(
                level, variable, "allows a connection without TLS", "Add ?sslmode=verify-full, or require."
            )


def shared_owner_url(subject: Subject) -> Iterator[SettingProblem]:
    """The owner's URL serves migrations only; the server must not own tables."""
    database = subject.settings.database
    if database.owner_url is None:
        return
    if database.url is None:
        yield error("RAGSTONE_DATABASE__OWNER_URL", "is set, but RAGSTONE_DATABASE__URL is not", "Set both or neither.")
    elif database.owner_url.get_secret_value() == database.url.get_secret_value():
        yield warning(
            "RAGSTONE_DATABASE__OWNER_URL",
            "is the same as RAGSTONE_DATABASE__URL, so the server owns the tables",
            "Give the server a database user of its own, or unset this variable.",
        )


def open_redis(subject: Subject) -> Iterator[SettingProblem]:
    """A Redis connection beyond loopback needs TLS and a password."""
    if subject.settings.redis.url is None or not subject.serves:
        return
    url = subject.settings.redis.url.get_secret_value()
    if is_plain_and_far(url):
        yield warning(
            "RAGSTONE_REDIS__URL",
            f"goes to {host_of(url)} without TLS" + ("" if "@" in url else " and without a password"),
            "Use rediss://:password@host, or a private network.",
        )


def missing_packages(subject: Subject) -> Iterator[SettingProblem]:
    """A setting can need an extra that is not installed."""
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


def components_for_tests(subject: Subject) -> Iterator[SettingProblem]:
    """The memory index and the hashing model are for tests only."""
    if not subject.serves:
        return
    level = subject.graded(production=Level.ERROR)
    if subject.settings.index.engine == "memory":
        found = "memory: each process has its own index, which is empty at start"
        yield SettingProblem(level, "RAGSTONE_INDEX__ENGINE", found, "Set edge.")
    if subject.settings.embedding.model == "hashing":
        found = "hashing: not a language model, so search ignores meaning"
        yield SettingProblem(level, "RAGSTONE_EMBEDDING__MODEL", found, "Set minilm.")


def debug_logs(subject: Subject) -> Iterator[SettingProblem]:
    """Debug logs are large, and logs of libraries are not masked."""
    if subject.is_production and subject.settings.log.level == "debug":
        yield warning("RAGSTONE_LOG__LEVEL", "debug in production", "Set info; use debug for minutes only.")


def readable_data_directory(subject: Subject) -> Iterator[SettingProblem]:
    """A folder that requests can read must not contain the data directory."""
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
            yield error(variable, "contains the data directory with its secret", "Set a folder of documents only.")


def temporary_data_directory(subject: Subject) -> Iterator[SettingProblem]:
    """The system empties folders for temporary files; a relative path depends on the working directory."""
    if not subject.serves:
        return
    folder = subject.machine.data_dir
    if any(root == folder or root in folder.parents for root in subject.machine.temporary):
        level = subject.graded(production=Level.ERROR)
        found = f"{folder} is in a folder for temporary files, which the system empties"
        yield SettingProblem(level, "RAGSTONE_DATA_DIR", found, "Set a folder on a permanent disk, and back it up.")
    elif not subject.settings.data_dir.expanduser().is_absolute():
        found = f"{subject.settings.data_dir} is relative to the working directory; now it is {folder}"
        yield warning("RAGSTONE_DATA_DIR", found, "Write an absolute path, such as /srv/ragstone.")


def low_disk_space(subject: Subject) -> Iterator[SettingProblem]:
    """Ingestion and SQLite commits need free disk space."""
    free = subject.machine.free_bytes
    if free < LOW_DISK_BYTES:
        level = Level.ERROR if free < FULL_DISK_BYTES else Level.WARNING
        found = f"{free >> 20} MiB are free at {subject.machine.data_dir}"
        yield SettingProblem(level, "RAGSTONE_DATA_DIR", found, "Free some space, or set a folder on a larger disk.")


def few_open_files(subject: Subject) -> Iterator[SettingProblem]:
    """A forwarded chat takes two connections, each an open file."""
    from ragstone.http.server import MAX_CONNECTIONS

    needed = MAX_CONNECTIONS + subject.settings.upstream.max_calls + OWN_FILES
    if subject.serves and subject.machine.open_files < needed:
        yield warning(
            "RAGSTONE_UPSTREAM__MAX_CALLS",
            f"{subject.machine.open_files} open files are allowed (`ulimit -n`); all clients and calls need {needed}",
            f"Raise the limit (`ulimit -n {2 * needed}`, LimitNOFILE= of systemd), or lower this setting.",
        )


def readable_dotenv(subject: Subject) -> Iterator[SettingProblem]:
    """A `.env` file with keys must be readable by its owner only."""
    mode = subject.machine.dotenv_mode
    if subject.serves and mode is not None and mode & OTHERS:
        yield warning(".env", f"other users have access (permissions {mode:o})", "chmod 600 .env")


def inherited_profile(subject: Subject) -> Iterator[SettingProblem]:
    """The profile of the check should be the profile of the server."""
    if subject.profile != subject.settings.profile:
        found = f"{subject.settings.profile}, but this check is for {subject.profile}"
        yield warning("RAGSTONE_PROFILE", found, f"Set it to {subject.profile} for the deployed server.")


def unreadable(message: str) -> list[SettingProblem]:
    """Split the message of unreadable settings into one problem per variable."""
    import re

    parts = re.split(r"(?:^.*?|; )(?=RAGSTONE_[A-Z0-9_]+: )", message)
    found = [part.partition(": ") for part in parts if part.startswith("RAGSTONE_")]
    if not found:
        return [error("RAGSTONE_…", message, "The settings are listed in .env.example.")]
    fix = "Correct or remove the value; .env.example documents it."
    return [error(name, text.rstrip("."), fix) for name, _, text in found]


SERVER_RULES: tuple[Rule, ...] = (
    server_without_tls,
    generated_secret,
    sqlite_beside_redis,
    database_without_tls,
    shared_owner_url,
    open_redis,
    missing_packages,
    components_for_tests,
    debug_logs,
    readable_data_directory,
)
MACHINE_RULES: tuple[Rule, ...] = (
    inherited_profile,
    temporary_data_directory,
    low_disk_space,
    few_open_files,
    readable_dotenv,
)
