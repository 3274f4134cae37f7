"""Users: addresses, passwords, roles, and the last active owner, who cannot be removed."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from statistics import median

import pytest
from argon2 import PasswordHasher

from ragstone.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.identity.users import CONCURRENT_HASHES, NewUser, Passwords, UserChange, Users, UserState, checked_email
from ragstone.principals import LOCAL, PERMISSIONS, Role
from ragstone.storage.database import scoped
from ragstone.storage.schema import users
from tests.identity.conftest import PASSWORD, QUICK, Stores, on_both


async def refusal(stores: Stores, email: str, password: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await stores.users.authenticate(email, password)
    return caught.value.message


@on_both
async def test_a_user_is_known_by_address_in_any_case_and_by_password(stores: Stores):
    user = await stores.users.create(
        LOCAL, "acme", NewUser(email=" Ann@Acme.Example ", password=PASSWORD, role=Role.OWNER, name="Ann")
    )
    assert user.email == "ann@acme.example"
    assert await stores.users.authenticate("ANN@acme.example", PASSWORD) == user
    assert await stores.users.get("acme", user.id) == user
    assert await stores.users.by_email("ann@acme.example") == user


async def test_every_refusal_has_the_same_message(stores: Stores):
    user = await stores.user()
    await stores.user(email="bob@acme.example")
    await stores.user("other", "eve@other.example")
    sentences = {
        await refusal(stores, "ann@acme.example", "a wrong password"),
        await refusal(stores, "nobody@acme.example", PASSWORD),
        await refusal(stores, "no address", PASSWORD),
        await refusal(stores, "", ""),
        await refusal(stores, "ann@acme.example", PASSWORD + "x" * 2000),
        await refusal(stores, "ann@acme.example\x00", PASSWORD),
        await refusal(stores, "\ud800@acme.example", "\ud800"),
        await refusal(stores, "' OR 1=1 --", PASSWORD),
    }
    await stores.users.change(LOCAL, "acme", user.id, UserChange(state=UserState.SUSPENDED))
    sentences.add(await refusal(stores, "ann@acme.example", PASSWORD))
    await stores.tenants.change("local", "other", TenantChange(state=TenantState.SUSPENDED))
    sentences.add(await refusal(stores, "eve@other.example", PASSWORD))
    assert len(sentences) == 1


async def test_an_unknown_address_costs_what_a_wrong_password_costs(stores: Stores):
    people = Users(stores.database, stores.audit, passwords=Passwords())
    await people.create(LOCAL, "acme", NewUser(email="ann@acme.example", password=PASSWORD, role=Role.OWNER))

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
async def test_an_invalid_address_is_refused(stores: Stores, email: str):
    with pytest.raises(InvalidInput):
        await stores.user(email=email)


@pytest.mark.parametrize("email", ["a@localhost", "first.last+tag@sub.acme.example", "o'neil@acme.example"])
def test_an_address_that_browsers_accept_is_valid(email: str):
    assert checked_email(email) == email


@pytest.mark.parametrize("length", [0, 11, 1025, 100_000])
async def test_a_password_outside_the_length_bounds_is_refused(stores: Stores, length: int):
    with pytest.raises(InvalidInput) as caught:
        await stores.users.create(
            LOCAL, "acme", NewUser(email="a@acme.example", password="ä" * length, role=Role.OWNER)
        )
    assert "ä" not in caught.value.message


async def test_a_password_is_the_same_however_it_is_typed(stores: Stores):
    composed, decomposed = "p\u00e4ssw\u00f6rter sind l\u00e4nger", "pa\u0308sswo\u0308rter sind la\u0308nger"
    await stores.users.create(LOCAL, "acme", NewUser(email="a@acme.example", password=composed, role=Role.OWNER))
    assert await stores.users.authenticate("a@acme.example", decomposed)


async def test_few_passwords_are_hashed_concurrently_and_none_on_the_event_loop(stores: Stores):
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

    people = Users(stores.database, stores.audit, passwords=Passwords(Watched(1, 1024, 1)))
    logins = [people.authenticate(f"{number}@acme.example", PASSWORD) for number in range(40)]
    results = await asyncio.gather(*logins, return_exceptions=True)
    assert all(isinstance(result, Unauthenticated) for result in results)
    assert Watched.most == CONCURRENT_HASHES
    assert threading.get_ident() not in Watched.threads


async def stored_hash(stores: Stores) -> str:
    async with stores.database.read("acme") as connection:
        return str((await connection.execute(scoped(users, "acme", users.c.password_hash))).scalar_one())


async def test_the_shipped_hash_is_argon2id_of_owasp_s_strength(stores: Stores):
    people = Users(stores.database, stores.audit)
    await people.create(LOCAL, "acme", NewUser(email="ann@acme.example", password=PASSWORD, role=Role.OWNER))
    assert (await stored_hash(stores)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_hash_of_older_parameters_is_renewed_by_a_login(stores: Stores):
    await stores.user()
    assert QUICK.check_needs_rehash(await stored_hash(stores)) is False
    stronger = Users(stores.database, stores.audit, passwords=Passwords(PasswordHasher(2, 16, 1)))
    await stronger.authenticate("ann@acme.example", PASSWORD)
    assert "m=16,t=2,p=1" in await stored_hash(stores)
    await stronger.authenticate("ann@acme.example", PASSWORD)


@on_both
async def test_an_address_is_unique_in_the_installation(stores: Stores):
    await stores.user()
    with pytest.raises(Conflict):
        await stores.user("other", "ANN@acme.example")
    with pytest.raises(NotFound):
        await stores.user("nobody", "new@acme.example")


@on_both
async def test_of_concurrent_registrations_of_an_address_one_succeeds(stores: Stores):
    results = await asyncio.gather(*(stores.user(tenant) for tenant in ("acme", "other") * 5), return_exceptions=True)
    assert len([result for result in results if not isinstance(result, Conflict)]) == 1


@on_both
async def test_a_user_of_another_tenant_is_not_found(stores: Stores):
    user = await stores.user()
    for call in (
        stores.users.get("other", user.id),
        stores.users.change(LOCAL, "other", user.id, UserChange(name="mine")),
        stores.users.remove(LOCAL, "other", user.id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await stores.users.all("other") == []


async def test_users_are_listed_by_address_in_pages(stores: Stores):
    for letter in "cadb":
        await stores.user(email=f"{letter}@acme.example")
    page = await stores.users.all("acme", limit=3)
    rest = await stores.users.all("acme", after=page[-1].email)
    assert [each.email[0] for each in (*page, *rest)] == list("abcd")


LAST = [
    UserChange(role=Role.EDITOR),
    UserChange(state=UserState.SUSPENDED),
    None,
]


@on_both
@pytest.mark.parametrize("change", LAST, ids=["demoted", "suspended", "removed"])
async def test_the_last_active_owner_stays(stores: Stores, change: UserChange | None):
    async def go(user_id: str) -> None:
        if change:
            await stores.users.change(LOCAL, "acme", user_id, change)
        else:
            await stores.users.remove(LOCAL, "acme", user_id)

    ann, bob = await stores.user(), await stores.user(email="bob@acme.example")
    await stores.user(email="eve@acme.example", role=Role.EDITOR)
    await stores.user("other", "owner@other.example")
    results = await asyncio.gather(go(ann.id), go(bob.id), return_exceptions=True)
    assert sorted(str(type(result).__name__) for result in results) == ["Conflict", "NoneType"]
    owners = [each for each in await stores.users.all("acme") if each.role is Role.OWNER]
    assert [each.state for each in owners if each.state is UserState.ACTIVE] == [UserState.ACTIVE]


async def test_the_last_owner_can_change_other_fields_and_an_operator_counts_as_owner(stores: Stores):
    ann = await stores.user()
    await stores.users.change(LOCAL, "acme", ann.id, UserChange(name="Ann", password="another password"))
    await stores.users.change(LOCAL, "acme", ann.id, UserChange(role=Role.OPERATOR))
    with pytest.raises(Conflict):
        await stores.users.remove(LOCAL, "acme", ann.id)
    await stores.user(email="bob@acme.example")
    await stores.users.remove(LOCAL, "acme", ann.id)


async def test_a_new_password_is_the_only_one(stores: Stores):
    user = await stores.user()
    await stores.users.change(LOCAL, "acme", user.id, UserChange(password="another password"))
    await refusal(stores, user.email, PASSWORD)
    assert await stores.users.authenticate(user.email, "another password")


async def test_each_change_is_recorded_and_no_record_has_a_password(stores: Stores):
    user = await stores.user()
    bob = await stores.user(email="bob@acme.example", role=Role.VIEWER)
    await stores.users.change(
        replace(LOCAL, id="user:1"), "acme", bob.id, UserChange(role=Role.EDITOR, password="another password")
    )
    await stores.users.remove(replace(LOCAL, id="user:1"), "acme", bob.id)
    entries = await stores.audit.entries("acme")
    assert [each.action for each in entries][:4] == ["user.removed", "user.changed", "user.created", "user.created"]
    assert entries[1].details == {"role": "editor", "password": True}
    assert entries[0].actor == "user:1"
    assert entries[3].target == user.id


async def test_a_principal_gives_and_takes_only_roles_whose_permissions_it_has(stores: Stores):
    owner = await stores.user()
    editor = replace(LOCAL, id="user:2", permissions=PERMISSIONS[Role.EDITOR])
    limited = replace(LOCAL, id="key:1", collections=frozenset({"docs"}))
    for actor, role in ((editor, Role.OWNER), (limited, Role.VIEWER)):
        with pytest.raises(Forbidden):
            await stores.users.create(actor, "acme", NewUser(email="bob@acme.example", password=PASSWORD, role=role))
        with pytest.raises(Forbidden):
            await stores.users.change(actor, "acme", owner.id, UserChange(name="mine"))
        with pytest.raises(Forbidden):
            await stores.users.remove(actor, "acme", owner.id)
    assert [user.name for user in await stores.users.all("acme")] == [""]


async def test_a_user_cannot_change_the_own_role_or_state(stores: Stores):
    ann, bob = await stores.user(), await stores.user(email="bob@acme.example")
    actor = replace(LOCAL, id=f"user:{ann.id}", permissions=PERMISSIONS[Role.OWNER])
    for change in (UserChange(role=Role.VIEWER), UserChange(state=UserState.SUSPENDED)):
        with pytest.raises(Forbidden):
            await stores.users.change(actor, "acme", ann.id, change)
    assert (await stores.users.change(actor, "acme", ann.id, UserChange(name="Ann"))).name == "Ann"
    assert (await stores.users.change(actor, "acme", bob.id, UserChange(role=Role.VIEWER))).role is Role.VIEWER
