"""What `ragstone doctor` looks at: one function a part, in the order they build on each other.

A check changes nothing that a later `ragstone ingest` would not, and spends no tokens.
An error raised on purpose is a finding too: its message says how to mend it.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np

from ragstone import __version__
from ragstone.documents.parser import SandboxedParser
from ragstone.errors import PortInUse, RagstoneError
from ragstone.http.server import check_address, listen
from ragstone.settings import Settings
from ragstone.vocabulary import DEFAULT_TENANT, JobState, Scope
from ragstone.wiring import open_embedder, open_index, open_records, prepare_data_dir

MIN_SQLITE = (3, 38, 0)  # the first that has json_each in every build
LOW_DISK_BYTES = 1 << 30
FULL_DISK_BYTES = 64 << 20
REACH_TIMEOUT_S = 5.0
MAX_NORM_ERROR = 1e-3  # float32 rows of length 1 are within 1e-6
VENDOR_URLS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1"}

State = Literal["ok", "warning", "broken"]


class Finding(NamedTuple):
    """What was found, and how to mend it unless `found` says so itself."""

    state: State
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A finding about one part."""

    name: str
    state: State
    found: str
    mend: str = ""


async def all_checks(settings: Settings) -> AsyncIterator[Check]:
    """Look at every part."""
    for name in PARTS:
        yield await check(name, settings)


async def check(name: str, settings: Settings) -> Check:
    """Look at one part of `PARTS`."""
    try:
        return Check(name, *await PARTS[name](settings))
    except RagstoneError as error:
        return Check(name, "broken", error.message)


async def versions(_settings: Settings) -> Finding:
    """Ragstone, Python and SQLite."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    found = f"Ragstone {__version__}, Python {python}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        needed = ".".join(str(part) for part in MIN_SQLITE)
        return Finding("broken", found, f"Use a Python that is built with SQLite {needed} or newer.")
    return Finding("ok", found)


async def data_directory(settings: Settings) -> Finding:
    """Whether it can be written to, and how much room is left."""
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"ragstone")
    except OSError as error:
        mend = "Make it writable for this user, or set RAGSTONE_DATA_DIR to another folder."
        return Finding("broken", f"{folder} cannot be written to ({error.strerror})", mend)
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / (1 << 30):.1f} GiB free"
    if free < LOW_DISK_BYTES:
        state: State = "broken" if free < FULL_DISK_BYTES else "warning"
        return Finding(state, found, "Free some space, or set RAGSTONE_DATA_DIR to a folder on a larger disk.")
    return Finding("ok", found)


async def database(settings: Settings) -> Finding:
    """Whether it opens, and what it holds."""
    async with open_records(settings) as records:
        names = await records.library.collections(DEFAULT_TENANT)
        stats = [await records.library.stats(Scope(collection=name)) for name in names]
    documents, chunks = sum(one.documents for one in stats), sum(one.chunks for one in stats)
    found = f"{documents} documents, {chunks} chunks in {len(names)} collections"
    unfinished = sum(one.jobs[JobState.QUEUED] + one.jobs[JobState.RUNNING] for one in stats)
    if unfinished:
        mend = "Unless they are in progress now: `ragstone jobs` lists them, `ragstone jobs ID --resume` goes on."
        return Finding("warning", f"{found}; {unfinished} jobs unfinished", mend)
    return Finding("ok", found)


async def parsers(_settings: Settings) -> Finding:
    """Whether a parser process starts and answers."""
    parser = SandboxedParser(processes=1)
    try:
        start = perf_counter()
        await parser.parse(b"# Probe\n\nA sentence.\n", name="probe.md")
        return Finding("ok", f"a parser process answers in {perf_counter() - start:.1f} s")
    finally:
        await parser.close()


async def embedding_model(settings: Settings) -> Finding:
    """Whether the weights are the pinned ones and give a unit vector."""
    start = perf_counter()
    embedder = await open_embedder(settings, settings.data_dir)
    loaded_s = perf_counter() - start
    [vector] = await embedder.embed(["The probe of the doctor."], purpose="query")
    found = f"{embedder.name}, {embedder.dimensions} dimensions, loaded in {loaded_s:.1f} s"
    if abs(float(np.linalg.norm(vector)) - 1.0) > MAX_NORM_ERROR:
        mend = "Reinstall onnxruntime and numpy from the lock (`make clean setup`)."
        return Finding("broken", f"{found}; its vectors are not of length 1", mend)
    return Finding("ok", found)


async def search_index(settings: Settings) -> Finding:
    """Whether its process answers, and holds the chunks that the database has."""
    if settings.index.engine == "memory":
        return Finding("ok", "in memory: it is empty whenever a process starts")
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    index = await open_index(settings, folder, await open_embedder(settings, folder))
    try:
        async with open_records(settings) as records:
            scopes = [Scope(collection=name) for name in await records.library.collections(DEFAULT_TENANT)]
            held = sum([await index.count(scope) for scope in scopes])
            known = sum([(await records.library.stats(scope)).chunks for scope in scopes])
    finally:
        await index.close()
    if held == known:
        return Finding("ok", f"answers; {held} chunks, as in the database")
    mend = "Unless an ingestion is in progress: make it again with `ragstone rebuild`."
    return Finding("warning", f"answers; {held} chunks, but the database has {known}", mend)


async def language_model(settings: Settings) -> Finding:
    """Whether a model is configured, and its server can be reached. Spends no tokens."""
    answer = settings.answer
    if answer.provider == "extractive":
        return Finding("ok", "none configured: answers are extractive, without a key")
    if find_spec(answer.provider) is None:
        mend = f"Install it: pip install 'ragstone[{answer.provider}]'."
        return Finding("broken", f"the package {answer.provider} is not installed", mend)
    key = answer.api_key.get_secret_value() if answer.api_key else ""
    url = (answer.base_url or VENDOR_URLS[answer.provider]).rstrip("/") + "/models"
    status = await _status_of(url, key)
    found = f"{answer.provider}, {answer.model}"
    if isinstance(status, str):
        mend = "Answers are extractive until it can be reached. Check RAGSTONE_ANSWER__BASE_URL and the network."
        return Finding("broken", f"{found}: its server cannot be reached ({status})", mend)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Finding("broken", f"{found}: the key is refused (HTTP {status})", "Set RAGSTONE_ANSWER__API_KEY.")
    return Finding("ok", f"{found}: reachable (HTTP {status})")


async def _status_of(url: str, key: str = "") -> int | str:
    """The HTTP status of a GET, or the name of the reason why there is none."""
    import httpx2

    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": "2023-06-01"} if key else {}
    try:
        async with httpx2.AsyncClient(timeout=REACH_TIMEOUT_S) as client:
            return (await client.get(url, headers=headers)).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__


async def server(settings: Settings) -> Finding:
    """Whether `ragstone serve` can listen where the settings say, or does so already."""
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
    "server": server,
}
