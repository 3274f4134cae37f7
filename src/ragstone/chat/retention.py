"""Retention: conversations go when they are older than their tenant wants them kept."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from ragstone.chat.memory import Conversations
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.schema import tenants

INTERVAL_S = 3600.0  # retention is a matter of days

log = structlog.get_logger()


async def expire_conversations(database: Database, conversations: Conversations, *, now: datetime) -> int:
    """Remove what each tenant's `retention_days` no longer keeps, with turns and feedback; how many conversations."""
    limited = unscoped(tenants, tenants.c.tenant, tenants.c.retention_days).where(tenants.c.retention_days > 0)
    async with database.read(EVERY_TENANT) as connection:
        rows = (await connection.execute(limited)).all()
    expired = 0
    for tenant, days in rows:
        count = await conversations.expire(tenant, now - timedelta(days=days))
        if count:
            log.info("retention.expired", tenant=tenant, conversations=count)
        expired += count
    return expired
