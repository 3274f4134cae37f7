"""A LibreChat for tests: tokens as it makes them, and calls as it sends them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import jwt

from ragstone.librechat.files import LibreChatParts
from ragstone.services import Services
from tests.api.conftest import running
from tests.api.people import Installation
from tests.platforms import small_platform

SECRET = "16f8c0ef4a5d391b26034086c628469d3f9f497f08163ab9b40137092f2909ef"
ALICE, BOB = "66f1a2b3c4d5e6f708192a3b", "66f1a2b3c4d5e6f708192a3c"
LIBRECHAT = {"jwt_secret": SECRET}


def minted(user: object = ALICE, secret: str = SECRET, *, algorithm: str = "HS256", **claims: object) -> str:
    """A token as LibreChat's `generateShortLivedToken` makes it; a claim of None is left out."""
    now = int(time.time())
    payload = {"id": user, "iat": now, "exp": now + 300, **claims}
    kept = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(kept, secret, algorithm=algorithm)


@dataclass(frozen=True)
class Calls:
    """One user's calls, as LibreChat makes them for that user."""

    client: httpx2.AsyncClient
    base: str = "/librechat"

    async def embed(
        self, file_id: str, content: bytes | str, *, name: str = "notes.md", entity_id: str | None = None
    ) -> httpx2.Response:
        """`uploadVectors`: a multipart form with the part's own idea of its type."""
        fields = {"file_id": file_id, "storage_metadata": "{}"} | ({"entity_id": entity_id} if entity_id else {})
        files = {"file": (name, content, "application/octet-stream")}
        return await self.client.post(f"{self.base}/embed", data=fields, files=files)

    async def query(self, file_id: str, query: str, **more: Any) -> httpx2.Response:
        """`file_search` and `createContextHandlers`."""
        return await self.client.post(f"{self.base}/query", json={"file_id": file_id, "query": query, **more})

    async def delete(self, *file_ids: str) -> httpx2.Response:
        """`deleteVectors`: a bare array."""
        return await self.client.request("DELETE", f"{self.base}/documents", json=list(file_ids))

    async def get(self, path: str, **parameters: Any) -> httpx2.Response:
        """Whatever is read."""
        return await self.client.get(f"{self.base}{path}", params=parameters)


def parts_of(services: Services) -> LibreChatParts:
    """The services that the routes of LibreChat use."""
    return LibreChatParts(
        services.settings,
        services.storage.database,
        services.storage.library,
        services.corpus.ingestion,
        services.answers.retriever,
        services.engines.embedder,
        services.engines.parser,
    )


@asynccontextmanager
async def connected(folder: Path, **settings: object) -> AsyncIterator[Installation]:
    """An installation that a LibreChat is connected to, with the tenants `acme` and `rival`, and no people."""
    given = {"librechat": LIBRECHAT, **settings}
    async with small_platform(folder, **given) as platform, running(platform) as app:
        for tenant in ("acme", "rival"):
            await platform.identity.tenants.create("test", tenant)
        yield Installation(app, platform)


@asynccontextmanager
async def calls_of(made: Installation, user: str = ALICE, *, base: str = "/librechat") -> AsyncIterator[Calls]:
    """The calls of one user."""
    async with made.calling(minted(user)) as client:
        yield Calls(client, base)
