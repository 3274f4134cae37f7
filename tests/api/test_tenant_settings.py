"""The interceptor over HTTP: an owner sets it up, its keys go in and never out, and each tenant's is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog

from ragstone.identity.api_keys import NewKey
from ragstone.principals import PERMISSIONS, Role
from ragstone.tenants.settings import KEYS, TenantSettings, from_flat, without_keys
from tests.api.people import Installation, installation
from tests.api.sites import tenants

PATH = "/api/interceptor"
KEY = "sk-canary-93bd1c"
ALLOWED = {"outbound": {"allowed_hosts": ["127.0.0.1:8000"]}}
OPERATORS = {"interceptor": {"upstream_url": "http://10.0.0.7:8000/v1", "upstream_key": "op-key", "limit": 5}}
BODY: dict[str, Any] = {
    "settings": {
        "upstream_url": "http://127.0.0.1:8000/v1/",
        "models": {"house": "gpt"},
        "plain_models": ["titles"],
        "knowledge": "both",
        "pipeline": {"organization": "org", "pipeline": "aip", "filters": [{"department": ["eng"]}]},
        "rollout_percent": 10,
    },
    "keys": {"upstream": KEY},
}


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Installation]:
    async with tenants(tmp_path, **ALLOWED, **OPERATORS) as opened:
        yield opened


async def owner(made: Installation, tenant: str = "acme", *collections: str) -> httpx2.AsyncClient:
    new = NewKey(permissions=PERMISSIONS[Role.OWNER], collections=collections or None)
    return made.calling((await made.key(tenant, new))[1])


def keys_of(settings: TenantSettings) -> dict[str, str]:
    """The secrets that are set, by wire name."""
    found = {name: getattr(getattr(settings, each.part), each.field) for name, each in KEYS.items()}
    return {name: secret.get_secret_value() for name, secret in found.items() if secret}


async def test_an_interceptor_is_set_up_shown_and_reset(made: Installation):
    async with await owner(made) as client:
        before = (await client.get(PATH)).json()
        assert (before["own"], before["settings"]["limit"], before["updated_at"]) == (False, 5, None)
        put = await client.put(PATH, json=BODY)
        assert put.status_code == 200, put.text
        shown = put.json()
        assert shown["own"]
        assert shown["settings"]["upstream_url"] == "http://127.0.0.1:8000/v1"
        assert shown["settings"]["models"] == {"house": "gpt"}
        assert shown["settings"]["pipeline"]["filters"] == [{"department": ["eng"]}]
        assert shown["settings"]["limit"] == 8
        assert shown["keys"] == {
            "upstream": shown["updated_at"],
            "anthropic": None,
            "pipeline": None,
            "librechat": None,
        }
        assert (await client.get(PATH)).json() == shown
        assert (await client.put(PATH, json={"settings": shown["settings"]})).json()["keys"] == shown["keys"]
        assert (await client.delete(PATH)).json() == before
    assert keys_of(await made.platform.tenancy.tenant_settings.get("acme")) == {"upstream": "op-key"}


async def test_what_was_set_is_what_chats_are_treated_by(made: Installation):
    async with await owner(made) as client:
        await client.put(PATH, json=BODY)
    found = await made.platform.tenancy.tenant_settings.get("acme")
    assert keys_of(found) == {"upstream": KEY}
    assert without_keys(found) == from_flat({**BODY["settings"], "upstream_url": "http://127.0.0.1:8000/v1"})


async def test_null_removes_a_key_and_what_is_left_out_stays(made: Installation):
    async with await owner(made) as client:
        await client.put(PATH, json={"settings": {}, "keys": {"librechat": "j" * 32, "anthropic": "a"}})
        await client.put(PATH, json={"settings": {}, "keys": {"anthropic": None}})
    found = await made.platform.tenancy.tenant_settings.get("acme")
    assert keys_of(found) == {"upstream": "op-key", "librechat": "j" * 32}


async def test_no_key_is_shown_or_logged_or_recorded(made: Installation):
    bodies: list[dict[str, Any]] = [
        BODY,
        {"settings": {}, "keys": {"upstream": f"{KEY} with blanks"}},
        {"settings": {}, "keys": {"upstream": [KEY]}},
        {"settings": {}, "keys": {"upstream": KEY, "unknown": KEY}},
        {"settings": {"upstream_url": "https://elsewhere.example/v1"}, "keys": {"librechat": KEY}},
        {"settings": {}, "keys": {"upstream": KEY * 1000}},
    ]
    said = ""
    with structlog.testing.capture_logs() as logs:
        async with await owner(made) as client:
            for body in bodies:
                said += (await client.put(PATH, json=body)).text
            for path in (PATH, "/api/accounts/audit"):
                said += (await client.get(path)).text
    assert KEY not in said
    assert KEY not in str(logs)
    assert "interceptor.changed" in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9000/v1", "port"),
        ("https://127.0.0.1/v1", "public internet"),
        ("https://169.254.169.254/latest", "public internet"),
        ("https://localhost/v1", "public internet"),
        ("http://93.184.215.14/v1", "readable"),
        ("https://user:pw@93.184.215.14/v1", "user name"),
        ("file:///etc/passwd", "https"),
    ],
)
async def test_a_url_that_leads_inside_is_refused(made: Installation, url: str, said: str):
    async with await owner(made) as client:
        for settings in (
            {"upstream_url": url},
            {"anthropic_url": url},
            {"pipeline": {"url": url}, "knowledge": "pipeline"},
        ):
            refused = await client.put(PATH, json={"settings": settings})
            assert refused.status_code == 400, refused.text
            assert said in refused.json()["detail"]
        assert not (await client.get(PATH)).json()["own"]


async def test_a_public_address_is_taken(made: Installation):
    async with await owner(made) as client:
        taken = await client.put(PATH, json={"settings": {"upstream_url": "https://93.184.215.14/v1"}})
        assert taken.status_code == 200, taken.text


async def test_the_key_of_one_server_is_not_sent_to_another(made: Installation):
    async with await owner(made) as client:
        await client.put(PATH, json=BODY)
        moved = {"settings": {**BODY["settings"], "upstream_url": "https://93.184.215.14/v1"}}
        refused = await client.put(PATH, json=moved)
        assert refused.status_code == 400
        assert "Send the key anew" in refused.json()["detail"]
        assert (await client.put(PATH, json={**moved, "keys": {"upstream": "another"}})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"settings": {"limit": 51}},
        {"settings": {"budget_s": 6}},
        {"settings": {"rollout_percent": "all"}},
        {"settings": {"collection": "../x"}},
        {"settings": {"knowledge": "oracle"}},
        {"settings": {"telepathy": True}},
        {"settings": {"pipeline": {"organization": "../../v2"}}},
        {"settings": {}, "keys": {"upstream": 7}},
        {"settings": {}, "keys": {"secret": "x"}},
        {"settings": {}, "own": True},
        {"settings": {"upstream_url": "x" * 3000}},
        {"settings": {"models": {"a": "\x00"}}},
    ],
    ids=str,
)
async def test_what_does_not_fit_is_refused(made: Installation, body: dict[str, Any]):
    async with await owner(made) as client:
        assert (await client.put(PATH, json=body)).status_code == 422


async def test_filters_without_end_are_refused(made: Installation):
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    body = b'{"settings":{"pipeline":{"organization":"o","pipeline":"p","filters":[' + deep + b"]}}}"
    async with await owner(made) as client:
        refused = await client.put(PATH, content=body, headers={"content-type": "application/json"})
        assert refused.status_code == 422
        assert "filters" in refused.json()["detail"]


async def test_an_owner_does_not_see_where_the_operator_s_servers_are(made: Installation):
    async with await owner(made) as client:
        assert "10.0.0.7" not in (await client.get(PATH)).text


async def test_a_key_for_some_collections_has_no_say(made: Installation):
    async with await owner(made, "acme", "books") as client:
        for method in ("GET", "PUT", "DELETE"):
            refused = await client.request(method, PATH, json={"settings": {"collection": "secrets"}})
            assert refused.status_code == 403, refused.text
    assert await made.platform.tenancy.tenant_settings.stored("acme") is None


async def test_each_tenant_has_its_own(made: Installation):
    async with await owner(made) as client, await owner(made, "rival") as stranger:
        await client.put(PATH, json=BODY)
        assert not (await stranger.get(PATH)).json()["own"]
        for method in ("GET", "PUT", "DELETE"):
            refused = await stranger.request(method, PATH, params={"tenant": "acme"}, json={"settings": {}})
            assert refused.status_code == 404
        assert (await client.get(PATH)).json()["own"]


async def test_an_operator_acts_for_a_tenant_and_sees_where_it_leads(tmp_path: Path):
    async with installation(tmp_path, **OPERATORS) as made, made.calling(await made.token("root@example.org")) as root:
        shown = (await root.get(PATH, params={"tenant": "acme"})).json()
        assert shown["settings"]["upstream_url"] == "http://10.0.0.7:8000/v1"
        put = await root.put(PATH, params={"tenant": "acme"}, json={"settings": {"enabled": False}})
        assert put.status_code == 200, put.text
        assert not (await made.platform.tenancy.tenant_settings.get("acme")).interceptor.enabled
        assert (await made.platform.tenancy.tenant_settings.get("default")).interceptor.enabled
        assert (await root.get(PATH, params={"tenant": "nobody"})).status_code == 404


async def test_an_operator_s_settings_are_shown_to_a_tenant_that_has_none(tmp_path: Path):
    wide = {"interceptor": {"context_tokens": 100_000, "collection": "books"}}
    async with tenants(tmp_path, **wide) as made, await owner(made) as client:
        shown = (await client.get(PATH)).json()["settings"]
        assert (shown["context_tokens"], shown["collection"]) == (100_000, "books")
