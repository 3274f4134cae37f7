"""Conversations go when they are older than their tenant wants, and no other's do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ragstone.chat.conversations import expire_conversations
from ragstone.identity.tenants import TenantChange
from ragstone.vocabulary import Answer, Scope, Usage
from tests.platforms import OpenedPlatform, small_platform

ANSWER = Answer("28 days.", (), (), Usage("extractive"))


async def expire(platform: OpenedPlatform, days: float) -> int:
    """Retention as it acts `days` from now."""
    now = datetime.now(UTC) + timedelta(days=days)
    return await expire_conversations(platform.storage.database, platform.answers.conversations, now=now)


async def test_each_tenant_keeps_conversations_as_long_as_it_says(tmp_path: Path):
    async with small_platform(tmp_path) as platform:
        for tenant, days in {"brief": 1, "long": 30, "forever": 0}.items():
            await platform.identity.tenants.create("local", tenant)
            await platform.identity.tenants.change("local", tenant, TenantChange(retention_days=days))
        scopes = [Scope(tenant, "c") for tenant in ("brief", "long", "forever", "default")]
        for scope in scopes:
            await platform.answers.conversations.save(scope, None, question="q", condensed="q", answer=ANSWER)

        async def left() -> list[str]:
            return [scope.tenant for scope in scopes if await platform.answers.conversations.latest(scope)]

        assert await expire(platform, 0.9) == 0
        assert await expire(platform, 1.1) == 1
        assert await left() == ["long", "forever", "default"]
        assert await expire(platform, 4000) == 1
        assert await left() == ["forever", "default"]
