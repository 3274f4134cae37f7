"""Checks of a running installation: one function per part, and the rules that need the database.

A check changes nothing that a later `ragstone ingest` would not change, and spends no tokens.
A `RagstoneError` becomes a finding; its message names the fix.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from time import perf_counter
from typing import Literal, NamedTuple

import aiohttp
import numpy as np

from ragstone import __version__
from ragstone.billing.plans import ModelEntry, Plan
from ragstone.cli.doctor.rules import (
    FULL_DISK_BYTES,
    LOW_DISK_BYTES,
    SettingProblem,
    Subject,
    error,
    is_loopback,
    warning,
)
from ragstone.cli.models import NAME_CHARS
from ragstone.cli.output import one_line
from ragstone.errors import PortInUse, RagstoneError
from ragstone.http.server import listen
from ragstone.settings import Settings
from ragstone.vocabulary import DEFAULT_TENANT, JobState, Scope
from ragstone.wiring import Infrastructure, check_address, open_embedder, open_index, open_records, prepare_data_dir
from ragstone.wiring.engines import sandboxed_parser
from ragstone.wiring.local_model import answer_settings, is_open, models_here

MIN_SQLITE = (3, 38, 0)  # the first that has json_each in every build
REACH_TIMEOUT_S = 5.0
MAX_NORM_ERROR = 1e-3  # float32 rows of length 1 are within 1e-6
MAX_TENANTS = 10_000  # tenants whose plans are read; further tenants share the same plans
VENDOR_URLS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1"}

State = Literal["ok", "warning", "broken"]


class Finding(NamedTuple):
    """Result of a check; `fix` is the fix unless `found` contains it."""

    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Result of a check with the name of its part."""

    name: str
    state: State
    found: str
    fix: str = ""


async def all_checks(settings: Settings) -> AsyncIterator[Check]:
    """Check all parts, in the order of `PARTS`."""
    for name in PARTS:
        yield await check(name, settings)


async def check(name: str, settings: Settings) -> Check:
    """Check one part of `PARTS`."""
    try:
        return Check(name, *await PARTS[name](settings))
    except RagstoneError as error:
        return Check(name, "broken", error.message)


async def versions(_settings: Settings) -> Finding:
    """Check the versions of Ragstone, Python and SQLite."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    found = f"Ragstone {__version__}, Python {python}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        needed = ".".join(str(part) for part in MIN_SQLITE)
        return Finding("broken", found, f"Use a Python that is built with SQLite {needed} or newer.")
    return Finding("ok", found)


async def data_directory(settings: Settings) -> Finding:
    """Check that the data directory is writable, and its free space."""
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"ragstone")
    except OSError as error:
        fix = "Make it writable for this user, or set RAGSTONE_DATA_DIR to another folder."
        return Finding("broken", f"{folder} cannot be written to ({error.strerror})", fix)
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / (1 << 30):.1f} GiB free"
    if free < LOW_DISK_BYTES:
        state: State = "broken" if free < FULL_DISK_BYTES else "warning"
        return Finding(state, found, "Free some space, or set RAGSTONE_DATA_DIR to a folder on a larger disk.")
    return Finding("ok", found)


async def database(settings: Settings) -> Finding:
    """Check that the database opens; count documents, chunks and unfinished jobs."""
    async with open_records(settings) as records:
        names = await records.storage.library.collections(DEFAULT_TENANT)
        stats = [await records.storage.library.stats(Scope(collection=name)) for name in names]
    documents, chunks = sum(one.documents for one in stats), sum(one.chunks for one in stats)
    found = f"{documents} documents, {chunks} chunks in {len(names)} collections"
    unfinished = sum(one.jobs[JobState.QUEUED] + one.jobs[JobState.RUNNING] for one in stats)
    if unfinished:
        fix = "Unless they are in progress now: `ragstone jobs` lists them, `ragstone jobs ID --resume` continues one."
        return Finding("warning", f"{found}; {unfinished} jobs unfinished", fix)
    return Finding("ok", found)


async def parsers(settings: Settings) -> Finding:
    """Check that a parser process starts and answers."""
    parser = sandboxed_parser(settings)
    try:
        start = perf_counter()
        await parser.parse(b"# Probe\n\nA sentence.\n", name="probe.md")
        return Finding("ok", f"a parser process answers in {perf_counter() - start:.1f} s")
    finally:
        await parser.close()


async def embedding_model(settings: Settings) -> Finding:
    """Check that the weights are the pinned ones and give a unit vector."""
    start = perf_counter()
    embedder = await open_embedder(settings, settings.data_dir)
    loaded_s = perf_counter() - start
    [vector] = await embedder.embed(["The probe of the doctor."], purpose="query")
    found = f"{embedder.name}, {embedder.dimensions} dimensions, loaded in {loaded_s:.1f} s"
    if abs(float(np.linalg.norm(vector)) - 1.0) > MAX_NORM_ERROR:
        fix = "Reinstall onnxruntime and numpy from the lock (`make clean setup`)."
        return Finding("broken", f"{found}; its vectors are not of length 1", fix)
    return Finding("ok", found)


async def search_index(settings: Settings) -> Finding:
    """Check that the index answers and holds the chunks that the database has."""
    if settings.index.engine == "memory":
        return Finding("ok", "in memory: it is empty at the start of each process")
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    index = await open_index(settings, folder, await open_embedder(settings, folder))
    try:
        async with open_records(settings) as records:
            scopes = [Scope(collection=name) for name in await records.storage.library.collections(DEFAULT_TENANT)]
            held = sum([await index.count(scope) for scope in scopes])
            known = sum([(await records.storage.library.stats(scope)).chunks for scope in scopes])
    finally:
        await index.close()
    if held == known:
        return Finding("ok", f"answers; {held} chunks, as in the database")
    fix = "Unless an ingestion is in progress, rebuild it with `ragstone rebuild`."
    return Finding("warning", f"answers; {held} chunks, but the database has {known}", fix)


async def language_model(settings: Settings) -> Finding:
    """Check that the model's server can be reached and takes the key. Spends no tokens."""
    answer = await answer_settings(settings, settings.data_dir)
    if answer.provider == "extractive":
        return Finding("ok", "none configured: answers are extractive and need no key")
    if find_spec(answer.provider) is None:
        fix = f"Install it: pip install 'ragstone[{answer.provider}]'."
        return Finding("broken", f"the package {answer.provider} is not installed", fix)
    key = answer.api_key.get_secret_value() if answer.api_key else ""
    url = (answer.base_url or VENDOR_URLS[answer.provider]).rstrip("/") + "/models"
    status = await _status_of(url, key)
    found = f"{answer.provider}, {answer.model}"
    if isinstance(status, str):
        fix = "Answers are extractive until it can be reached. Check RAGSTONE_ANSWER__BASE_URL and the network."
        return Finding("broken", f"{found}: its server cannot be reached ({status})", fix)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Finding("broken", f"{found}: the key is refused (HTTP {status})", "Set RAGSTONE_ANSWER__API_KEY.")
    return Finding("ok", f"{found}: reachable (HTTP {status})")


async def local_models(settings: Settings) -> Finding:
    """List the models that servers on this machine offer."""
    found = await models_here(settings)
    if not found:
        return Finding("ok", "none found on loopback")
    names = ", ".join(f"{one_line(one.name, max_chars=NAME_CHARS)} ({one.server})" for one in found)
    return Finding("ok", names, "Let one write answers: ragstone models use NAME." if is_open(settings) else "")


async def _status_of(url: str, key: str = "") -> int | str:
    """HTTP status of a GET, or the name of the error."""
    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": "2023-06-01"} if key else {}
    timeout = aiohttp.ClientTimeout(total=REACH_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
        return type(failure).__name__


async def server(settings: Settings) -> Finding:
    """Check that the server's address is free, or that a healthy server answers there."""
    host, port = settings.server.host, settings.server.port
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    await check_address(settings, host)
    try:
        listen(host, port).close()
    except PortInUse:
        if await _status_of(f"http://{place}/health") == HTTPStatus.OK:
            return Finding("ok", f"a server answers on {place}")
        raise
    return Finding("ok", f"{place} is free")


PARTS: dict[str, Callable[[Settings], Awaitable[Finding]]] = {
    "versions": versions,
    "data directory": data_directory,
    "database": database,
    "parsers": parsers,
    "embedding model": embedding_model,
    "search index": search_index,
    "language model": language_model,
    "local models": local_models,
    "server": server,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """Rows of the database that the rules compare with the settings."""

    has_owner: bool
    plans: Sequence[Plan]  # plans that tenants have
    models: Sequence[ModelEntry]


async def problems_in_database(subject: Subject, environment: Mapping[str, str]) -> list[SettingProblem]:
    """Compare the settings with the database; a database that does not open is one problem.

    Args:
        subject: The settings, profile and machine.
        environment: Environment variables of the server, with the keys of models.
    """
    try:
        async with open_records(subject.settings) as records:
            recorded = await _recorded(records)
    except RagstoneError as broken:
        return [error("RAGSTONE_DATABASE__URL", f"the database does not open: {broken.message}", "ragstone doctor")]
    return [
        *keys_beside_accounts(subject, recorded),
        *missing_owner(subject, recorded),
        *models_without_keys(recorded, environment),
    ]


async def _recorded(records: Infrastructure) -> Recorded:
    used = {tenant.plan for tenant in await records.identity.tenants.all(limit=MAX_TENANTS)}
    plans = [plan for plan in await records.billing.plans.all() if plan.id in used]
    return Recorded(await records.identity.users.has_owner(), plans, await records.billing.plans.models())


def keys_beside_accounts(subject: Subject, recorded: Recorded) -> Iterator[SettingProblem]:
    """Keys of the settings are for an installation without accounts; a running server cannot revoke them."""
    if recorded.has_owner and subject.settings.server.api_keys:
        yield warning(
            "RAGSTONE_SERVER__API_KEYS",
            "keys of the settings although accounts exist: no record shows their users, and they cannot be revoked",
            "Create keys with `ragstone accounts keys create`, and unset this variable.",
        )


def missing_owner(subject: Subject, recorded: Recorded) -> Iterator[SettingProblem]:
    """A server beyond loopback needs an owner."""
    server = subject.settings.server
    if not recorded.has_owner and not server.api_keys and not is_loopback(server.host):
        yield error(
            "RAGSTONE_SERVER__HOST",
            f"{server.host}, but this installation has no owner, so the server does not start",
            "ragstone accounts users create --role owner you@example.org",
        )


def models_without_keys(recorded: Recorded, environment: Mapping[str, str]) -> Iterator[SettingProblem]:
    """A model without its key is skipped: its plans get the next model or an extractive answer."""
    used = {name for plan in recorded.plans for name in plan.models}
    for model in recorded.models:
        if model.id in used and model.key_variable and not environment.get(model.key_variable):
            found = f"unset in this environment, and the model {model.id} of the price list needs it"
            yield warning(model.key_variable, found, "Set it for the server, or remove the model from its plans.")
