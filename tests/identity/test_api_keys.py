"""API keys: of full strength, shown once, stored as hashes, rotated with an overlap."""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ragstone.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from ragstone.identity.api_keys import MAX_OVERLAP_S, PUBLISHABLE_PREFIX, SECRET_PREFIX, NewKey, well_formed
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.principals import (
    LOCAL,
    PERMISSIONS,
    SECRET_KEY_PERMISSIONS,
    CredentialType,
    Permission,
    Principal,
    Role,
    grantable,
)
from tests.identity.conftest import Stores, on_both

BASE_62 = set(string.ascii_letters + string.digits)


async def works(stores: Stores, shown: str) -> bool:
    try:
        await stores.admission.admit(shown)
    except Unauthenticated:
        return False
    return True


async def test_a_key_says_its_kind_and_is_strong_enough(stores: Stores):
    for new, prefix in ((NewKey(), SECRET_PREFIX), (NewKey(kind="publishable"), PUBLISHABLE_PREFIX)):
        key, shown = await stores.keys.create(LOCAL, "acme", new)
        assert shown.startswith(prefix)
        assert set(shown.removeprefix(prefix)) <= BASE_62
        assert len(shown) == len(prefix) + 32 + 6
        unknown_chars = 32 - len(key.start.removeprefix(prefix))
        assert unknown_chars * math.log2(62) >= 160
        assert shown.startswith(key.start)
        assert well_formed(shown)


async def test_two_keys_made_at_the_same_time_share_nothing(stores: Stores):
    shown = [(await stores.key())[1] for _ in range(30)]
    tails = {each[6:] for each in shown}
    assert len(tails) == len({tail[:8] for tail in tails}) == len({tail[-8:] for tail in tails}) == 30


async def test_any_single_typing_error_is_detected(stores: Stores):
    _, shown = await stores.key()
    random = secrets.SystemRandom()
    for place, letter in enumerate(shown):
        other = random.choice(sorted(BASE_62 - {letter}))
        assert not well_formed(shown[:place] + other + shown[place + 1 :])
    for wrong in (shown[:-1], shown + "A", f" {shown}", f"{shown}\n", shown.swapcase(), shown[::-1]):
        assert not well_formed(wrong)


async def test_the_database_holds_no_key(stores: Stores, tmp_path: Path):
    _, shown = await stores.key(name="ci")
    await stores.user()
    token = await stores.login()
    with sqlite3.connect(tmp_path / "ragstone.db") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert '"chat"' in dump
    for secret in (shown, shown[6:38], token, token.removeprefix("rs_se_"), "correct horse"):
        assert secret not in dump


@on_both
async def test_what_a_key_was_made_with_is_read_back(stores: Stores):
    ends = datetime.fromtimestamp(stores.clock.now, UTC) + timedelta(days=30)
    new = NewKey(name=" ci ", permissions=frozenset({Permission.READ}), collections=["docs", "faq"], expires_at=ends)
    made, _ = await stores.keys.create(replace(LOCAL, id="user:1"), "acme", new)
    assert await stores.keys.get("acme", made.id) == made
    assert (made.name, made.created_by, made.expires_at) == ("ci", "user:1", ends)
    assert made.collections == frozenset({"docs", "faq"})
    assert made.permissions == {Permission.READ}


async def test_a_secret_key_has_every_permission_but_manage_by_default(stores: Stores):
    usual, _ = await stores.keys.create(LOCAL, "acme", NewKey())
    assert usual.permissions == SECRET_KEY_PERMISSIONS - {Permission.MANAGE}
    managing, _ = await stores.keys.create(LOCAL, "acme", NewKey(permissions=SECRET_KEY_PERMISSIONS))
    assert Permission.MANAGE in managing.permissions


def permissions(*names: Permission) -> frozenset[Permission]:
    return frozenset(names)


@pytest.mark.parametrize(
    "new",
    [
        NewKey(permissions=frozenset()),
        NewKey(permissions=permissions(Permission.OPERATE)),
        NewKey(permissions=permissions(Permission.WIDGET)),
        NewKey(permissions=permissions(Permission.CHAT, Permission.OPERATE)),
        NewKey(kind="publishable", permissions=permissions(Permission.CHAT)),
        NewKey(kind="publishable", permissions=frozenset()),
        NewKey(kind="publishable", domains=["*"]),
        NewKey(kind="publishable", domains=[f"a{number}.example" for number in range(101)]),
        NewKey(domains=["shop.example"]),
        NewKey(collections=[]),
        NewKey(collections=["Not A Name"]),
        NewKey(collections=["../etc"]),
        NewKey(collections=[f"c{number}" for number in range(101)]),
        NewKey(name="x" * 201),
        NewKey(name="a\x1b[31mb"),
        NewKey(name="a\u202eb"),
        NewKey(name="a\ud800"),
        NewKey(expires_at=datetime(2100, 1, 1)),  # noqa: DTZ001 — a time without a zone is the point
        NewKey(expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
async def test_an_invalid_key_is_refused(stores: Stores, new: NewKey):
    with pytest.raises(InvalidInput):
        await stores.keys.create(LOCAL, "acme", new)
    assert await stores.keys.all("acme") == []


@on_both
async def test_a_key_needs_an_existing_tenant(stores: Stores):
    with pytest.raises(NotFound):
        await stores.keys.create(LOCAL, "nobody", NewKey())


def test_a_principal_grants_only_permissions_that_it_has():
    owner = Principal("user:1", CredentialType.SESSION, permissions=PERMISSIONS[Role.OWNER])
    editor = Principal("user:2", CredentialType.SESSION, permissions=PERMISSIONS[Role.EDITOR])
    assert grantable(owner, SECRET_KEY_PERMISSIONS)
    assert not grantable(owner, PERMISSIONS[Role.OPERATOR])
    assert not grantable(editor, permissions(Permission.MANAGE))
    assert grantable(LOCAL, PERMISSIONS[Role.OPERATOR])


@on_both
async def test_a_key_of_another_tenant_is_not_found(stores: Stores):
    key_id, shown = await stores.key()
    for call in (
        stores.keys.get("other", key_id),
        stores.keys.change(LOCAL, "other", key_id, name="mine"),
        stores.keys.rotate(LOCAL, "other", key_id),
        stores.keys.revoke(LOCAL, "other", key_id),
        stores.keys.all("other", after=key_id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await stores.keys.all("other") == []
    assert await works(stores, shown)


@on_both
async def test_keys_are_listed_newest_first_in_pages(stores: Stores):
    made = []
    for number in range(5):
        stores.clock.now += number % 2  # some in the same second
        made.append((await stores.key(name=str(number)))[0])
    everything = [key.id for key in await stores.keys.all("acme")]
    assert sorted(everything) == sorted(made)
    page = await stores.keys.all("acme", limit=2)
    rest = await stores.keys.all("acme", limit=10, after=page[-1].id)
    assert [key.id for key in (*page, *rest)] == everything
    assert everything[-1] in made[:1]


async def test_a_key_can_be_renamed_and_its_domains_replaced(stores: Stores):
    key_id, shown = await stores.key(kind="publishable", domains=["old.example"])
    await stores.admission.admit(shown)
    changed = await stores.keys.change(
        LOCAL, "acme", key_id, name="Shop", domains=["B.example", "a.example", "a.example"]
    )
    assert (changed.name, changed.domains) == ("Shop", ("a.example", "b.example"))
    assert (await stores.admission.admit(shown)).domains == ("a.example", "b.example")
    assert await stores.keys.change(LOCAL, "acme", key_id) == changed
    secret_id, _ = await stores.key()
    with pytest.raises(InvalidInput):
        await stores.keys.change(LOCAL, "acme", secret_id, domains=["a.example"])


@on_both
async def test_of_a_rotated_key_both_work_for_the_overlap_and_then_only_the_new(stores: Stores):
    key_id, old = await stores.key(kind="publishable", name="shop", domains=["shop.example"])
    made, new = await stores.keys.rotate(replace(LOCAL, id="user:1"), "acme", key_id, overlap_s=60)
    assert (made.name, made.domains, made.created_by) == ("shop", ("shop.example",), "user:1")
    assert made.id != key_id
    assert (await stores.keys.get("acme", key_id)).replaced_by == made.id
    assert [await works(stores, each) for each in (old, new)] == [True, True]
    stores.clock.now += 60
    assert [await works(stores, each) for each in (old, new)] == [False, True]


async def test_an_overlap_does_not_make_a_key_live_longer(stores: Stores):
    ends = datetime.fromtimestamp(stores.clock.now + 60, UTC)
    key_id, old = await stores.key(expires_at=ends)
    made, new = await stores.keys.rotate(LOCAL, "acme", key_id)
    assert made.expires_at == ends
    stores.clock.now += 60
    assert [await works(stores, each) for each in (old, new)] == [False, False]


async def test_an_overlap_can_be_zero(stores: Stores):
    key_id, old = await stores.key()
    await stores.keys.rotate(LOCAL, "acme", key_id, overlap_s=0)
    assert not await works(stores, old)


@pytest.mark.parametrize("overlap_s", [-1, MAX_OVERLAP_S + 1, math.inf, math.nan])
async def test_an_overlap_outside_the_bounds_is_refused(stores: Stores, overlap_s: float):
    key_id, _ = await stores.key()
    with pytest.raises(InvalidInput):
        await stores.keys.rotate(LOCAL, "acme", key_id, overlap_s=overlap_s)


async def test_a_key_that_has_ended_is_not_rotated(stores: Stores):
    revoked, _ = await stores.key()
    await stores.keys.revoke(LOCAL, "acme", revoked)
    rotated, _ = await stores.key()
    await stores.keys.rotate(LOCAL, "acme", rotated)
    expired, _ = await stores.key(expires_at=datetime.fromtimestamp(stores.clock.now + 1, UTC))
    stores.clock.now += 1
    for key_id in (revoked, rotated, expired):
        with pytest.raises(Conflict):
            await stores.keys.rotate(LOCAL, "acme", key_id)


async def test_revoking_twice_is_one_revocation(stores: Stores):
    key_id, shown = await stores.key()
    await stores.keys.revoke(LOCAL, "acme", key_id)
    first = (await stores.keys.get("acme", key_id)).revoked_at
    stores.clock.now += 5
    await stores.keys.revoke(LOCAL, "acme", key_id)
    assert (await stores.keys.get("acme", key_id)).revoked_at == first
    assert not await works(stores, shown)


@on_both
async def test_origins_are_those_of_valid_keys(stores: Stores):
    await stores.key(kind="publishable", domains=["a.example", "*.b.example"])
    await stores.key("other", kind="publishable", domains=["c.example"])
    revoked, _ = await stores.key(kind="publishable", domains=["revoked.example"])
    await stores.keys.revoke(LOCAL, "acme", revoked)
    ends = datetime.fromtimestamp(stores.clock.now + 1, UTC)
    await stores.key(kind="publishable", domains=["expired.example"], expires_at=ends)
    stores.clock.now += 1
    assert await stores.keys.origins() == {"a.example", "*.b.example", "c.example"}
    await stores.tenants.change("local", "other", TenantChange(state=TenantState.SUSPENDED))
    assert await stores.keys.origins() == {"a.example", "*.b.example"}


async def test_each_change_is_recorded_and_no_record_has_a_key(stores: Stores):
    key_id, shown = await stores.key(kind="publishable", domains=["a.example"])
    await stores.keys.change(replace(LOCAL, id="user:1"), "acme", key_id, name="Shop")
    _, second = await stores.keys.rotate(replace(LOCAL, id="user:1"), "acme", key_id)
    await stores.keys.revoke(replace(LOCAL, id="user:1"), "acme", key_id)
    entries = await stores.audit.entries("acme")
    actions = [each.action for each in reversed(entries)]
    assert actions == ["tenant.created", "key.created", "key.changed", "key.rotated", "key.revoked"]
    assert {each.target for each in entries[:-1]} == {key_id}
    recorded = json.dumps([dict(each.details) for each in entries])
    assert shown[6:] not in recorded
    assert second[6:] not in recorded
    assert await stores.audit.verify() == []


async def test_a_key_has_no_more_permissions_and_collections_than_the_principal_that_handles_it(stores: Stores):
    key_id, _ = await stores.key()
    viewer = replace(LOCAL, permissions=PERMISSIONS[Role.VIEWER])
    limited = replace(LOCAL, collections=frozenset({"docs"}))
    for actor in (viewer, limited):
        with pytest.raises(Forbidden):
            await stores.keys.create(actor, "acme", NewKey())
        with pytest.raises(Forbidden):
            await stores.keys.change(actor, "acme", key_id, name="mine")
        with pytest.raises(Forbidden):
            await stores.keys.rotate(actor, "acme", key_id)
    made, _ = await stores.keys.create(limited, "acme", NewKey(collections=["docs"]))
    site, _ = await stores.keys.create(viewer, "acme", NewKey(kind="publishable"))
    assert {key.id for key in await stores.keys.all("acme")} == {key_id, made.id, site.id}
