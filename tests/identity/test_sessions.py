"""Sessions: created, listed, ended, and refused after too many failed logins."""

from __future__ import annotations

import pytest

from ragstone.errors import NotFound, RateLimited, Unauthenticated
from ragstone.identity.sessions import SESSION_PREFIX, is_token
from ragstone.principals import Role
from ragstone.vocabulary import DEFAULT_TENANT
from tests.identity.conftest import PASSWORD, Stores, on_both

HOME = "192.0.2.1"


async def fail(stores: Stores, *, email: str = "ann@acme.example", address: str = HOME) -> None:
    with pytest.raises(Unauthenticated):
        await stores.sessions.login(email, "a wrong password", address=address)


@on_both
async def test_a_login_opens_a_session_of_its_user(stores: Stores):
    user = await stores.user()
    session, token = await stores.sessions.login("Ann@acme.example", PASSWORD, address=HOME)
    assert (session.tenant, session.user_id) == ("acme", user.id)
    assert is_token(token)
    assert len(token) == len(SESSION_PREFIX) + 43
    assert session.id not in token
    assert (await stores.admission.admit(token)).credential == session.id
    assert await stores.sessions.all("acme") == [session]


async def test_each_login_is_another_session(stores: Stores):
    await stores.user()
    first, second = await stores.login(), await stores.login()
    assert first != second
    assert await stores.admission.admit(first) != await stores.admission.admit(second)


@on_both
async def test_an_ended_session_is_refused_immediately_and_others_are_not(stores: Stores, other_process: Stores):
    await stores.user()
    ended, token = await stores.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    other = await stores.login()
    await other_process.admission.check_revision()
    for process in (stores, other_process):
        await process.admission.admit(token)
    await stores.sessions.end("user:1", "acme", ended.id)
    await other_process.admission.check_revision()
    for process in (stores, other_process):
        with pytest.raises(Unauthenticated):
            await process.admission.admit(token)
    assert await stores.admission.admit(other)
    with pytest.raises(NotFound):
        await stores.sessions.end("user:1", "acme", ended.id)


@on_both
async def test_a_session_of_another_tenant_is_not_found(stores: Stores):
    await stores.user()
    session, token = await stores.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    with pytest.raises(NotFound):
        await stores.sessions.end("local", "other", session.id)
    assert await stores.sessions.all("other") == []
    assert await stores.admission.admit(token)


async def test_only_active_sessions_are_listed_newest_first(stores: Stores):
    ann = await stores.user()
    bob = await stores.user(email="bob@acme.example", role=Role.VIEWER)
    idle, _ = await stores.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    stores.clock.now += 1800
    older, _ = await stores.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    stores.clock.now += 1
    newer, _ = await stores.sessions.login("bob@acme.example", PASSWORD, address=HOME)
    assert [each.id for each in await stores.sessions.all("acme")] == [newer.id, older.id]
    assert [each.id for each in await stores.sessions.all("acme", ann.id)] == [older.id]
    await stores.sessions.end("local", "acme", newer.id)
    assert await stores.sessions.all("acme", bob.id) == []
    assert idle.id not in {each.id for each in await stores.sessions.all("acme")}


async def test_after_five_failures_a_minute_even_the_right_password_is_refused(stores: Stores):
    await stores.user()
    for _ in range(5):
        await fail(stores)
    with pytest.raises(RateLimited) as caught:
        await stores.login()
    assert 0 < caught.value.retry_after_s <= 60
    stores.clock.now += 60
    assert await stores.login()


async def test_failures_count_by_account_and_address(stores: Stores):
    await stores.user()
    await stores.user(email="bob@acme.example")
    for _ in range(5):
        await fail(stores, address="198.51.100.7")
    assert await stores.login()  # from home
    assert await stores.sessions.login("bob@acme.example", PASSWORD, address="198.51.100.7")


async def test_after_a_hundred_failures_an_hour_every_address_is_refused(stores: Stores):
    await stores.user()
    for number in range(100):
        await fail(
            stores, address=f"198.51.100.{number}", email="ANN@acme.example" if number % 2 else "ann@acme.example"
        )
    with pytest.raises(RateLimited):
        await stores.login()
    stores.clock.now += 3600
    assert await stores.login()


async def test_logins_that_succeed_do_not_count(stores: Stores):
    await stores.user()
    for _ in range(4):
        await fail(stores)
    for _ in range(20):
        await stores.login()
    await fail(stores)
    with pytest.raises(RateLimited):
        await stores.login()


async def test_logins_are_recorded_with_the_tenant_s_and_unknown_ones_with_the_installation_s(stores: Stores):
    user = await stores.user()
    session, token = await stores.sessions.login(user.email, PASSWORD, address=HOME)
    await fail(stores)
    await fail(stores, email="a password typed in the wrong field")
    await stores.sessions.end(f"user:{user.id}", "acme", session.id)
    ended, refused, opened, *_ = await stores.audit.entries("acme")
    assert (ended.action, ended.target) == ("session.ended", session.id)
    assert (refused.action, refused.target, refused.details) == ("session.refused", user.id, {"address": HOME})
    assert (opened.action, opened.actor, opened.target) == ("session.opened", f"user:{user.id}", session.id)
    [unknown] = await stores.audit.entries(DEFAULT_TENANT)
    assert (unknown.action, unknown.target) == ("session.refused", "")
    assert "password" not in str(unknown)
    assert token not in str([ended, refused, opened])


async def test_the_next_login_deletes_expired_sessions(stores: Stores):
    await stores.user()
    over, _ = await stores.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    stores.clock.now += 43_201
    await stores.login()
    with pytest.raises(NotFound):
        await stores.sessions.end("local", "acme", over.id)
