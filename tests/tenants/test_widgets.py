"""A tenant's widgets are its own, and every change of them is on record."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ragstone.errors import Conflict, NotFound
from ragstone.storage import schema
from ragstone.storage.database import scoped_insert
from ragstone.tenants.widgets import MAX_WIDGETS, Widgets
from ragstone.vocabulary import Scope
from tests.identity.conftest import Stores, on_both

HERE = Scope("acme", "shop")


@pytest.fixture
def widgets(stores: Stores) -> Widgets:
    return Widgets(stores.database, stores.audit)


@on_both
async def test_a_widget_comes_back_as_it_was_made_and_changed(widgets: Widgets):
    made = await widgets.create("user:ann", HERE, name="Shop", settings={"title": "Ask", "show_sources": True})
    assert await widgets.get("acme", made.id) == made
    changed = await widgets.change("user:ann", Scope("acme", "books"), made.id, name="Books", settings={"title": "Hi"})
    assert await widgets.get("acme", made.id) == changed
    assert (changed.scope.collection, changed.name, changed.settings) == ("books", "Books", {"title": "Hi"})
    await widgets.remove("user:ann", "acme", made.id)
    with pytest.raises(NotFound):
        await widgets.get("acme", made.id)


async def test_every_change_is_on_record(widgets: Widgets, stores: Stores):
    made = await widgets.create("user:ann", HERE, name="Shop", settings={})
    await widgets.change("user:bob", HERE, made.id, name="Books", settings={})
    await widgets.remove("key:1", "acme", made.id)
    entries = [entry for entry in await stores.audit.entries("acme") if entry.action.startswith("widget.")]
    assert [(entry.actor, entry.action, entry.target) for entry in reversed(entries)] == [
        ("user:ann", "widget.created", made.id),
        ("user:bob", "widget.changed", made.id),
        ("key:1", "widget.removed", made.id),
    ]


@on_both
async def test_another_tenant_has_no_such_widget(widgets: Widgets):
    made = await widgets.create("user:ann", HERE, name="Shop", settings={})
    for attempt in (
        widgets.get("other", made.id),
        widgets.change("user:eve", Scope("other", "shop"), made.id, name="Mine", settings={}),
        widgets.remove("user:eve", "other", made.id),
        widgets.all("other", after=made.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await widgets.all("other") == []
    assert await widgets.get("acme", made.id) == made


async def test_a_key_for_some_collections_has_their_widgets_only(widgets: Widgets):
    shop = await widgets.create("user:ann", HERE, name="Shop", settings={})
    books = await widgets.create("user:ann", Scope("acme", "books"), name="Books", settings={})
    allowed = frozenset({"books"})
    assert [each.id for each in await widgets.all("acme", collections=allowed)] == [books.id]
    for attempt in (
        widgets.get("acme", shop.id, collections=allowed),
        widgets.remove("key:1", "acme", shop.id, collections=allowed),
        widgets.change("key:1", Scope("acme", "books"), shop.id, name="x", settings={}, collections=allowed),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_pages_cover_every_widget_once(widgets: Widgets):
    made = [(await widgets.create("a", HERE, name=f"w{number}", settings={})).id for number in range(5)]
    first = await widgets.all("acme", limit=3)
    rest = await widgets.all("acme", limit=3, after=first[-1].id)
    assert [each.id for each in [*first, *rest]] == made[::-1]


async def test_there_is_an_end_to_widgets(widgets: Widgets, stores: Stores):
    now = datetime.now(UTC)
    same = {"name": "w", "settings": {}, "created_at": now, "updated_at": now}
    async with stores.database.write("acme") as connection:
        rows = [{"id": f"{number:032}", **same} for number in range(MAX_WIDGETS - 1)]
        await connection.execute(scoped_insert(schema.widgets, HERE), rows)
    await widgets.create("a", HERE, name="the last", settings={})
    with pytest.raises(Conflict):
        await widgets.create("a", HERE, name="one more", settings={})
