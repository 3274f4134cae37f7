"""Logins: opened, listed, ended, and too many failures are not heard."""

from __future__ import annotations

import pytest

from ragstone.errors import NotFound, RateLimited, Unauthenticated
from ragstone.identity.sessions import SESSION_PREFIX, is_token
from ragstone.principals import Role
from ragstone.vocabulary import DEFAULT_TENANT
from tests.identity.conftest import PASSWORD, Office, on_both

HOME = "192.0.2.1"


async def fail(office: Office, *, email: str = "ann@acme.example", address: str = HOME) -> None:
    with pytest.raises(Unauthenticated):
        await office.sessions.login(email, "a wrong password", address=address)


@on_both
async def test_a_login_opens_a_session_of_its_user(office: Office):
    user = await office.user()
    session, token = await office.sessions.login("Ann@acme.example", PASSWORD, address=HOME)
    assert (session.tenant, session.user_id) == ("acme", user.id)
    assert is_token(token)
    assert len(token) == len(SESSION_PREFIX) + 43
    assert session.id not in token
    assert (await office.admission.admit(token)).credential == session.id
    assert await office.sessions.all("acme") == [session]


async def test_each_login_is_another_session(office: Office):
    await office.user()
    first, second = await office.login(), await office.login()
    assert first != second
    assert await office.admission.admit(first) != await office.admission.admit(second)


@on_both
async def test_a_session_that_was_ended_is_refused_at_once_and_others_are_not(office: Office, elsewhere: Office):
    await office.user()
    ended, token = await office.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    other = await office.login()
    await elsewhere.admission.look()
    for process in (office, elsewhere):
        await process.admission.admit(token)
    await office.sessions.end("user:1", "acme", ended.id)
    await elsewhere.admission.look()
    for process in (office, elsewhere):
        with pytest.raises(Unauthenticated):
            await process.admission.admit(token)
    assert await office.admission.admit(other)
    with pytest.raises(NotFound):
        await office.sessions.end("user:1", "acme", ended.id)


@on_both
async def test_another_tenant_s_session_is_not_there(office: Office):
    await office.user()
    session, token = await office.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    with pytest.raises(NotFound):
        await office.sessions.end("local", "other", session.id)
    assert await office.sessions.all("other") == []
    assert await office.admission.admit(token)


async def test_only_sessions_that_run_are_listed_newest_first(office: Office):
    ann = await office.user()
    bob = await office.user(email="bob@acme.example", role=Role.VIEWER)
    idle, _ = await office.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    office.clock.now += 1800
    older, _ = await office.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    office.clock.now += 1
    newer, _ = await office.sessions.login("bob@acme.example", PASSWORD, address=HOME)
    assert [each.id for each in await office.sessions.all("acme")] == [newer.id, older.id]
    assert [each.id for each in await office.sessions.all("acme", ann.id)] == [older.id]
    await office.sessions.end("local", "acme", newer.id)
    assert await office.sessions.all("acme", bob.id) == []
    assert idle.id not in {each.id for each in await office.sessions.all("acme")}


async def test_five_failures_a_minute_are_heard_and_then_not_even_the_right_password(office: Office):
    await office.user()
    for _ in range(5):
        await fail(office)
    with pytest.raises(RateLimited) as caught:
        await office.login()
    assert 0 < caught.value.retry_after_s <= 60
    office.clock.now += 60
    assert await office.login()


async def test_failures_count_by_account_and_address(office: Office):
    await office.user()
    await office.user(email="bob@acme.example")
    for _ in range(5):
        await fail(office, address="198.51.100.7")
    assert await office.login()  # from home
    assert await office.sessions.login("bob@acme.example", PASSWORD, address="198.51.100.7")


async def test_a_hundred_failures_an_hour_are_heard_from_wherever_they_come(office: Office):
    await office.user()
    for number in range(100):
        await fail(
            office, address=f"198.51.100.{number}", email="ANN@acme.example" if number % 2 else "ann@acme.example"
        )
    with pytest.raises(RateLimited):
        await office.login()
    office.clock.now += 3600
    assert await office.login()


async def test_logins_that_succeed_do_not_count(office: Office):
    await office.user()
    for _ in range(4):
        await fail(office)
    for _ in range(20):
        await office.login()
    await fail(office)
    with pytest.raises(RateLimited):
        await office.login()


async def test_logins_are_recorded_with_the_tenant_s_and_unknown_ones_with_the_installation_s(office: Office):
    user = await office.user()
    session, token = await office.sessions.login(user.email, PASSWORD, address=HOME)
    await fail(office)
    await fail(office, email="a password typed in the wrong field")
    await office.sessions.end(f"user:{user.id}", "acme", session.id)
    ended, refused, opened, *_ = await office.audit.entries("acme")
    assert (ended.action, ended.target) == ("session.ended", session.id)
    assert (refused.action, refused.target, refused.details) == ("session.refused", user.id, {"address": HOME})
    assert (opened.action, opened.actor, opened.target) == ("session.opened", f"user:{user.id}", session.id)
    [unknown] = await office.audit.entries(DEFAULT_TENANT)
    assert (unknown.action, unknown.target) == ("session.refused", "")
    assert "password" not in str(unknown)
    assert token not in str([ended, refused, opened])


async def test_sessions_that_are_over_leave_with_the_next_login(office: Office):
    await office.user()
    over, _ = await office.sessions.login("ann@acme.example", PASSWORD, address=HOME)
    office.clock.now += 43_201
    await office.login()
    with pytest.raises(NotFound):
        await office.sessions.end("local", "acme", over.id)
