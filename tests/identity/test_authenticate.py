"""Authentication of keys and sessions: its outcome, its cost, and how long it is cached."""

from __future__ import annotations

import asyncio
import secrets
import string
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from ragstone.errors import Unauthenticated, Unavailable
from ragstone.identity.api_keys import well_formed
from ragstone.identity.authenticate import CACHE_S, USED_EVERY_S, Admission
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.identity.users import UserChange, UserState
from ragstone.principals import LOCAL, PERMISSIONS, CredentialType, Permission, Principal, Role
from tests.identity.conftest import PASSWORD, Stores, on_both
from tests.waiting import until


async def refused(admission: Admission, presented: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await admission.admit(presented)
    return caught.value.message


@on_both
async def test_a_secret_key_authenticates_with_its_own_permissions(stores: Stores):
    key_id, shown = await stores.key(permissions=frozenset({Permission.CHAT}), collections=["docs"])
    assert await stores.admission.admit(shown) == Principal(
        id=f"key:{key_id}",
        kind=CredentialType.SECRET,
        tenant="acme",
        plan="free",
        permissions=frozenset({Permission.CHAT}),
        collections=frozenset({"docs"}),
        credential=key_id,
    )


async def test_a_publishable_key_has_its_domains_and_the_widget_permission_only(stores: Stores):
    _, shown = await stores.key(kind="publishable", domains=["Shop.Example"])
    principal = await stores.admission.admit(shown)
    assert principal.kind is CredentialType.PUBLISHABLE
    assert principal.permissions == {Permission.WIDGET}
    assert principal.domains == ("shop.example",)


@on_both
async def test_a_session_authenticates_its_user(stores: Stores):
    user = await stores.user(role=Role.EDITOR)
    principal = await stores.admission.admit(await stores.login())
    assert (principal.id, principal.kind, principal.tenant) == (f"user:{user.id}", CredentialType.SESSION, "acme")
    assert principal.permissions == PERMISSIONS[Role.EDITOR]


async def test_the_second_authentication_needs_no_statement(stores: Stores):
    await stores.user()
    for presented in ((await stores.key())[1], await stores.login()):
        principal = await stores.admission.admit(presented)
        before = stores.database.asked
        for _ in range(100):
            assert await stores.admission.admit(presented) is principal
            assert await stores.admission.is_still_valid(principal)
        assert stores.database.asked == before


async def test_a_cached_principal_expires(stores: Stores):
    _, shown = await stores.key()
    await stores.admission.admit(shown)
    stores.clock.now += CACHE_S
    before = stores.database.asked
    await stores.admission.admit(shown)
    assert stores.database.asked == before + 1


HOSTILE = [
    "",
    " ",
    "rs_sk_",
    "rs_sk_" + "0" * 38,
    "rs_se_" + "A" * 42,
    "rs_se_" + "A" * 43 + "\n",
    "' OR 1=1 --",
    "rs_sk_' OR '1'='1",
    "\x00",
    "\ud800",
    "🔑" * 50,
    "A" * 1_000_000,
    "rs_sk_" + "٣" * 38,
]


async def test_ten_thousand_hostile_keys_are_refused_without_a_statement_and_without_an_echo(stores: Stores):
    _, good = await stores.key()
    random = secrets.SystemRandom()
    broken = [good[:place] + random.choice(string.ascii_letters + "_ é") + good[place + 1 :] for place in range(44)]
    noise = ["".join(random.choices(string.printable, k=random.randrange(80))) for _ in range(9_900)]
    tried = [text for text in (*HOSTILE, *broken, *noise) if text != good]
    before = stores.database.asked
    messages = {await refused(stores.admission, text) for text in tried}
    assert stores.database.asked == before
    assert len(messages) == 1


def forged() -> str:
    """A key of the right form and checksum that does not exist."""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    body = "rs_sk_" + "".join(secrets.choice(digits) for _ in range(32))
    number, checksum = zlib.crc32(body.encode()), ""
    while len(checksum) < 6:
        number, digit = divmod(number, 62)
        checksum = digits[digit] + checksum
    return body + checksum


async def test_a_well_formed_unknown_key_is_refused_with_the_same_message(stores: Stores):
    assert well_formed(forged())
    session = f"rs_se_{secrets.token_urlsafe(32)}"
    before = stores.database.asked
    sentences = {await refused(stores.admission, each) for each in (forged(), session, "nonsense")}
    assert stores.database.asked == before + 2
    assert len(sentences) == 1


async def test_a_refusal_is_not_cached(stores: Stores):
    await stores.user()
    token = await stores.login()
    stores.clock.now += 1801
    await refused(stores.admission, token)
    stores.clock.now -= 1801
    assert await stores.admission.admit(token)


async def test_a_revoked_key_is_refused_immediately(stores: Stores):
    key_id, shown = await stores.key()
    principal = await stores.admission.admit(shown)
    await stores.keys.revoke(LOCAL, "acme", key_id)
    await refused(stores.admission, shown)
    assert not await stores.admission.is_still_valid(principal)


@on_both
async def test_a_key_revoked_by_another_process_is_refused_after_the_next_check(stores: Stores, other_process: Stores):
    key_id, shown = await stores.key()
    await stores.admission.check_revision()
    principal = await stores.admission.admit(shown)
    await other_process.keys.revoke(LOCAL, "acme", key_id)
    assert await stores.admission.admit(shown)  # not yet known here
    await stores.admission.check_revision()
    await refused(stores.admission, shown)
    assert not await stores.admission.is_still_valid(principal)


async def test_a_watching_process_detects_a_revocation(stores: Stores, other_process: Stores):
    key_id, shown = await stores.key()
    watching = asyncio.create_task(stores.admission.watch())
    principal = await stores.admission.admit(shown)
    started = asyncio.get_running_loop().time()
    await other_process.keys.revoke(LOCAL, "acme", key_id)
    while await stores.admission.is_still_valid(principal):
        assert asyncio.get_running_loop().time() < started + 5
        await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() < started + 1
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@on_both
@pytest.mark.parametrize("state", [TenantState.SUSPENDED, TenantState.DELETING])
async def test_credentials_of_an_inactive_tenant_are_refused(stores: Stores, state: TenantState):
    await stores.user()
    _, key = await stores.key()
    token = await stores.login()
    inside = [await stores.admission.admit(each) for each in (key, token)]
    await stores.tenants.change("local", "acme", TenantChange(state=state))
    for each in (key, token):
        await refused(stores.admission, each)
    assert [await stores.admission.is_still_valid(each) for each in inside] == [False, False]
    with pytest.raises(Unauthenticated):
        await stores.login()


@on_both
@pytest.mark.parametrize(
    "change",
    [UserChange(role=Role.VIEWER), UserChange(state=UserState.SUSPENDED), UserChange(password="another long password")],
    ids=["role", "state", "password"],
)
async def test_a_change_of_a_user_ends_its_sessions(stores: Stores, change: UserChange):
    await stores.user(email="bob@acme.example")
    user = await stores.user()
    token = await stores.login()
    principal = await stores.admission.admit(token)
    await stores.users.change(LOCAL, "acme", user.id, change)
    await refused(stores.admission, token)
    assert not await stores.admission.is_still_valid(principal)


async def test_a_new_name_does_not_end_the_session(stores: Stores):
    user = await stores.user()
    token = await stores.login()
    await stores.users.change(LOCAL, "acme", user.id, UserChange(name="Ann"))
    assert await stores.admission.admit(token)


@on_both
async def test_a_removed_user_is_refused(stores: Stores):
    await stores.user(email="bob@acme.example")
    user = await stores.user()
    token = await stores.login()
    await stores.admission.admit(token)
    await stores.users.remove(LOCAL, "acme", user.id)
    await refused(stores.admission, token)


async def test_an_expired_key_is_refused_although_it_is_cached(stores: Stores):
    ends = datetime.fromtimestamp(stores.clock.now + 10, UTC)
    _, shown = await stores.key(expires_at=ends)
    principal = await stores.admission.admit(shown)
    stores.clock.now += 9
    assert await stores.admission.admit(shown)
    stores.clock.now += 1
    await refused(stores.admission, shown)
    assert not await stores.admission.is_still_valid(principal)


async def test_a_session_expires_when_idle_and_lasts_while_used(stores: Stores):
    await stores.user()
    token = await stores.login()
    for _ in range(5):
        stores.clock.now += 1790
        principal = await stores.admission.admit(token)
        await stores.admission.write_uses()
    stores.clock.now += 1800
    await refused(stores.admission, token)
    assert not await stores.admission.is_still_valid(principal)


async def test_a_session_has_a_maximum_lifetime(stores: Stores):
    await stores.user()
    token = await stores.login()
    for _ in range(24):
        await stores.admission.admit(token)
        stores.clock.now += 1795
    await stores.admission.admit(token)
    stores.clock.now += 43_200 - 24 * 1795
    await refused(stores.admission, token)


@on_both
async def test_use_is_written_once_a_minute_and_not_during_authentication(stores: Stores):
    key_id, shown = await stores.key()
    start = stores.clock.now
    for _ in range(10):
        await stores.admission.admit(shown)
        stores.clock.now += 5
    await stores.admission.write_uses()
    assert (await stores.keys.get("acme", key_id)).last_used_at == datetime.fromtimestamp(start, UTC)
    before = stores.database.asked
    await stores.admission.write_uses()
    assert stores.database.asked == before
    stores.clock.now = start + USED_EVERY_S
    await stores.admission.admit(shown)
    await stores.admission.write_uses()
    used = (await stores.keys.get("acme", key_id)).last_used_at
    assert used == datetime.fromtimestamp(start, UTC) + timedelta(seconds=USED_EVERY_S)


async def test_without_a_database_cached_principals_expire_and_then_all_are_refused(stores: Stores):
    _, shown = await stores.key()
    principal = await stores.admission.admit(shown)
    assert await stores.admission.has_accounts()
    watching = asyncio.create_task(stores.admission.watch())
    stores.database.broken = True
    asked = stores.database.asked
    await until(lambda: stores.database.asked > asked)  # it has seen that nothing answers
    stores.clock.now += CACHE_S - 1
    assert await stores.admission.admit(shown) is principal
    stores.clock.now += 1
    for question in (
        stores.admission.admit(shown),
        stores.admission.is_still_valid(principal),
        stores.admission.has_accounts(),
    ):
        with pytest.raises(Unavailable):
            await question
    stores.database.broken = False
    assert await stores.admission.admit(shown) == principal
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_uses_that_could_not_be_written_are_written_later(stores: Stores):
    key_id, shown = await stores.key()
    await stores.admission.admit(shown)
    stores.database.broken = True
    with pytest.raises(Unavailable):
        await stores.admission.write_uses()
    stores.database.broken = False
    await stores.admission.write_uses()
    assert (await stores.keys.get("acme", key_id)).last_used_at is not None


@on_both
async def test_there_are_accounts_from_the_first_user_or_key_on(stores: Stores, other_process: Stores):
    assert not await stores.admission.has_accounts()
    assert await stores.admission.is_still_valid(LOCAL)
    await stores.admission.check_revision()
    await other_process.key()
    await stores.admission.check_revision()
    assert await stores.admission.has_accounts()
    assert not await stores.admission.is_still_valid(LOCAL)


@pytest.mark.parametrize("in_other_process", [False, True])
async def test_what_was_read_before_a_change_is_not_cached_after_it(
    stores: Stores, other_process: Stores, in_other_process: bool
):
    key_id, shown = await stores.key()
    await stores.admission.check_revision()
    maker = other_process if in_other_process else stores

    async def revoke() -> None:
        await maker.keys.revoke(LOCAL, "acme", key_id)
        await stores.admission.check_revision()

    stores.database.after_next_read = revoke
    principal = await stores.admission.admit(shown)  # it came in just before
    await refused(stores.admission, shown)
    assert not await stores.admission.is_still_valid(principal)


async def test_the_first_account_counts_although_it_is_created_during_the_check(stores: Stores):
    async def make() -> None:
        await stores.key()

    stores.database.after_next_read = make
    assert not await stores.admission.has_accounts()
    assert await stores.admission.has_accounts()


async def test_the_cache_is_bounded_and_drops_the_oldest_first(stores: Stores):
    admission = Admission(stores.database, stores.secret, max_cached=3, clock=stores.clock)
    shown = [(await stores.key())[1] for _ in range(4)]
    for each in shown:
        await admission.admit(each)
    before = stores.database.asked
    for each in shown[1:]:
        await admission.admit(each)
    assert stores.database.asked == before
    await admission.admit(shown[0])
    assert stores.database.asked == before + 1


async def test_a_password_is_no_credential(stores: Stores):
    await stores.user()
    await refused(stores.admission, PASSWORD)
