"""Widgets and feedback over HTTP: checked at the door, and each tenant's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from ragstone.api.widgets import WidgetSettings
from ragstone.identity.api_keys import NewKey
from ragstone.principals import PERMISSIONS, Permission, Role
from tests.api.calls import NOTES, upload
from tests.api.people import Installation
from tests.api.sites import tenants

WIDGET = {"name": "Shop", "collection": "shop", "settings": {"title": "Ask us", "color": "#00ff00"}}
QUESTION = "Where does water boil at 100 degrees?"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Installation]:
    async with tenants(tmp_path) as opened:
        yield opened


async def owner(made: Installation, tenant: str = "acme", *collections: str) -> httpx2.AsyncClient:
    new = NewKey(permissions=PERMISSIONS[Role.OWNER], collections=collections or None)
    return made.calling((await made.key(tenant, new))[1])


async def test_a_widget_is_made_shown_changed_and_removed(made: Installation):
    async with await owner(made) as client:
        created = await client.post("/api/widgets", json=WIDGET)
        assert created.status_code == 201, created.text
        widget = created.json()
        assert widget["settings"] == WidgetSettings(title="Ask us", color="#00ff00").model_dump()
        path = f"/api/widgets/{widget['id']}"
        assert (await client.get(path)).json() == widget
        changed = (await client.put(path, json={"name": "Books", "collection": "books"})).json()
        assert (changed["name"], changed["collection"]) == ("Books", "books")
        assert changed["settings"] == WidgetSettings().model_dump()
        assert [each["id"] for each in (await client.get("/api/widgets")).json()["widgets"]] == [widget["id"]]
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    "settings",
    [
        {"title": "x" * 81},
        {"title": "\x00"},
        {"color": "red; background: url(https://evil.example)"},
        {"color": "#00FF00\n"},
        {"position": "middle"},
        {"language": "javascript:alert(1)"},
        {"suggested_questions": ["?"] * 9},
        {"suggested_questions": [""]},
        {"script": "https://evil.example/x.js"},
        {"show_sources": "perhaps"},
    ],
)
async def test_settings_are_of_known_kinds_and_sizes(made: Installation, settings: dict[str, object]):
    async with await owner(made) as client:
        assert (await client.post("/api/widgets", json={**WIDGET, "settings": settings})).status_code == 422


async def test_another_tenant_and_another_collections_key_find_no_widget(made: Installation):
    async with await owner(made) as client:
        path = f"/api/widgets/{(await client.post('/api/widgets', json=WIDGET)).json()['id']}"
        for stranger in (await owner(made, "rival"), await owner(made, "acme", "default")):
            async with stranger:
                body = {"name": "Mine"}
                answers = [await stranger.get(path), await stranger.put(path, json=body), await stranger.delete(path)]
                assert [answer.status_code for answer in answers] == [404] * 3
                assert (await stranger.get("/api/widgets")).json()["widgets"] == []
                assert (await stranger.get("/api/widgets", params={"after": path[-32:]})).status_code == 404
        assert (await client.get(path)).json()["name"] == "Shop"


async def test_who_does_not_manage_makes_no_widget(made: Installation):
    _, key = await made.key("acme", NewKey())
    async with made.calling(key) as client:
        assert (await client.post("/api/widgets", json=WIDGET)).status_code == 403


async def test_an_answer_is_rated_and_the_rating_read(made: Installation):
    async with await owner(made) as client:
        await upload(client, {"notes.md": NOTES})
        answer = (await client.post("/api/chat", json={"question": QUESTION})).json()
        path = f"/api/conversations/{answer['conversation_id']}/turns/{answer['turn_id']}/feedback"
        for rating in (1, -1):
            rated = await client.post(path, json={"rating": rating, "comment": "Says nothing of pressure."})
            assert rated.status_code == 200, rated.text
        page = (await client.get("/api/feedback")).json()
        assert [(each["rating"], each["question"]) for each in page["feedback"]] == [(-1, QUESTION)]
        assert (await client.get("/api/feedback", params={"rating": 1})).json()["feedback"] == []
        assert (await client.post(path, json={"rating": 0})).status_code == 422
        assert (await client.post(path, json={"rating": 1, "comment": "x" * 2001})).status_code == 422
        turn = (await client.get(f"/api/conversations/{answer['conversation_id']}")).json()["turns"][0]
        assert turn["id"] == answer["turn_id"]


async def test_a_visitor_rates_only_own_answers(made: Installation):
    async with await owner(made) as client:
        await upload(client, {"notes.md": NOTES})
        first, second = [(await client.post("/api/chat", json={"question": QUESTION})).json() for _ in range(2)]
        mixed = f"/api/conversations/{first['conversation_id']}/turns/{second['turn_id']}/feedback"
        assert (await client.post(mixed, json={"rating": 1})).status_code == 404
    path = f"/api/conversations/{first['conversation_id']}/turns/{first['turn_id']}/feedback"
    asking = NewKey(permissions=frozenset({Permission.CHAT}))
    for stranger in (await owner(made, "rival"), made.calling((await made.key("acme", asking))[1])):
        async with stranger:
            assert (await stranger.post(path, json={"rating": 1})).status_code == 404
    async with await owner(made, "rival") as rival:
        assert (await rival.get("/api/feedback")).json() == {"feedback": [], "next": None}
    async with made.calling((await made.key("acme", asking))[1]) as client:
        assert (await client.get("/api/feedback")).status_code == 403
