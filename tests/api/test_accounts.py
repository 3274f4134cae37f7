"""Tenants, people, sessions and keys over HTTP; no caller sees another tenant's or grants what they lack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ragstone.identity.api_keys import NewKey
from ragstone.principals import Permission, Role
from tests.api.people import PASSWORD, Installation, installation

LOGIN = "/api/accounts/login"
ME = "/api/accounts/me"
OWNER = "owner@acme.example"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "data") as made:
        yield made


@pytest.fixture
async def owner(here: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with here.calling(await here.token(OWNER)) as client:
        yield client


@pytest.fixture
async def rival(here: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with here.calling(await here.token("owner@rival.example")) as client:
        yield client


@pytest.fixture
async def operator(here: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with here.calling(await here.token("root@example.org")) as client:
        yield client


async def made(client: httpx2.AsyncClient, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
    response = await client.post(path, json=body, params=query)
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_login_gives_a_cookie_that_scripts_and_other_sites_do_not_get(here: Installation):
    async with here.calling() as browser:
        response = await browser.post(LOGIN, json={"email": OWNER, "password": PASSWORD})
        assert response.status_code == 200
        cookie = response.headers["set-cookie"]
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= parts
        assert not [part for part in parts if part.startswith("domain")]
        assert "secure" not in parts
        assert cookie.startswith(f"ragstone_session={response.json()['token']};")
        assert response.json()["user"]["email"] == OWNER
        assert response.headers["cache-control"] == "no-store"
        assert (await browser.get(ME)).json()["user"]["role"] == "owner"  # by the cookie it was given


async def test_where_browsers_use_https_the_cookie_is_bound_to_the_host(tmp_path: Path):
    server = {"public_url": "https://rag.example.com"}
    async with installation(tmp_path / "data", server=server) as made_here, made_here.calling() as browser:
        response = await browser.post(LOGIN, json={"email": OWNER, "password": PASSWORD})
        name, _, rest = response.headers["set-cookie"].partition("=")
        assert name == "__Host-ragstone_session"
        assert {"secure", "path=/"} <= {part.strip().lower() for part in rest.split(";")}
        token = response.json()["token"]
        plain = {"cookie": f"ragstone_session={token}"}
        bound = {"cookie": f"__Host-ragstone_session={token}", "host": "rag.example.com"}
        async with made_here.calling() as other:
            assert (await other.get(ME, headers=plain)).status_code == 401
            assert (await other.get(ME, headers=bound)).status_code == 200
            own = {**bound, "origin": "https://rag.example.com"}
            assert (await other.post("/api/accounts/keys", json={}, headers=own)).status_code == 201
            downgraded = {**bound, "origin": "http://rag.example.com"}
            assert (await other.post("/api/accounts/keys", json={}, headers=downgraded)).status_code == 403


async def test_a_session_that_was_there_before_the_login_is_not_kept(here: Installation):
    planted = await here.token("owner@rival.example")
    async with here.calling(cookie=f"ragstone_session={planted}") as browser:
        body = {"email": OWNER, "password": PASSWORD}
        response = await browser.post(LOGIN, json=body, headers={"sec-fetch-site": "same-origin"})
    assert response.json()["token"] not in {planted, ""}
    assert response.json()["user"]["tenant"] == "acme"


async def test_after_the_logout_the_old_cookie_opens_nothing(here: Installation):
    token = await here.token(OWNER)
    async with here.calling(cookie=f"ragstone_session={token}") as browser:
        response = await browser.post("/api/accounts/logout", headers={"sec-fetch-site": "same-origin"})
        assert response.status_code == 204
        cleared = response.headers["set-cookie"].lower()
        for part in ("ragstone_session=", "max-age=0", "path=/", "httponly", "samesite=lax"):
            assert part in cleared
        assert (await browser.get(ME)).status_code == 401


async def test_wrong_passwords_and_unknown_people_sound_alike_and_have_to_wait(here: Installation):
    async with here.calling() as stranger:
        details = set()
        for email in (OWNER, "nobody@acme.example"):
            refused = await stranger.post(LOGIN, json={"email": email, "password": "wrong wrong wrong"})
            assert refused.status_code == 401
            details.add(refused.json()["detail"])
            assert email not in refused.text
        assert len(details) == 1
        statuses = [
            (await stranger.post(LOGIN, json={"email": OWNER, "password": "wrong wrong wrong"})).status_code
            for _ in range(5)
        ]
        assert statuses[-1] == 429
        waiting = await stranger.post(LOGIN, json={"email": OWNER, "password": PASSWORD})
        assert waiting.status_code == 429
        assert int(waiting.headers["retry-after"]) >= 1


async def test_a_login_is_small_and_comes_from_no_other_site(here: Installation):
    async with here.calling() as stranger:
        large = {"email": OWNER, "password": "x" * 5000}
        assert (await stranger.post(LOGIN, json=large)).status_code == 413
        body = {"email": OWNER, "password": PASSWORD}
        assert (await stranger.post(LOGIN, json=body, headers={"origin": "https://evil.example"})).status_code == 403
        assert "set-cookie" not in (await stranger.post(LOGIN, json={"email": OWNER, "password": "no"})).headers
        for empty in ({"email": OWNER, "password": None}, {"email": None, "password": PASSWORD}, {"email": OWNER}):
            assert (await stranger.post(LOGIN, json=empty)).status_code == 422


async def test_a_person_changes_their_own_password_and_is_out_everywhere(here: Installation):
    await here.user("acme", "vera@acme.example", Role.VIEWER)
    path, new = "/api/accounts/me/password", "quite another sentence"
    async with here.calling(await here.token("vera@acme.example")) as vera:
        assert (await vera.post(path, json={"current": "wrong wrong wrong", "new": new})).status_code == 401
        assert (await vera.post(path, json={"current": PASSWORD, "new": "short"})).status_code == 400
        assert (await vera.post(path, json={"current": PASSWORD, "new": new})).status_code == 204
        assert (await vera.get(ME)).status_code == 401
        assert (await vera.post(LOGIN, json={"email": "vera@acme.example", "password": PASSWORD})).status_code == 401


async def test_a_key_is_shown_once_and_opens_what_it_was_made_for(here: Installation, owner: httpx2.AsyncClient):
    body = {"name": "backend", "permissions": ["read"], "collections": ["handbook"]}
    key = await made(owner, "/api/accounts/keys", body)
    shown = key.pop("key")
    assert (await owner.get(f"/api/accounts/keys/{key['id']}")).json() == key
    listed = await owner.get("/api/accounts/keys")
    assert listed.json()["keys"] == [key]
    assert shown not in listed.text
    async with here.calling(shown) as program:
        me = (await program.get(ME)).json()
    assert (me["permissions"], me["collections"], me["user"]) == (["read"], ["handbook"], None)


async def test_a_rotated_key_works_beside_the_new_one_until_its_time_is_over(
    here: Installation, owner: httpx2.AsyncClient
):
    old = await made(owner, "/api/accounts/keys", {"name": "backend"})
    new = await made(owner, f"/api/accounts/keys/{old['id']}/rotate", {"overlap_s": 3600})
    newest = await made(owner, f"/api/accounts/keys/{new['id']}/rotate", {"overlap_s": 0})
    async with here.calling() as program:
        for key, status in ((old, 200), (new, 401), (newest, 200)):
            assert (await program.get(ME, headers={"x-api-key": key["key"]})).status_code == status
    assert (await owner.get(f"/api/accounts/keys/{old['id']}")).json()["replaced_by"] == new["id"]
    assert (await owner.delete(f"/api/accounts/keys/{old['id']}")).status_code == 204
    async with here.calling(old["key"]) as program:
        assert (await program.get(ME)).status_code == 401


async def test_keys_come_in_pages_and_change_their_sites(owner: httpx2.AsyncClient):
    ids = [
        (await made(owner, "/api/accounts/keys", {"kind": "publishable", "name": f"site {n}"}))["id"] for n in range(3)
    ]
    first = (await owner.get("/api/accounts/keys", params={"limit": 2})).json()
    second = (await owner.get("/api/accounts/keys", params={"limit": 2, "after": first["next"]})).json()
    assert {key["id"] for key in first["keys"] + second["keys"]} == set(ids)
    assert second["next"] is None
    changed = await owner.patch(f"/api/accounts/keys/{ids[0]}", json={"domains": ["Shop.Example"]})
    assert changed.json()["domains"] == ["shop.example"]
    assert (await owner.patch(f"/api/accounts/keys/{ids[0]}", json={"domains": ["*"]})).status_code == 400


async def test_an_expired_key_is_none(owner: httpx2.AsyncClient):
    ends = datetime.now(UTC) - timedelta(seconds=1)
    assert (await owner.post("/api/accounts/keys", json={"expires_at": ends.isoformat()})).status_code == 400


async def test_another_tenants_things_are_not_there(
    here: Installation, owner: httpx2.AsyncClient, rival: httpx2.AsyncClient
):
    key = await made(owner, "/api/accounts/keys", {"name": "acme secret"})
    user = await made(owner, "/api/accounts/users", {"email": "bob@acme.example", "password": PASSWORD})
    (session,) = (await owner.get("/api/accounts/sessions")).json()["sessions"]
    unknown = "0" * 32
    for method, path, body in (
        ("GET", "/api/accounts/keys/{}", None),
        ("PATCH", "/api/accounts/keys/{}", {"name": "mine"}),
        ("DELETE", "/api/accounts/keys/{}", None),
        ("POST", "/api/accounts/keys/{}/rotate", {}),
        ("GET", "/api/accounts/users/{}", None),
        ("PATCH", "/api/accounts/users/{}", {"password": "a stolen long sentence"}),
        ("DELETE", "/api/accounts/users/{}", None),
        ("DELETE", "/api/accounts/sessions/{}", None),
    ):
        theirs = {"keys": key["id"], "users": user["id"], "sessions": session["id"]}[path.split("/")[3]]
        answers = []
        for object_id in (theirs, unknown):
            response = await rival.request(method, path.format(object_id), json=body)
            assert response.status_code == 404, (method, path, response.text)
            answers.append(response.json()["detail"].replace(object_id, ""))
        assert answers[0] == answers[1]
    for path in ("keys", "users", "sessions", "audit", "audit/verify"):
        foreign = await rival.get(f"/api/accounts/{path}", params={"tenant": "acme"})
        missing = await rival.get(f"/api/accounts/{path}", params={"tenant": "nobody"})
        assert (foreign.status_code, missing.status_code) == (404, 404)
        assert "acme" not in (await rival.get(f"/api/accounts/{path}")).text
    made_there = await rival.post("/api/accounts/keys", json={}, params={"tenant": "acme"})
    assert made_there.status_code == 404
    assert (await owner.get(f"/api/accounts/keys/{key['id']}")).json()["revoked_at"] is None


async def test_an_operator_acts_for_any_tenant(here: Installation, operator: httpx2.AsyncClient):
    await made(operator, "/api/accounts/tenants", {"id": "newco", "name": "New", "plan": "free"})
    body = {"email": "owner@newco.example", "password": PASSWORD, "role": "owner"}
    user = await made(operator, "/api/accounts/users", body, tenant="newco")
    assert user["tenant"] == "newco"
    key = await made(operator, "/api/accounts/keys", {"name": "first"}, tenant="newco")
    async with here.calling(key["key"]) as program:
        assert (await program.get(ME)).json()["tenant"] == "newco"
    assert (await operator.get("/api/accounts/keys", params={"tenant": "nobody"})).status_code == 404
    changed = await operator.patch("/api/accounts/tenants/newco", json={"state": "suspended", "retention_days": 30})
    assert (changed.json()["state"], changed.json()["retention_days"]) == ("suspended", 30)
    async with here.calling(key["key"]) as program:
        assert (await program.get(ME)).status_code == 401
    page = (await operator.get("/api/accounts/tenants", params={"limit": 2})).json()
    rest = (await operator.get("/api/accounts/tenants", params={"after": page["next"]})).json()
    assert [each["id"] for each in page["tenants"] + rest["tenants"]] == ["acme", "default", "newco", "rival"]


async def test_an_erased_tenant_is_out_at_once(here: Installation, operator: httpx2.AsyncClient):
    _, key = await here.key()
    async with here.calling(key) as program:
        assert (await program.get(ME)).status_code == 200
        begun = await operator.delete("/api/accounts/tenants/acme")
        assert (begun.status_code, begun.json()["state"]) == (202, "deleting")
        assert (await program.get(ME)).status_code == 401
    assert (await operator.delete("/api/accounts/tenants/default")).status_code == 409
    assert (await operator.delete("/api/accounts/tenants/nobody")).status_code == 404


async def test_an_owner_makes_no_operator_and_touches_none(here: Installation, owner: httpx2.AsyncClient):
    operator_id = await here.user("acme", "ops@acme.example", Role.OPERATOR)
    body = {"email": "evil@acme.example", "password": PASSWORD, "role": "operator"}
    assert (await owner.post("/api/accounts/users", json=body)).status_code == 403
    bob = await made(owner, "/api/accounts/users", {**body, "role": "owner"})
    path = f"/api/accounts/users/{bob['id']}"
    assert (await owner.patch(path, json={"role": "operator"})).status_code == 403
    for change in ({"password": "taken over sentence"}, {"state": "suspended"}, {"name": "x"}):
        assert (await owner.patch(f"/api/accounts/users/{operator_id}", json=change)).status_code == 403
    assert (await owner.delete(f"/api/accounts/users/{operator_id}")).status_code == 403
    for method, path in (
        ("GET", "tenants"),
        ("PATCH", "tenants/acme"),
        ("DELETE", "tenants/acme"),
        ("PUT", "plans/free"),
        ("DELETE", "models/x"),
    ):
        assert (await owner.request(method, f"/api/accounts/{path}", json={})).status_code == 403, path


async def test_a_user_cannot_change_their_own_role(here: Installation, owner: httpx2.AsyncClient):
    me = (await owner.get(ME)).json()["user"]["id"]
    for change in ({"role": "viewer"}, {"state": "suspended"}):
        assert (await owner.patch(f"/api/accounts/users/{me}", json=change)).status_code == 403
    assert (await owner.patch(f"/api/accounts/users/{me}", json={"name": "Ada"})).status_code == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_who_manages_nothing_sees_no_keys_and_only_own_sessions(here: Installation, role: Role):
    await here.token(OWNER)
    user_id = await here.user("acme", "eve@acme.example", role)
    async with here.calling(await here.token("eve@acme.example")) as client:
        for path in ("keys", "users", "audit", "audit/verify", "plans", "models", "tenants"):
            assert (await client.get(f"/api/accounts/{path}")).status_code == 403, path
        sessions = (await client.get("/api/accounts/sessions")).json()["sessions"]
        assert [session["user_id"] for session in sessions] == [user_id]
    others = [each.id for each in await here.platform.identity.sessions.all("acme") if each.user_id != user_id]
    async with here.calling(await here.token("eve@acme.example")) as client:
        assert (await client.delete(f"/api/accounts/sessions/{others[0]}")).status_code == 404


async def test_a_key_gives_no_more_than_it_has(here: Installation):
    _, strong = await here.key()
    _, small = await here.key(
        new=NewKey(permissions=frozenset({Permission.MANAGE, Permission.READ}), collections=("handbook",))
    )
    strong_id = (await here.platform.identity.api_keys.all("acme"))[-1].id
    path = "/api/accounts/keys"
    async with here.calling(small) as key:
        for body in (
            {},
            {"permissions": ["read"]},
            {"permissions": ["write"], "collections": ["handbook"]},
            {"permissions": ["read"], "collections": ["handbook", "other"]},
            {"kind": "publishable", "domains": ["shop.example"]},
        ):
            assert (await key.post(path, json=body)).status_code == 403, body
        within = {"permissions": ["read", "manage"], "collections": ["handbook"]}
        assert (await key.post(path, json=within)).status_code == 201
        assert (await key.post(f"{path}/{strong_id}/rotate", json={})).status_code == 403
        person = {"email": "new@acme.example", "password": PASSWORD, "role": "viewer"}
        assert (await key.post("/api/accounts/users", json=person)).status_code == 403
    async with here.calling(strong) as key:
        assert (await key.get(path)).status_code == 403  # `manage` is given by name alone


async def test_no_key_operates(owner: httpx2.AsyncClient, operator: httpx2.AsyncClient):
    for client, status in ((owner, 403), (operator, 400)):
        for permission in ("operate", "widget"):
            response = await client.post("/api/accounts/keys", json={"permissions": [permission]})
            assert response.status_code in {status, 400}


async def test_who_did_what_is_written_down_and_whole(owner: httpx2.AsyncClient):
    key = await made(owner, "/api/accounts/keys", {"name": "backend"})
    await owner.delete(f"/api/accounts/keys/{key['id']}")
    entries = (await owner.get("/api/accounts/audit", params={"limit": 2})).json()
    assert [entry["action"] for entry in entries["entries"]] == ["key.revoked", "key.created"]
    assert {entry["target"] for entry in entries["entries"]} == {key["id"]}
    older = (await owner.get("/api/accounts/audit", params={"before": entries["next"]})).json()["entries"]
    assert older[0]["number"] == entries["next"] - 1
    assert key["key"] not in str(entries) + str(older)
    assert (await owner.get("/api/accounts/audit/verify")).json() == {"whole": True, "broken": []}


async def test_plans_and_prices_are_the_operators_to_change(owner: httpx2.AsyncClient, operator: httpx2.AsyncClient):
    model = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "key_variable": "M_API_KEY"}
    assert (await operator.put("/api/accounts/models/local", json={**model, "input_price": 7})).status_code == 200
    plan = {"name": "Team", "requests_per_hour": 5, "models": ["local"]}
    saved = await operator.put("/api/accounts/plans/team", json=plan)
    assert saved.json() | plan == saved.json()
    seen = {each["id"]: each for each in (await owner.get("/api/accounts/models")).json()["models"]}
    assert (seen["local"]["input_price"], seen["local"]["base_url"], seen["local"]["key_variable"]) == (7, None, None)
    shown = {each["id"]: each for each in (await operator.get("/api/accounts/models")).json()["models"]}
    assert shown["local"]["key_variable"] == "M_API_KEY"
    assert "team" in {each["id"] for each in (await owner.get("/api/accounts/plans")).json()["plans"]}
    assert (await operator.delete("/api/accounts/models/local")).status_code == 409
    assert (await operator.delete("/api/accounts/plans/team")).status_code == 204
    assert (await operator.delete("/api/accounts/models/local")).status_code == 204
    assert (await operator.delete("/api/accounts/plans/team")).status_code == 404


async def test_what_is_sent_is_checked(owner: httpx2.AsyncClient):
    for path, body in (
        ("keys", {"kind": "master"}),
        ("keys", {"collections": ["../x"]}),
        ("keys", {"admin": True}),
        ("users", {"email": "x@acme.example", "password": PASSWORD, "tenant": "rival"}),
        ("users", {"email": "x\u0000@acme.example", "password": PASSWORD}),
    ):
        response = await owner.post(f"/api/accounts/{path}", json=body)
        assert response.status_code in {400, 422}, body
        assert PASSWORD not in response.text
    lone = b'{"email": "x@acme.example", "password": "' + rb"\ud800" * 12 + b'"}'
    headers = {"content-type": "application/json"}
    assert (await owner.post("/api/accounts/users", content=lone, headers=headers)).status_code < 500
    assert (await owner.post(LOGIN, content=lone, headers=headers)).status_code < 500
