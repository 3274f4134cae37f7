"""Widgets: configurations of the chat on a tenant's web site, each with its appearance and its collection."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, NotFound
from ragstone.identity.audit import Audit
from ragstone.storage.database import Database, any_of, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.schema import widgets
from ragstone.vocabulary import Scope

Setting = str | int | bool | list[str] | None

MAX_WIDGETS = 200  # of a tenant: one per site, not one per visitor


@dataclass(frozen=True, slots=True)
class Widget:
    """The configuration of one widget."""

    id: str
    scope: Scope
    name: str
    settings: Mapping[str, Setting]
    created_at: datetime
    updated_at: datetime


class Widgets:
    """Creates, reads, changes and removes the widgets of a tenant.

    `collections` limits a call to widgets of these collections; None: all.
    """

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def create(self, actor: str, scope: Scope, *, name: str, settings: Mapping[str, Setting]) -> Widget:
        """Create a widget for the scope's collection.

        Raises:
            Conflict: the tenant has `MAX_WIDGETS` widgets already.
        """
        now = datetime.now(UTC)
        widget = Widget(secrets.token_hex(16), scope, name, dict(settings), now, now)
        async with self._database.write(scope.tenant) as connection:
            if (await connection.execute(scoped(widgets, scope.tenant, func.count()))).scalar_one() >= MAX_WIDGETS:
                raise Conflict(f"There are {MAX_WIDGETS} widgets already. Remove one that no site uses.")
            await connection.execute(scoped_insert(widgets, scope).values(_row(widget)))
            await self._record(connection, actor, "created", widget)
        return widget

    async def get(self, tenant: str, widget_id: str, *, collections: frozenset[str] | None = None) -> Widget:
        """One widget. Raises: NotFound."""
        async with self._database.read(tenant) as connection:
            return await _find(connection, tenant, widget_id, collections)

    async def all(
        self,
        tenant: str,
        *,
        collections: frozenset[str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[Widget]:
        """Up to `limit` widgets, newest first; `after` is the last id of the previous page. Raises: NotFound."""
        async with self._database.read(tenant) as connection:
            page = scoped(widgets, tenant).where(*_of_collections(collections))
            if after is not None:
                last = await _find(connection, tenant, after, collections)
                same_time = and_(widgets.c.created_at == last.created_at, widgets.c.id > after)
                page = page.where(or_(widgets.c.created_at < last.created_at, same_time))
            newest = page.order_by(widgets.c.created_at.desc(), widgets.c.id).limit(limit)
            return [_widget(row) for row in await connection.execute(newest)]

    async def change(
        self,
        actor: str,
        scope: Scope,
        widget_id: str,
        *,
        name: str,
        settings: Mapping[str, Setting],
        collections: frozenset[str] | None = None,
    ) -> Widget:
        """Replace the collection, name and settings of a widget. Raises: NotFound."""
        tenant = scope.tenant
        async with self._database.write(tenant) as connection:
            before = await _find(connection, tenant, widget_id, collections)
            widget = Widget(widget_id, scope, name, dict(settings), before.created_at, datetime.now(UTC))
            row = _row(widget) | {"collection": scope.collection}
            await connection.execute(scoped_update(widgets, tenant).where(widgets.c.id == widget_id).values(row))
            await self._record(connection, actor, "changed", widget)
        return widget

    async def remove(
        self, actor: str, tenant: str, widget_id: str, *, collections: frozenset[str] | None = None
    ) -> None:
        """Remove a widget. Raises: NotFound."""
        async with self._database.write(tenant) as connection:
            widget = await _find(connection, tenant, widget_id, collections)
            await connection.execute(scoped_delete(widgets, tenant).where(widgets.c.id == widget_id))
            await self._record(connection, actor, "removed", widget)

    async def _record(self, connection: AsyncConnection, actor: str, verb: str, widget: Widget) -> None:
        await self._audit.record(
            connection,
            widget.scope.tenant,
            actor=actor,
            action=f"widget.{verb}",
            target=widget.id,
            details={"name": widget.name, "collection": widget.scope.collection},
        )


async def _find(connection: AsyncConnection, tenant: str, widget_id: str, collections: frozenset[str] | None) -> Widget:
    named = scoped(widgets, tenant).where(widgets.c.id == widget_id, *_of_collections(collections))
    row = (await connection.execute(named)).first()
    if row is None:
        raise NotFound(f"There is no widget {widget_id[:80]!r} here. List the widgets for their ids.")
    return _widget(row)


def _of_collections(collections: frozenset[str] | None) -> list[ColumnElement[bool]]:
    return [] if collections is None else [any_of(widgets.c.collection, sorted(collections))]


def _row(widget: Widget) -> dict[str, object]:
    return {
        "id": widget.id,
        "name": widget.name,
        "settings": dict(widget.settings),
        "created_at": widget.created_at,
        "updated_at": widget.updated_at,
    }


def _widget(row: Row[Any]) -> Widget:
    scope = Scope(row.tenant, row.collection)
    return Widget(row.id, scope, row.name, row.settings, row.created_at, row.updated_at)
