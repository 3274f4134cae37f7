"""Tenants, people and keys of a small installation, for tests over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
from fastapi import FastAPI

from ragstone.identity.api_keys import NewKey
from ragstone.identity.users import NewUser
from ragstone.principals import LOCAL, Role
from tests.api.conftest import calling, running
from tests.platforms import OpenedPlatform, small_platform

PASSWORD = "a long enough sentence"
SITE = "https://shop.example"


@dataclass(frozen=True, slots=True)
class Installation:
    """An application with two tenants, `acme` and `rival`, each with an owner; `root` operates it."""

    app: FastAPI
    platform: OpenedPlatform

    def calling(self, credential: str | None = None, **headers: str) -> httpx2.AsyncClient:
        """A client that shows a key or a session's token, or nothing."""
        shown = {"authorization": f"Bearer {credential}"} if credential else {}
        return calling(self.app, **shown, **{name.replace("_", "-"): value for name, value in headers.items()})

    async def token(self, email: str) -> str:
        """The token of a new session."""
        _, token = await self.platform.identity.sessions.login(email, PASSWORD, address="127.0.0.1")
        return token

    async def user(self, tenant: str, email: str, role: Role) -> str:
        """The id of a new person."""
        users = self.platform.identity.users
        return (
            await users.create(replace(LOCAL, id="test"), tenant, NewUser(email=email, password=PASSWORD, role=role))
        ).id

    async def key(self, tenant: str = "acme", new: NewKey | None = None) -> tuple[str, str]:
        """The id of a new key, and the key."""
        key, shown = await self.platform.identity.api_keys.create(replace(LOCAL, id="test"), tenant, new or NewKey())
        return key.id, shown

    async def page_key(self, *domains: str) -> str:
        """A new publishable key."""
        return (await self.key(new=NewKey(kind="publishable", domains=domains)))[1]


@asynccontextmanager
async def installation(folder: Path, **settings: object) -> AsyncIterator[Installation]:
    """The installation, open; nothing of it outlives the test."""
    async with small_platform(folder, **settings) as platform, running(platform) as app:
        made = Installation(app, platform)
        await made.user("default", "root@example.org", Role.OPERATOR)
        for tenant in ("acme", "rival"):
            await platform.identity.tenants.create("test", tenant)
            await made.user(tenant, f"owner@{tenant}.example", Role.OWNER)
        yield made
