"""The door with real accounts: which credential opens what, from where, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import structlog
from fastapi import Response
from pydantic import BaseModel

from ragstone.billing.plans import Plan
from ragstone.http.routing import AdmittedStream, admitted_router
from ragstone.http.streaming import StreamEvent
from ragstone.identity.api_keys import NewKey
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.principals import LOCAL, Permission, Role
from tests.api.people import PASSWORD, SITE, Installation, installation
from tests.servers import events_of, serving

ME = "/api/accounts/me"
CHAT = "/api/widget/chat"
NOTHING_YET = 404  # what a question is told that was let in, where there are no documents
QUESTION = {"question": "At what temperature does water boil?"}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "data") as made:
        yield made


async def test_with_accounts_a_caller_needs_one(here: Installation):
    async with here.calling() as stranger:
        assert (await stranger.get(ME)).status_code == 401


async def test_one_key_opens_the_same_by_every_header(here: Installation):
    key_id, key = await here.key()
    async with here.calling() as client:
        answers = [
            await client.get(ME, headers=headers)
            for headers in ({"authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}, {"x-api-key": key})
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["id"] for answer in answers} == {f"key:{key_id}"}
        assert {answer.json()["tenant"] for answer in answers} == {"acme"}


async def test_a_key_in_the_address_or_in_a_cookie_opens_nothing(here: Installation):
    _, key = await here.key()
    async with here.calling() as client:
        for name in ("api_key", "x-api-key", "key", "token", "access_token", "authorization"):
            assert (await client.get(ME, params={name: key})).status_code == 401
        assert (await client.get(ME, headers={"cookie": f"ragstone_session={key}"})).status_code == 401


async def test_who_shows_two_credentials_is_refused(here: Installation):
    (_, key), (_, other), token = await here.key(), await here.key("rival"), await here.token("owner@acme.example")
    async with here.calling() as client:
        for headers in (
            [("authorization", f"Bearer {key}"), ("x-api-key", other)],
            [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {other}")],
            [("x-api-key", key), ("x-api-key", other)],
            [("x-api-key", key), ("cookie", f"ragstone_session={token}")],
            [("cookie", f"ragstone_session={token}; ragstone_session=rs_se_other")],
        ):
            assert (await client.get(ME, headers=headers)).status_code == 401, headers
        twice = [("authorization", f"Bearer {key}"), ("x-api-key", key)]
        assert (await client.get(ME, headers=twice)).status_code == 200


async def test_hostile_keys_are_refused_alike_and_without_an_echo(here: Installation):
    _, key = await here.key()
    hostile = [
        "' OR 1=1 --",
        "rs_sk_" + "' OR '1'='1".ljust(38, "x"),
        "rs_sk_" + "A" * 38,
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key.upper(),
        key + " ",
        key + "\t" + key,
        "rs_se_" + "%00" * 20,
        "${jndi:ldap://x}",
        "<script>",
        "x" * 8000,
    ]
    async with here.calling() as client:
        refused = [await client.get(ME, headers={"x-api-key": text}) for text in hostile if text.strip() != key]
        refused += [
            await client.get(ME, headers=[(b"x-api-key", raw)]) for raw in (b"\xff\xfe", b"\xed\xa0\x80", b"rs_sk_\xc3")
        ]
    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.json()["detail"] for answer in refused}) == 1
    assert {answer.headers["www-authenticate"] for answer in refused} == {"Bearer"}


@pytest.mark.parametrize("host", ["x?", "x/health?y=", "x#", "evil.example", "127.0.0.1/health", ""])
async def test_no_host_header_changes_who_is_admitted(here: Installation, host: str):
    _, key = await here.key()
    async with here.calling() as client:
        assert (await client.get(ME, headers={"host": host})).status_code == 401
        assert (await client.get(ME, headers={"host": host, "x-api-key": key})).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["//api/accounts/me", "/health/../api/accounts/me", "/api/accounts%2fme", "/api/accounts/me;x", "/API/accounts/me"],
)
async def test_no_spelling_of_an_address_changes_who_is_admitted(here: Installation, path: str):
    async with here.calling() as client:
        response = await client.get(httpx2.URL(str(client.base_url).rstrip("/") + path))
    assert response.status_code in {401, 404}
    assert "acme" not in response.text


async def test_a_key_does_what_it_was_made_for_and_nothing_else(here: Installation):
    _, key = await here.key(new=NewKey(permissions=frozenset({Permission.READ}), collections=("handbook",)))
    async with here.calling(key) as client:
        assert (await client.get("/api/documents", params={"collection": "handbook"})).status_code == 200
        foreign = await client.get("/api/documents")
        assert foreign.status_code == 404
        refused = [
            await client.post("/api/search", json={"query": "water", "collection": "handbook"}),
            await client.post("/api/ingest", json={"title": "a", "text": "b", "collection": "handbook"}),
            await client.get("/api/accounts/keys"),
            await client.get("/api/accounts/tenants"),
        ]
    assert [answer.status_code for answer in refused] == [403] * 4


async def test_a_revoked_key_and_a_suspended_tenant_are_out_at_once(here: Installation):
    key_id, key = await here.key()
    _, other = await here.key("rival")
    async with here.calling() as client:
        for shown in (key, other):
            assert (await client.get(ME, headers={"x-api-key": shown})).status_code == 200
        await here.platform.identity.api_keys.revoke(replace(LOCAL, id="test"), "acme", key_id)
        await here.platform.identity.tenants.change("test", "rival", TenantChange(state=TenantState.SUSPENDED))
        for shown in (key, other):
            assert (await client.get(ME, headers={"x-api-key": shown})).status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://shop.example",
        "https://shop.example:8443",
        "https://evil-shop.example",
        "https://shop.example.evil.example",
        "https://evil.example",
        "https://xn--shp-ula.example",
        "https://shop.example/",
        "https://a@shop.example",
    ],
)
async def test_a_publishable_key_answers_its_own_sites_alone(here: Installation, origin: str | None):
    key = await here.page_key("shop.example")
    headers = {} if origin is None else {"origin": origin}
    async with here.calling(key) as page:
        response = await page.post(CHAT, json=QUESTION, headers=headers)
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_a_publishable_key_without_sites_gets_no_answer(here: Installation):
    key = await here.page_key()
    async with here.calling(key, origin=SITE) as page:
        assert (await page.post(CHAT, json=QUESTION)).status_code == 403


async def test_an_allowed_site_may_read_its_answers_and_its_refusals(here: Installation):
    key = await here.page_key("shop.example", "*.shop.example")
    async with here.calling(key) as page:
        for origin in (SITE, "https://eu.shop.example"):
            for body, status in ((QUESTION, NOTHING_YET), ({}, 422)):
                response = await page.post(CHAT, json=body, headers={"origin": origin})
                assert response.status_code == status, response.text
                assert response.headers["access-control-allow-origin"] == origin
                assert response.headers["vary"] == "origin"
                assert "access-control-allow-credentials" not in response.headers


async def test_a_publishable_key_does_nothing_but_the_widgets_routes(here: Installation):
    key = await here.page_key("shop.example")
    async with here.calling(key, origin=SITE) as page:
        for method, path in (
            ("GET", "/api/documents"),
            ("POST", "/api/documents"),
            ("POST", "/api/chat"),
            ("POST", "/api/search"),
            ("GET", "/api/conversations"),
            ("POST", "/api/widget/process-document"),
            ("GET", "/api/accounts/me"),
            ("GET", "/metrics"),
        ):
            response = await page.request(method, path)
            assert response.status_code == 403, path
            assert "access-control-allow-origin" not in response.headers


async def test_preflights_are_answered_for_sites_that_a_key_knows(here: Installation):
    await here.page_key("shop.example")
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    async with here.calling() as browser:
        known = await browser.options(CHAT, headers={"origin": SITE, **asked})
        assert known.status_code == 204
        assert known.headers["access-control-allow-origin"] == SITE
        assert known.headers["access-control-allow-methods"] == "POST"
        assert "authorization" in known.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in known.headers
        for origin in ("https://evil.example", "null"):
            other = await browser.options(CHAT, headers={"origin": origin, **asked})
            assert not [name for name in other.headers if name.startswith("access-control")]
        elsewhere = await browser.options("/api/chat", headers={"origin": SITE, **asked})
        assert elsewhere.status_code == 405
        assert "access-control-allow-origin" not in elsewhere.headers


async def test_a_secret_key_from_a_web_page_is_refused_and_noted_once(here: Installation):
    key_id, key = await here.key()
    async with here.calling(key) as client:
        assert (await client.get(ME, headers={"origin": "http://127.0.0.1:8000"})).status_code == 200
        with structlog.testing.capture_logs() as events:
            for _ in range(3):
                response = await client.get(ME, headers={"origin": SITE})
                assert response.status_code == 401
                assert "access-control-allow-origin" not in response.headers
    assert [event["principal"] for event in events if event["event"] == "auth.key_in_browser"] == [f"key:{key_id}"]
    noted = [e for e in await here.platform.identity.audit.entries("acme") if e.action == "key.exposed"]
    assert [(entry.target, entry.details["origin"]) for entry in noted] == [(key_id, SITE)]


async def test_a_session_in_a_cookie_counts_for_pages_of_this_server_alone(here: Installation):
    token = await here.token("owner@acme.example")
    own, body = "http://127.0.0.1:8000", {"name": "backend"}
    async with here.calling(cookie=f"ragstone_session={token}") as browser:
        assert (await browser.get(ME)).status_code == 200
        for headers in ({}, {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            refused = await browser.post("/api/accounts/keys", json=body, headers=headers)
            assert refused.status_code == 403, headers
        assert (await browser.get(ME, headers={"origin": "https://evil.example"})).status_code == 403
        disguised = {"sec-fetch-site": "cross-site", "origin": own}
        assert (await browser.post("/api/accounts/keys", json=body, headers=disguised)).status_code == 403
        for headers in ({"origin": own}, {"sec-fetch-site": "same-origin"}):
            assert (await browser.post("/api/accounts/keys", json=body, headers=headers)).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/plain;application/json", ""])
async def test_with_a_cookie_a_body_has_to_say_that_it_is_json(here: Installation, kind: str):
    token = await here.token("owner@acme.example")
    headers = {"sec-fetch-site": "same-origin", "content-type": kind}
    async with here.calling(cookie=f"ragstone_session={token}") as browser:
        response = await browser.post("/api/accounts/keys", content=b'{"name": "x"}', headers=headers)
    assert response.status_code == 415


async def test_the_rate_of_a_plan_is_kept_and_told_in_every_answer(here: Installation):
    await here.platform.billing.plans.save("test", Plan(id="tiny", name="Tiny", requests_per_hour=2))
    await here.platform.identity.tenants.change("test", "acme", TenantChange(plan="tiny"))
    _, key = await here.key()
    async with here.calling(key) as client:
        first = await client.post("/api/search", json={"query": "water"})
        second = await client.post("/api/search", json={})
        third = await client.post("/api/search", json={"query": "water"})
        assert [answer.status_code for answer in (first, second, third)] == [NOTHING_YET, 422, 429]
        for answer, left in ((first, 1), (second, 0), (third, 0)):
            assert answer.headers["ratelimit-limit"] == "2"
            assert answer.headers["ratelimit-remaining"] == str(left)
            assert answer.headers["ratelimit-policy"] == '"plan";q=2;w=3600'
            assert answer.headers["ratelimit"] == f'"plan";r={left};t={answer.headers["ratelimit-reset"]}'
        assert 1 <= int(third.headers["retry-after"]) <= 3600
        assert third.json()["retryable"] is True
        spoofed = await client.post("/api/search", json={"query": "water"}, headers={"x-forwarded-for": "203.0.113.9"})
        assert spoofed.status_code == 429
        assert (await client.get(ME)).status_code == 200
    async with here.calling((await here.key("rival"))[1]) as other:
        assert (await other.post("/api/search", json={"query": "water"})).status_code == NOTHING_YET


async def test_who_is_refused_is_not_counted(here: Installation):
    await here.platform.billing.plans.save("test", Plan(id="tiny", name="Tiny", requests_per_hour=1))
    await here.platform.identity.tenants.change("test", "acme", TenantChange(plan="tiny"))
    _, reader = await here.key(new=NewKey(permissions=frozenset({Permission.READ})))
    async with here.calling(reader) as client:
        for _ in range(3):
            assert (await client.post("/api/search", json={"query": "water"})).status_code == 403
    async with here.calling((await here.key())[1]) as client:
        assert (await client.post("/api/search", json={"query": "water"})).status_code == NOTHING_YET


async def test_the_log_names_who_asked_and_never_the_key(here: Installation):
    key_id, key = await here.key()
    with structlog.testing.capture_logs() as events:
        async with here.calling(key) as client:
            await client.get(ME)
    (event,) = [event for event in events if event["event"] == "http.request"]
    assert (event["principal"], event["tenant"]) == (f"key:{key_id}", "acme")
    assert key[6:30] not in str(events)
    assert "acme" not in here.platform.operations.metrics.render().decode()


async def test_a_changed_role_ends_the_sessions_of_the_person(here: Installation):
    viewer = await here.user("acme", "vera@acme.example", Role.EDITOR)
    token, owner = await here.token("vera@acme.example"), await here.token("owner@acme.example")
    async with here.calling() as client:
        bearer = {"authorization": f"Bearer {token}"}
        assert (await client.get(ME, headers=bearer)).status_code == 200
        changed = await client.patch(
            f"/api/accounts/users/{viewer}", json={"role": "viewer"}, headers={"authorization": f"Bearer {owner}"}
        )
        assert changed.status_code == 200
        assert (await client.get(ME, headers=bearer)).status_code == 401


async def test_when_the_first_account_is_made_this_machine_needs_one_too(tmp_path: Path):
    async with installation(tmp_path / "data") as made, made.calling() as client:
        assert (await client.get(ME)).status_code == 401
        login = await client.post("/api/accounts/login", json={"email": "root@example.org", "password": PASSWORD})
        assert login.status_code == 200


class Endless(BaseModel):
    """What the endless stream says."""

    value: int = 1


@pytest.mark.parametrize("way", ["revoked", "suspended", "logged out"])
async def test_a_stream_that_runs_ends_when_its_caller_is_no_longer_admitted(here: Installation, way: str):
    ended, begun = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncGenerator[StreamEvent]:
        try:
            yield StreamEvent("value", Endless())
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    router = admitted_router(tag="test", needs=Permission.READ)

    @router.get("/test/stream", response_class=Response)
    async def watch(stream: AdmittedStream) -> Response:
        return stream(endless())

    here.app.include_router(router)
    key_id, key = await here.key()
    shown = await here.token("owner@acme.example") if way == "logged out" else key
    async with (
        serving(here.app) as url,
        httpx2.AsyncClient(headers={"x-api-key": shown}) as client,
        client.stream("GET", f"{url}/test/stream") as response,
    ):
        received = events_of(response)
        assert (await anext(received)).name == "value"
        await begun.wait()
        match way:
            case "revoked":
                await here.platform.identity.api_keys.revoke(replace(LOCAL, id="test"), "acme", key_id)
            case "suspended":
                await here.platform.identity.tenants.change("test", "acme", TenantChange(state=TenantState.SUSPENDED))
            case _:
                (session,) = await here.platform.identity.sessions.all("acme")
                await here.platform.identity.sessions.end("test", "acme", session.id)
        async with asyncio.timeout(5):
            rest = [event async for event in received]
            await ended.wait()
    assert [(event.name, event.data["code"]) for event in rest] == [("error", "unauthenticated")]
