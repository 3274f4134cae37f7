"""The people of a tenant: addresses, passwords, roles, and the last owner who stays."""

from __future__ import annotations

import asyncio
import threading
import time
from statistics import median

import pytest
from argon2 import PasswordHasher

from ragstone.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.identity.users import AT_ONCE, Passwords, UserChange, Users, UserState, checked_email
from ragstone.principals import Role
from ragstone.storage.database import scoped
from ragstone.storage.schema import users
from tests.identity.conftest import PASSWORD, QUICK, Office, on_both


async def refusal(office: Office, email: str, password: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await office.users.authenticate(email, password)
    return caught.value.message


@on_both
async def test_a_user_is_known_by_address_in_any_case_and_by_password(office: Office):
    user = await office.users.create(
        "local", "acme", email=" Ann@Acme.Example ", password=PASSWORD, role=Role.OWNER, name="Ann"
    )
    assert user.email == "ann@acme.example"
    assert await office.users.authenticate("ANN@acme.example", PASSWORD) == user
    assert await office.users.get("acme", user.id) == user
    assert await office.users.by_email("ann@acme.example") == user


async def test_every_refusal_is_the_same_sentence(office: Office):
    user = await office.user()
    await office.user(email="bob@acme.example")
    await office.user("other", "eve@other.example")
    sentences = {
        await refusal(office, "ann@acme.example", "a wrong password"),
        await refusal(office, "nobody@acme.example", PASSWORD),
        await refusal(office, "no address", PASSWORD),
        await refusal(office, "", ""),
        await refusal(office, "ann@acme.example", PASSWORD + "x" * 2000),
        await refusal(office, "ann@acme.example\x00", PASSWORD),
        await refusal(office, "\ud800@acme.example", "\ud800"),
        await refusal(office, "' OR 1=1 --", PASSWORD),
    }
    await office.users.change("local", "acme", user.id, UserChange(state=UserState.SUSPENDED))
    sentences.add(await refusal(office, "ann@acme.example", PASSWORD))
    await office.tenants.change("local", "other", TenantChange(state=TenantState.SUSPENDED))
    sentences.add(await refusal(office, "eve@other.example", PASSWORD))
    assert len(sentences) == 1


async def test_an_unknown_address_costs_what_a_wrong_password_costs(office: Office):
    people = Users(office.database, office.audit, passwords=Passwords())
    await people.create("local", "acme", email="ann@acme.example", password=PASSWORD, role=Role.OWNER)

    async def seconds(email: str) -> float:
        started = time.thread_time() + time.process_time()
        with pytest.raises(Unauthenticated):
            await people.authenticate(email, "a wrong password")
        return time.thread_time() + time.process_time() - started

    known, unknown = [], []
    for _ in range(7):  # in turns, so that what else this machine does falls on both
        known.append(await seconds("ann@acme.example"))
        unknown.append(await seconds("bob@acme.example"))
    assert median(unknown) == pytest.approx(median(known), rel=0.5)  # without the hash it would be a tenth


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "@acme.example",
        "ann@",
        "ann@acme..example",
        "ann@-acme.example",
        "a b@acme.example",
        "ann@acme.example.",
        "ann@@acme.example",
        "Ann <ann@acme.example>",
        "ann@acme.example\nbcc: x",
        "ann@\u212aiosk.example",
        "ünn@acme.example",
        "ann@" + "a" * 64 + ".example",
        "a" * 65 + "@acme.example",
        "a@" + "b." * 130 + "example",
        "a@" + "a" * 60 + "!",
    ],
)
async def test_what_is_no_address_is_refused(office: Office, email: str):
    with pytest.raises(InvalidInput):
        await office.user(email=email)


@pytest.mark.parametrize("email", ["a@localhost", "first.last+tag@sub.acme.example", "o'neil@acme.example"])
def test_what_browsers_take_for_an_address_is_one(email: str):
    assert checked_email(email) == email


@pytest.mark.parametrize("length", [0, 11, 1025, 100_000])
async def test_a_password_has_a_length(office: Office, length: int):
    with pytest.raises(InvalidInput) as caught:
        await office.users.create("local", "acme", email="a@acme.example", password="ä" * length, role=Role.OWNER)
    assert "ä" not in caught.value.message


async def test_a_password_is_the_same_however_it_is_typed(office: Office):
    composed, decomposed = "p\u00e4ssw\u00f6rter sind l\u00e4nger", "pa\u0308sswo\u0308rter sind la\u0308nger"
    await office.users.create("local", "acme", email="a@acme.example", password=composed, role=Role.OWNER)
    assert await office.users.authenticate("a@acme.example", decomposed)


async def test_passwords_are_hashed_a_few_at_once_and_not_on_the_loop(office: Office):
    class Watched(PasswordHasher):
        running, most, threads = 0, 0, set[int]()
        lock = threading.Lock()

        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            with self.lock:
                Watched.running += 1
                Watched.most = max(Watched.most, Watched.running)
            Watched.threads.add(threading.get_ident())
            try:
                return super().hash(password, salt=salt)
            finally:
                with self.lock:
                    Watched.running -= 1

    people = Users(office.database, office.audit, passwords=Passwords(Watched(1, 1024, 1)))
    logins = [people.authenticate(f"{number}@acme.example", PASSWORD) for number in range(40)]
    results = await asyncio.gather(*logins, return_exceptions=True)
    assert all(isinstance(result, Unauthenticated) for result in results)
    assert Watched.most == AT_ONCE
    assert threading.get_ident() not in Watched.threads


async def kept_hash(office: Office) -> str:
    async with office.database.read("acme") as connection:
        return str((await connection.execute(scoped(users, "acme", users.c.password_hash))).scalar_one())


async def test_the_shipped_hash_is_argon2id_of_owasp_s_strength(office: Office):
    people = Users(office.database, office.audit)
    await people.create("local", "acme", email="ann@acme.example", password=PASSWORD, role=Role.OWNER)
    assert (await kept_hash(office)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_hash_of_older_parameters_is_renewed_by_a_login(office: Office):
    await office.user()
    assert QUICK.check_needs_rehash(await kept_hash(office)) is False
    stronger = Users(office.database, office.audit, passwords=Passwords(PasswordHasher(2, 16, 1)))
    await stronger.authenticate("ann@acme.example", PASSWORD)
    assert "m=16,t=2,p=1" in await kept_hash(office)
    await stronger.authenticate("ann@acme.example", PASSWORD)


@on_both
async def test_an_address_is_one_person_s_in_the_whole_installation(office: Office):
    await office.user()
    with pytest.raises(Conflict):
        await office.user("other", "ANN@acme.example")
    with pytest.raises(NotFound):
        await office.user("nobody", "new@acme.example")


@on_both
async def test_of_many_who_take_an_address_at_once_one_gets_it(office: Office):
    results = await asyncio.gather(*(office.user(tenant) for tenant in ("acme", "other") * 5), return_exceptions=True)
    assert len([result for result in results if not isinstance(result, Conflict)]) == 1


@on_both
async def test_another_tenant_s_user_is_not_there(office: Office):
    user = await office.user()
    for call in (
        office.users.get("other", user.id),
        office.users.change("local", "other", user.id, UserChange(name="mine")),
        office.users.remove("local", "other", user.id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await office.users.all("other") == []


async def test_users_are_listed_by_address_in_pages(office: Office):
    for letter in "cadb":
        await office.user(email=f"{letter}@acme.example")
    page = await office.users.all("acme", limit=3)
    rest = await office.users.all("acme", after=page[-1].email)
    assert [each.email[0] for each in (*page, *rest)] == list("abcd")


LAST = [
    UserChange(role=Role.EDITOR),
    UserChange(state=UserState.SUSPENDED),
    None,
]


@on_both
@pytest.mark.parametrize("change", LAST, ids=["demoted", "suspended", "removed"])
async def test_the_last_active_owner_stays(office: Office, change: UserChange | None):
    async def go(user_id: str) -> None:
        if change:
            await office.users.change("local", "acme", user_id, change)
        else:
            await office.users.remove("local", "acme", user_id)

    ann, bob = await office.user(), await office.user(email="bob@acme.example")
    await office.user(email="eve@acme.example", role=Role.EDITOR)
    await office.user("other", "owner@other.example")
    results = await asyncio.gather(go(ann.id), go(bob.id), return_exceptions=True)
    assert sorted(str(type(result).__name__) for result in results) == ["Conflict", "NoneType"]
    owners = [each for each in await office.users.all("acme") if each.role is Role.OWNER]
    assert [each.state for each in owners if each.state is UserState.ACTIVE] == [UserState.ACTIVE]


async def test_the_last_owner_may_change_all_else_and_an_operator_counts(office: Office):
    ann = await office.user()
    await office.users.change("local", "acme", ann.id, UserChange(name="Ann", password="another password"))
    await office.users.change("local", "acme", ann.id, UserChange(role=Role.OPERATOR))
    with pytest.raises(Conflict):
        await office.users.remove("local", "acme", ann.id)
    await office.user(email="bob@acme.example")
    await office.users.remove("local", "acme", ann.id)


async def test_a_new_password_is_the_only_one(office: Office):
    user = await office.user()
    await office.users.change("local", "acme", user.id, UserChange(password="another password"))
    await refusal(office, user.email, PASSWORD)
    assert await office.users.authenticate(user.email, "another password")


async def test_each_change_is_recorded_and_no_record_has_a_password(office: Office):
    user = await office.user()
    bob = await office.user(email="bob@acme.example", role=Role.VIEWER)
    await office.users.change("user:1", "acme", bob.id, UserChange(role=Role.EDITOR, password="another password"))
    await office.users.remove("user:1", "acme", bob.id)
    entries = await office.audit.entries("acme")
    assert [each.action for each in entries][:4] == ["user.removed", "user.changed", "user.created", "user.created"]
    assert entries[1].details == {"role": "editor", "password": True}
    assert entries[0].actor == "user:1"
    assert entries[3].target == user.id
