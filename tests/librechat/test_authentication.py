"""Who may come in below /librechat, and who not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from ragstone.billing.plans import Plan
from ragstone.http.routing import requirement_of
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.librechat.authentication import by_token
from ragstone.tenants.settings import TenantSettings
from tests.api.people import Installation
from tests.librechat.setup import ALICE, SECRET, Calls, calls_of, connected, minted

OTHER_SECRET = "another-secret-of-forty-characters-00000"
LIBRECHATS = "/librechat"


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def by_hand(header: bytes, payload: bytes, *, secret: str = SECRET) -> str:
    """A token of any parts, rightly signed."""
    signed = f"{encoded(header)}.{encoded(payload)}"
    return f"{signed}.{encoded(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def routes(app: FastAPI) -> list[tuple[str, str, BaseRoute]]:
    """Method, path and route of all there is below /librechat."""
    return [
        (method, context.path or "", context.original_route)
        for context in iter_route_contexts(app.routes)
        for method in sorted(context.methods or set())
        if (context.path or "").startswith(LIBRECHATS)
    ]


def anywhere(path: str) -> str:
    return path.replace("{tenant}", "acme").replace("{file_id}", "f-1")


async def status(made: Installation, token: str, path: str = "/librechat/ids") -> tuple[int, str]:
    async with made.calling(token) as client:
        response = await client.get(path)
    body = response.json()
    return response.status_code, body["detail"] if isinstance(body, dict) else ""


async def test_every_route_is_behind_the_token_but_health(made: Installation):
    found = routes(made.app)
    assert len(found) == 22
    assert {path.rpartition("/")[2] for _, path, route in found if not requirement_of(route)} == {"health"}
    assert {required.identify for _, _, route in found if (required := requirement_of(route))} == {by_token}


async def test_a_stranger_is_refused_before_the_body_is_read(made: Installation):
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append("some of it")
        yield b"{broken"

    async with made.calling() as stranger:
        for method, path, route in routes(made.app):
            if requirement_of(route) is None:
                continue
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"bearer {minted()}"}):
                sent = {**headers, "content-type": "application/json"}
                response = await stranger.request(method, anywhere(path), content=body(), headers=sent)
                assert response.status_code == 401, (method, path)
                assert list(response.json()) == ["detail"]
                assert response.headers["www-authenticate"] == "Bearer"
    assert not read


async def test_a_token_of_librechats_own_shape_opens(made: Installation):
    now = int(time.time())
    header = b'{"alg":"HS256","typ":"JWT"}'
    payload = f'{{"id":"{ALICE}","iat":{now},"exp":{now + 300}}}'.encode()
    assert await status(made, by_hand(header, payload)) == (200, "")


async def test_claims_of_older_versions_are_tolerated(made: Installation):
    token = minted(username="alice", provider="local", email="alice@example.org", aud="x", iss="y", sub=5, jti=3)
    assert await status(made, token) == (200, "")


async def test_clocks_may_differ_by_seconds_not_by_minutes(made: Installation):
    now = int(time.time())
    assert (await status(made, minted(exp=now - 10)))[0] == 200
    assert await status(made, minted(exp=now - 60)) == (401, "Token has expired")
    assert (await status(made, minted(iat=now + 10)))[0] == 200
    assert (await status(made, minted(nbf=now + 60)))[0] == 401


async def test_an_id_is_a_short_printable_text(made: Installation):
    refused = [None, "", " ", 7, True, ["a"], {"a": "b"}, "a" * 129, "a\nb", "a\x00b", "\ud800", "a\u202eb"]
    for user in refused:
        code, detail = await status(made, minted(user))
        assert code == 401, user
        assert detail.startswith("Invalid token: ")
    for user in ("a", "a" * 128, "Ålice Müller", "alice@example.org", "../../etc"):
        assert (await status(made, minted(user)))[0] == 200, user


NO_TOKENS = [
    minted(secret=OTHER_SECRET),
    by_hand(b'{"alg":"HS256"}', json.dumps({"id": ALICE, "exp": 2**33}).encode(), secret=""),
    minted(algorithm="HS512"),
    minted(algorithm="none", secret=""),
    minted(exp=None),
    minted(exp="soon"),
    minted(exp=float("inf")),
    minted(iat=float("-inf")),
    by_hand(b'{"alg":"none"}', json.dumps({"id": ALICE, "exp": 2**33}).encode()),
    by_hand(b'{"alg":"HS256"}', b"[]"),
    by_hand(b'{"alg":"HS256"}', b"[" * 1500),
    by_hand(b"[" * 1500, b"{}"),
    by_hand(b'{"alg":"HS256","crit":["x"]}', json.dumps({"id": ALICE, "exp": 2**33}).encode()),
    by_hand(b'{"alg":"HS256","b64":false}', json.dumps({"id": ALICE, "exp": 2**33}).encode()),
    minted(more="x" * 4096),
    "a.b.c",
    "..",
    "ÿ.ÿ.ÿ",
    "x" * 9000,
]


async def test_what_is_no_token_of_this_librechat_is_refused(made: Installation):
    async with made.calling() as client:
        for token in NO_TOKENS:
            shown = [(b"authorization", f"Bearer {token}".encode("latin-1"))]
            response = await client.get("/librechat/ids", headers=shown)
            assert response.status_code == 401, token[:200]
            assert response.json()["detail"].startswith("Invalid token: ")


async def test_keys_of_ragstone_open_nothing_here(made: Installation):
    _, key = await made.key("default")
    assert (await status(made, key))[0] == 401
    async with made.calling(x_api_key=key) as client:
        assert (await client.get("/librechat/ids")).status_code == 401


async def test_a_token_of_librechat_opens_nothing_else(made: Installation):
    await made.key("default")
    async with made.calling(minted()) as client:
        for path in ("/api/documents", "/api/stats", "/metrics", "/v1/models"):
            assert (await client.get(path)).status_code in {401, 404}, path


async def test_without_a_secret_there_is_nothing(tmp_path: Path):
    async with connected(tmp_path / "data", librechat={}) as made, made.calling(minted()) as client:
        for method, path, _ in routes(made.app):
            if "{tenant}" in path:
                continue
            response = await client.request(method, anywhere(path), content=b"{broken")
            assert response.status_code == 404, (method, path)
            assert "RAGSTONE_LIBRECHAT__JWT_SECRET" in response.json()["detail"]


async def test_without_any_account_there_is_nothing_without_a_token(tmp_path: Path):
    """Where programs on this machine may do everything else."""
    async with connected(tmp_path / "data") as made, made.calling() as client:
        assert (await client.get("/api/documents")).status_code == 200
        assert (await client.get("/librechat/ids")).status_code == 401


async def test_each_tenant_has_a_librechat_of_its_own(made: Installation):
    keys = made.platform.tenancy.tenant_settings
    await keys.change("test", "acme", TenantSettings(), {"librechat": OTHER_SECRET})
    of_acme = minted(secret=OTHER_SECRET)
    path = "/librechat/tenants/{}/ids"
    assert (await status(made, of_acme, path.format("acme")))[0] == 200
    assert (await status(made, of_acme, path.format("rival")))[0] == 401
    assert (await status(made, of_acme))[0] == 401
    assert (await status(made, minted(), path.format("acme")))[0] == 401
    assert (await status(made, minted(), path.format("default")))[0] == 200  # the one the settings name


async def test_no_answer_tells_which_tenants_there_are(made: Installation):
    answers = {
        await status(made, minted(secret=OTHER_SECRET), f"/librechat/tenants/{tenant}/ids")
        for tenant in ("acme", "nobody", "default", "UPPER", "a" * 65, "%2e%2e", "a%00b")
    }
    assert answers == {(401, "Invalid token: it was signed with another JWT_SECRET")}
    async with made.calling() as client:
        healths = {(await client.get(f"/librechat/tenants/{tenant}/health")).text for tenant in ("acme", "nobody")}
    assert healths == {'{"status":"UP"}'}


async def test_a_suspended_tenant_keeps_no_user(made: Installation):
    await made.platform.tenancy.tenant_settings.change("test", "acme", TenantSettings(), {"librechat": OTHER_SECRET})
    await made.platform.identity.tenants.change("test", "acme", TenantChange(state=TenantState.SUSPENDED))
    code, detail = await status(made, minted(secret=OTHER_SECRET), "/librechat/tenants/acme/ids")
    assert code == 403
    assert "not active" in detail


async def test_files_of_tenants_are_apart(made: Installation, alice: Calls):
    """The same user id, and the same file id, in two LibreChats."""
    keys = made.platform.tenancy.tenant_settings
    await keys.change("test", "acme", TenantSettings(), {"librechat": OTHER_SECRET})
    await alice.embed("f-1", "The wombat digs.")
    async with made.calling(minted(secret=OTHER_SECRET)) as client:
        acmes = Calls(client, "/librechat/tenants/acme")
        assert (await acmes.query("f-1", "What does the wombat do?")).json() == []
        assert (await acmes.embed("f-1", "The numbat eats.")).json()["status"] is True
        assert "numbat" in (await acmes.query("f-1", "What does the numbat do?")).text
        assert (await acmes.delete("f-1")).status_code == 200
    assert "wombat" in (await alice.query("f-1", "What does the wombat do?")).text


@pytest.mark.parametrize("path", ["//ids", "///ids", "//documents///f-1//context", "//tenants//default//ids"])
async def test_doubled_slashes_are_one(alice: Calls, path: str):
    await alice.embed("f-1", "Something.")
    assert (await alice.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/api//documents", "//librechat/ids", "//health"])
async def test_doubled_slashes_of_others_stay(made: Installation, path: str):
    async with made.calling(minted()) as client:
        assert (await client.get(f"http://127.0.0.1:8000{path}")).status_code == 404


@pytest.mark.parametrize("user", [ALICE, "alice@example.org", "a" * 128, "\u212bngstr\u00f6m"])
async def test_the_log_knows_the_user_by_an_id_that_is_no_address(made: Installation, user: str):
    with structlog.testing.capture_logs() as logs:
        assert (await status(made, minted(user)))[0] == 200
    (line,) = (line for line in logs if line["event"] == "http.request")
    assert line["route"] == "/librechat/ids"
    assert line["principal"].startswith("librechat:")
    assert len(line["principal"]) <= 64
    assert "@" not in line["principal"]
    assert line["tenant"] == "default"


async def test_a_large_body_is_refused(alice: Calls):
    response = await alice.client.post("/librechat/query", content=b'"' + b"x" * (9 << 20) + b'"')
    assert response.status_code == 413
    assert list(response.json()) == ["detail"]


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 50_000, b"9" * 5_000])
async def test_no_body_brings_a_route_down(made: Installation, alice: Calls, content: bytes):
    types = ["application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""]
    for method, path, _ in routes(made.app):
        if method == "GET" or "{tenant}" in path:
            continue
        for kind in types:
            response = await alice.client.request(method, path, content=content, headers={"content-type": kind})
            assert response.status_code in {400, 422}, (path, kind, response.text)
            assert "detail" in response.json()


async def test_what_does_not_fit_is_said_in_rag_apis_shape(alice: Calls):
    response = await alice.client.post("/librechat/query", json={"query": "x", "k": "many"})
    assert response.status_code == 422
    body = response.json()
    assert body["message"] == "Request validation failed"
    assert {tuple(each["loc"]) for each in body["detail"]} == {("body", "file_id"), ("body", "k")}


async def test_queries_count_against_the_plan_and_none_ends_a_chat(made: Installation):
    await made.platform.billing.plans.save("test", Plan(id="tiny", name="Tiny", requests_per_hour=1))
    await made.platform.identity.tenants.change("test", "acme", TenantChange(plan="tiny"))
    await made.platform.tenancy.tenant_settings.change("test", "acme", TenantSettings(), {"librechat": SECRET})
    async with calls_of(made, base="/librechat/tenants/acme") as calls:
        await calls.embed("f-1", "The wombat digs.")
        first, second = [await calls.query("f-1", "What does the wombat do?") for _ in range(2)]
        assert len(first.json()) == 1
        assert (second.status_code, second.json()) == (200, [])
        several = {"query": "wombat", "file_ids": ["f-1"]}
        refused = await calls.client.post("/librechat/tenants/acme/query_multiple", json=several)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
    assert b'ragstone_degraded_total{policy="librechat_query"} 1.0' in made.platform.operations.metrics.render()
