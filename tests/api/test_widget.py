"""Visitors ask, rate and see no more than they should; a site's backend sends documents and is called back."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ragstone.billing.plans import Plan
from ragstone.identity.api_keys import NewKey
from ragstone.identity.tenants import TenantChange
from ragstone.ingestion.submit import Upload
from ragstone.principals import Permission
from ragstone.storage.database import EVERY_TENANT, unscoped
from ragstone.storage.schema import jobs
from ragstone.vocabulary import Scope
from tests.api.calls import NOTES, parsed
from tests.api.people import SITE, Installation
from tests.api.sites import tenants
from tests.receivers import receiving
from tests.ssrf import FORBIDDEN_URLS
from tests.waiting import until

QUESTION = "Where does water boil at 100 degrees?"  # answered by its words: the hashing embedder knows no meaning
MARK = "wombat2c9a"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation where acme's default collection holds a file of the server, and `private` another one."""
    folder = tmp_path / MARK
    folder.mkdir()
    (folder / "notes.md").write_text(NOTES)
    async with tenants(tmp_path / "data") as made:
        platform = made.platform
        await platform.ingest(folder, scope=Scope("acme"))
        secret = Upload("upload:secret.md", "", f"# Secret\n\nWater boils at 100 degrees in {MARK}.".encode())
        job = await platform.corpus.ingestion.submit(Scope("acme", "private"), [secret])
        await platform.corpus.ingestion.work(until_job=(Scope("acme", "private"), job.id))
        yield made


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation without documents."""
    async with tenants(tmp_path, ingestion={"max_file_bytes": 10_000}) as made:
        yield made


async def visitor(site: Installation, *collections: str, tenant: str = "acme") -> httpx2.AsyncClient:
    """A browser on a page of the tenant's site."""
    new = NewKey(kind="publishable", domains=[SITE], collections=collections or None)
    _, key = await site.key(tenant, new)
    return site.calling(key, origin=SITE)


async def backend(site: Installation, tenant: str = "acme", **what: Any) -> httpx2.AsyncClient:
    """A program of the tenant."""
    _, key = await site.key(tenant, NewKey(**what))
    return site.calling(key)


async def ask(client: httpx2.AsyncClient, **body: object) -> httpx2.Response:
    return await client.post("/api/widget/chat", json={"question": QUESTION, **body})


async def widget_of(site: Installation, collection: str = "default", **settings: object) -> str:
    manager = await backend(site, permissions=frozenset({Permission.MANAGE}))
    async with manager:
        body = {"name": "Shop", "collection": collection, "settings": settings}
        made = await manager.post("/api/widgets", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_a_visitor_gets_an_answer_with_quotes_and_nothing_of_the_inside(site: Installation):
    async with await visitor(site) as client:
        response = await ask(client)
        streamed = await client.post("/api/widget/chat/stream", json={"question": QUESTION})
    answer = response.json()
    assert response.status_code == 200
    assert "100 degrees" in answer["text"]
    (citation,) = answer["citations"]
    assert citation["quote"] == "Water boils at 100 degrees at sea level."
    assert citation["title"] == "Notes"
    for text in (response.text, streamed.text):
        assert MARK not in text  # the folder that the file lies in
        assert "file:" not in text
        assert "document_id" not in text
        assert "Iron melts" not in text  # what was found but not quoted


async def test_a_stream_has_the_events_of_every_chat(site: Installation):
    async with await visitor(site) as client:
        response = await client.post("/api/widget/chat/stream", json={"question": QUESTION})
    events = parsed(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [name for name, _ in events if name != "delta"] == ["retrieved", "citation", "done"]
    assert events[0][1]["sources"] == [{"title": "Notes", "page": None, "url": None}]
    assert "100 degrees" in events[-1][1]["text"]


async def test_a_widget_that_shows_no_sources_sends_none(site: Installation):
    widget = await widget_of(site, show_sources=False)
    async with await visitor(site) as client:
        answer = (await ask(client, widget=widget)).json()
        stream = await client.post("/api/widget/chat/stream", json={"question": QUESTION, "widget": widget})
    assert answer["citations"] == []
    events = parsed(stream.text)
    assert "citation" not in [name for name, _ in events]
    assert events[0][1]["sources"] == events[-1][1]["citations"] == []


async def test_the_widget_says_which_collection_is_asked(site: Installation):
    widget = await widget_of(site, "private")
    async with await visitor(site) as client:
        assert MARK in (await ask(client, widget=widget)).json()["text"]
        assert MARK not in (await ask(client)).json()["text"]


async def test_no_visitor_chooses_a_collection(site: Installation):
    async with await visitor(site) as client:
        assert (await ask(client, collection="private")).status_code == 422
        by_query = await client.post("/api/widget/chat?collection=private", json={"question": QUESTION})
        assert MARK not in by_query.text


async def test_a_key_for_some_collections_asks_only_these(site: Installation):
    widget = await widget_of(site, "private")
    async with await visitor(site, "default") as client:
        refused = await ask(client, widget=widget)
        assert refused.status_code == 404
        assert refused.json()["detail"] == (await ask(client, widget=widget[::-1])).json()["detail"].replace(
            widget[::-1], widget
        )
        assert (await client.get("/api/widget/config", params={"widget": widget})).status_code == 404
    async with await visitor(site, "private") as client:
        assert MARK in (await ask(client)).json()["text"]
    async with await visitor(site, "private", "default-2") as client:
        assert (await ask(client)).status_code == 400
        assert MARK in (await ask(client, widget=widget)).json()["text"]


async def test_the_config_is_what_visitors_may_read(empty: Installation):
    widget = await widget_of(empty, title="Ask the shop", suggested_questions=["When do you open?"])
    async with await visitor(empty) as client:
        config = (await client.get("/api/widget/config", params={"widget": widget})).json()
        default = (await client.get("/api/widget/config")).json()
    assert set(config) == {"id", "settings"}
    assert config["settings"]["title"] == "Ask the shop"
    assert default["id"] is None
    assert set(default["settings"]) == set(config["settings"])


async def test_a_follow_up_stays_in_its_conversation(site: Installation):
    async with await visitor(site) as client:
        first = (await ask(client)).json()
        second = await client.post(
            "/api/widget/chat",
            json={"question": "And iron?", "conversation_id": first["conversation_id"]},
        )
    assert second.json()["conversation_id"] == first["conversation_id"]
    assert second.json()["turn_id"] != first["turn_id"]
    found = await site.platform.answers.conversations.get(Scope("acme"), first["conversation_id"])
    assert len(found.turns) == 2


async def test_only_the_same_key_goes_on_with_a_conversation_or_rates_it(site: Installation):
    async with await visitor(site) as client:
        first = (await ask(client)).json()
    names = {"conversation_id": first["conversation_id"]}
    for tenant in ("acme", "rival"):
        async with await visitor(site, tenant=tenant) as stranger:
            missing = await ask(stranger, conversation_id="0" * 32)
            foreign = await ask(stranger, **names)
            stream = await stranger.post("/api/widget/chat/stream", json={"question": QUESTION, **names})
            rating = {**names, "turn_id": first["turn_id"], "rating": -1}
            rated = await stranger.post("/api/widget/feedback", json=rating)
        assert {response.status_code for response in (missing, foreign, stream, rated)} == {404}
    assert await site.platform.answers.feedback.all("acme") == []


async def test_a_visitor_rates_an_answer_and_may_change_its_mind(site: Installation):
    async with await visitor(site) as client:
        answer = (await ask(client)).json()
        names = {"conversation_id": answer["conversation_id"], "turn_id": answer["turn_id"]}
        for rating in (-1, 1):
            given = await client.post("/api/widget/feedback", json={**names, "rating": rating, "comment": "Thanks"})
            assert given.status_code == 204, given.text
        assert (await client.post("/api/widget/feedback", json={**names, "rating": 0})).status_code == 422
        other = (await ask(client)).json()
        mixed = {"conversation_id": other["conversation_id"], "turn_id": answer["turn_id"], "rating": 1}
        assert (await client.post("/api/widget/feedback", json=mixed)).status_code == 404
    (said,) = await site.platform.answers.feedback.all("acme")
    assert (said.rating, said.comment) == (1, "Thanks")


async def test_visitors_count_against_the_plan(site: Installation):
    await site.platform.billing.plans.save("test", Plan(id="tiny", name="Tiny", requests_per_hour=2))
    await site.platform.identity.tenants.change("test", "acme", TenantChange(plan="tiny"))
    async with await visitor(site) as client:
        statuses = [(await ask(client)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await client.get("/api/widget/config")).status_code == 200


@pytest.mark.parametrize("path", ["/api/chat", "/api/search", "/api/documents", "/api/widget/process-document"])
async def test_a_publishable_key_is_for_the_widget_only(empty: Installation, path: str):
    async with await visitor(empty) as client:
        assert (await client.post(path, json={"question": QUESTION})).status_code == 403
        assert (await client.get(f"/api/widget/documents/{'0' * 32}/status")).status_code == 403


async def test_a_page_of_another_site_gets_nothing(empty: Installation):
    _, key = await empty.key("acme", NewKey(kind="publishable", domains=[SITE]))
    for origin in ("https://evil.example", "null", f"{SITE}.evil.example", SITE.replace("https", "http")):
        async with empty.calling(key, origin=origin) as client:
            response = await ask(client)
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers


async def send(
    client: httpx2.AsyncClient, content: str = NOTES, name: str = "notes.md", **fields: str
) -> httpx2.Response:
    return await client.post("/api/widget/process-document", files={"file": (name, content)}, data=fields)


async def status_when_final(client: httpx2.AsyncClient, status_url: str) -> dict[str, Any]:
    """The status of a document when it is ready or has failed; the worker of the application is at it."""
    for _ in range(2000):
        response = await client.get(status_url)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        if found["state"] in {"ready", "failed"}:
            return found
    raise AssertionError(found)


async def test_a_document_is_taken_in_and_its_progress_can_be_followed(empty: Installation):
    async with await backend(empty) as client:
        accepted = await send(client, collection="shop", metadata='{"lang": "en"}')
        assert accepted.status_code == 202, accepted.text
        body = accepted.json()
        final = await status_when_final(client, body["status_url"])
        document = await client.get(f"/api/documents/{body['document_id']}", params={"collection": "shop"})
    assert final == {"document_id": body["document_id"], "state": "ready", "error": None, "chunks": 1, "pages": None}
    assert document.json()["metadata"] == {"lang": "en"}


async def test_a_document_that_cannot_be_read_says_why(empty: Installation):
    async with await backend(empty) as client:
        final = await status_when_final(client, (await send(client, " ")).json()["status_url"])
    assert final["state"] == "failed"
    assert final["error"]


async def test_a_document_too_large_leaves_no_job(empty: Installation):
    async with await backend(empty) as client:
        before = await count(empty, jobs)
        assert (await send(client, "x" * 10_001)).status_code == 413
        assert await count(empty, jobs) == before


async def test_another_tenant_or_collection_sees_no_status(empty: Installation):
    async with await backend(empty) as client, await backend(empty, "rival") as rival:
        status_url = (await send(client)).json()["status_url"]
        assert (await rival.get(status_url)).status_code == 404
        assert (await client.get(status_url.replace("default", "private"))).status_code == 404


async def test_a_key_that_may_only_read_or_ask_sends_nothing(empty: Installation):
    for permission in (Permission.READ, Permission.CHAT):
        async with await backend(empty, permissions=frozenset({permission})) as client:
            assert (await send(client)).status_code == 403


async def test_a_key_for_some_collections_sends_only_there(empty: Installation):
    async with await backend(empty, collections=["shop"]) as client:
        assert (await send(client, collection="private")).status_code == 404
        assert (await send(client, collection="shop")).status_code == 202


async def count(site: Installation, table: Any) -> int:
    async with site.platform.storage.database.read(EVERY_TENANT) as connection:
        return len((await connection.execute(unscoped(table))).all())


async def test_no_callback_is_accepted_that_leads_into_the_network(empty: Installation):
    before = await count(empty, jobs)
    async with await backend(empty) as client:
        for url in (url for url in FORBIDDEN_URLS if url):
            refused = await send(client, callback_url=url)
            assert refused.status_code == (422 if "\x00" in url else 400), (url, refused.text)
            assert "127.0.0.1" not in refused.json()["detail"]
    assert await count(empty, jobs) == before


async def test_a_backend_is_called_back_and_can_check_the_signature(tmp_path: Path):
    async with receiving() as receiver:
        outbound = {"allowed_hosts": [receiver.place]}
        async with tenants(tmp_path, outbound=outbound) as made, await backend(made) as client:
            body = (await send(client, callback_url=receiver.url())).json()
            await until(lambda: bool(receiver.received))
            manager = await backend(made, permissions=frozenset({Permission.MANAGE}))
            async with manager:
                key = (await manager.get("/api/callbacks/signing-key")).json()["signing_key"]
                (shown,) = (await manager.get("/api/callbacks")).json()["callbacks"]
            async with await backend(made, "rival", permissions=frozenset({Permission.MANAGE})) as rival:
                assert (await rival.get("/api/callbacks")).json() == {"callbacks": []}
                assert (await rival.get("/api/callbacks/signing-key")).json()["signing_key"] != key
            assert (await client.get("/api/callbacks/signing-key")).status_code == 403
    (request,) = receiver.received
    told = json.loads(request.body)
    assert (told["event"], told["job_id"]) == ("document.ready", body["job_id"])
    assert told["documents"][0]["id"] == body["document_id"]
    assert signed(request.body, request.headers["ragstone-signature"], key)
    assert (shown["id"], shown["job_id"]) == (request.headers["ragstone-delivery"], body["job_id"])


def signed(body: bytes, header: str, key: str) -> bool:
    fields = dict(part.split("=", 1) for part in header.split(","))
    expected = hmac.new(key.encode(), f"{fields['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, fields["v1"])
