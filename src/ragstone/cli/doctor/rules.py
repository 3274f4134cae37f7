"""What rules look at, and what they find.

A rule is a pure function: it reads a `Subject` and yields a `Problem` for each thing that is wrong.
No problem ever holds the value of a secret; at most it names the variable.
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
UNKNOWN_LIMIT = 1 << 20  # where the system sets no limit to open files, or does not tell


class Level(StrEnum):
    """How bad it is: an error has to be mended before the first start, a warning may be meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the variable it is about, what was found, and what to do."""

    level: Level
    variable: str
    found: str
    mend: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What the rules need to know of the machine. Paths are absolute; `dotenv_mode` is None without a `.env`."""

    data_dir: Path
    free_bytes: int
    open_files: int
    packages: frozenset[str]
    temporary: tuple[Path, ...] = ()
    dotenv_mode: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at. `given` says for each variable that is set where it comes from; `now` is in seconds UTC."""

    settings: Settings
    profile: Profile
    machine: Machine
    given: Mapping[str, str]
    now: float

    def graded(self, *, production: Level, staging: Level | None = None, development: Level | None = None) -> Level:
        """How bad something is in this profile; a warning where it is not said otherwise."""
        match self.profile:
            case "production":
                return production
            case "staging":
                return staging or Level.WARNING
            case "development":
                return development or Level.WARNING

    @property
    def serves(self) -> bool:
        """Whether others are to use it: staging or production."""
        return self.profile != "development"

    @property
    def is_production(self) -> bool:
        """Whether it is for real."""
        return self.profile == "production"


Rule = Callable[[Subject], Iterator[Problem]]


def error(variable: str, found: str, mend: str) -> Problem:
    """What has to be mended."""
    return Problem(Level.ERROR, variable, found, mend)


def warning(variable: str, found: str, mend: str) -> Problem:
    """What may be meant."""
    return Problem(Level.WARNING, variable, found, mend)


def observed(settings: Settings) -> Machine:
    """The machine as it is: disk, limits and packages are read, nothing is changed."""
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
    """The host of a URL, in small letters without brackets; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    if host in LOOPBACK_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_plain_and_far(url: str) -> bool:
    """Whether what is sent there can be read on the way."""
    return urlsplit(url).scheme in {"http", "redis"} and not is_loopback(host_of(url))
