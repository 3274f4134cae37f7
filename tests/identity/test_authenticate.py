"""ADMIT: who comes in, at what cost, and for how long."""

from __future__ import annotations

import asyncio
import secrets
import string
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from ragstone.errors import Unauthenticated, Unavailable
from ragstone.identity.api_keys import well_formed
from ragstone.identity.authenticate import REMEMBER_S, USED_EVERY_S, Admission
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.identity.users import UserChange, UserState
from ragstone.principals import LOCAL, PERMISSIONS, CredentialType, Permission, Principal, Role
from tests.identity.conftest import PASSWORD, Office, on_both
from tests.waiting import until


async def refused(admission: Admission, presented: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await admission.admit(presented)
    return caught.value.message


@on_both
async def test_a_secret_key_is_admitted_as_what_it_was_made_for(office: Office):
    key_id, shown = await office.key(permissions=frozenset({Permission.CHAT}), collections=["docs"])
    assert await office.admission.admit(shown) == Principal(
        id=f"key:{key_id}",
        kind=CredentialType.SECRET,
        tenant="acme",
        plan="free",
        permissions=frozenset({Permission.CHAT}),
        collections=frozenset({"docs"}),
        credential=key_id,
    )


async def test_a_publishable_key_brings_its_domains_and_nothing_but_the_widget(office: Office):
    _, shown = await office.key(kind="publishable", domains=["Shop.Example"])
    principal = await office.admission.admit(shown)
    assert principal.kind is CredentialType.PUBLISHABLE
    assert principal.permissions == {Permission.WIDGET}
    assert principal.domains == ("shop.example",)


@on_both
async def test_a_session_is_admitted_as_its_user(office: Office):
    user = await office.user(role=Role.EDITOR)
    principal = await office.admission.admit(await office.login())
    assert (principal.id, principal.kind, principal.tenant) == (f"user:{user.id}", CredentialType.SESSION, "acme")
    assert principal.permissions == PERMISSIONS[Role.EDITOR]


async def test_admission_is_warm_after_the_first_time(office: Office):
    await office.user()
    for presented in ((await office.key())[1], await office.login()):
        principal = await office.admission.admit(presented)
        before = office.database.asked
        for _ in range(100):
            assert await office.admission.admit(presented) is principal
            assert await office.admission.still(principal)
        assert office.database.asked == before


async def test_nothing_is_remembered_for_longer_than_it_may(office: Office):
    _, shown = await office.key()
    await office.admission.admit(shown)
    office.clock.now += REMEMBER_S
    before = office.database.asked
    await office.admission.admit(shown)
    assert office.database.asked == before + 1


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


async def test_ten_thousand_hostile_keys_are_refused_without_a_statement_and_without_an_echo(office: Office):
    _, good = await office.key()
    random = secrets.SystemRandom()
    broken = [good[:place] + random.choice(string.ascii_letters + "_ é") + good[place + 1 :] for place in range(44)]
    noise = ["".join(random.choices(string.printable, k=random.randrange(80))) for _ in range(9_900)]
    tried = [text for text in (*HOSTILE, *broken, *noise) if text != good]
    before = office.database.asked
    messages = {await refused(office.admission, text) for text in tried}
    assert office.database.asked == before
    assert len(messages) == 1


def forged() -> str:
    """A key of the right form and checksum that nobody made."""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    body = "rs_sk_" + "".join(secrets.choice(digits) for _ in range(32))
    number, checksum = zlib.crc32(body.encode()), ""
    while len(checksum) < 6:
        number, digit = divmod(number, 62)
        checksum = digits[digit] + checksum
    return body + checksum


async def test_one_that_has_the_form_is_looked_up_and_refused_with_the_same_sentence(office: Office):
    assert well_formed(forged())
    session = f"rs_se_{secrets.token_urlsafe(32)}"
    before = office.database.asked
    sentences = {await refused(office.admission, each) for each in (forged(), session, "nonsense")}
    assert office.database.asked == before + 2
    assert len(sentences) == 1


async def test_a_refusal_is_not_remembered(office: Office):
    await office.user()
    token = await office.login()
    office.clock.now += 1801
    await refused(office.admission, token)
    office.clock.now -= 1801
    assert await office.admission.admit(token)


async def test_a_revoked_key_is_refused_at_once(office: Office):
    key_id, shown = await office.key()
    principal = await office.admission.admit(shown)
    await office.keys.revoke("local", "acme", key_id)
    await refused(office.admission, shown)
    assert not await office.admission.still(principal)


@on_both
async def test_a_key_revoked_elsewhere_is_refused_after_the_next_look(office: Office, elsewhere: Office):
    key_id, shown = await office.key()
    await office.admission.look()
    principal = await office.admission.admit(shown)
    await elsewhere.keys.revoke("local", "acme", key_id)
    assert await office.admission.admit(shown)  # not yet known here
    await office.admission.look()
    await refused(office.admission, shown)
    assert not await office.admission.still(principal)


async def test_a_watching_process_notices_by_itself(office: Office, elsewhere: Office):
    key_id, shown = await office.key()
    watching = asyncio.create_task(office.admission.watch())
    principal = await office.admission.admit(shown)
    started = asyncio.get_running_loop().time()
    await elsewhere.keys.revoke("local", "acme", key_id)
    while await office.admission.still(principal):
        assert asyncio.get_running_loop().time() < started + 5
        await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() < started + 1
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@on_both
@pytest.mark.parametrize("state", [TenantState.SUSPENDED, TenantState.DELETING])
async def test_nobody_of_a_tenant_that_is_not_active_comes_in(office: Office, state: TenantState):
    await office.user()
    _, key = await office.key()
    token = await office.login()
    inside = [await office.admission.admit(each) for each in (key, token)]
    await office.tenants.change("local", "acme", TenantChange(state=state))
    for each in (key, token):
        await refused(office.admission, each)
    assert [await office.admission.still(each) for each in inside] == [False, False]
    with pytest.raises(Unauthenticated):
        await office.login()


@on_both
@pytest.mark.parametrize(
    "change",
    [UserChange(role=Role.VIEWER), UserChange(state=UserState.SUSPENDED), UserChange(password="another long password")],
    ids=["role", "state", "password"],
)
async def test_what_changes_a_user_ends_the_sessions(office: Office, change: UserChange):
    await office.user(email="bob@acme.example")
    user = await office.user()
    token = await office.login()
    principal = await office.admission.admit(token)
    await office.users.change("local", "acme", user.id, change)
    await refused(office.admission, token)
    assert not await office.admission.still(principal)


async def test_a_new_name_does_not_end_the_session(office: Office):
    user = await office.user()
    token = await office.login()
    await office.users.change("local", "acme", user.id, UserChange(name="Ann"))
    assert await office.admission.admit(token)


@on_both
async def test_a_removed_user_is_out(office: Office):
    await office.user(email="bob@acme.example")
    user = await office.user()
    token = await office.login()
    await office.admission.admit(token)
    await office.users.remove("local", "acme", user.id)
    await refused(office.admission, token)


async def test_a_key_that_expires_is_refused_though_it_is_remembered(office: Office):
    ends = datetime.fromtimestamp(office.clock.now + 10, UTC)
    _, shown = await office.key(expires_at=ends)
    principal = await office.admission.admit(shown)
    office.clock.now += 9
    assert await office.admission.admit(shown)
    office.clock.now += 1
    await refused(office.admission, shown)
    assert not await office.admission.still(principal)


async def test_a_session_ends_when_it_is_idle_and_lives_while_it_is_used(office: Office):
    await office.user()
    token = await office.login()
    for _ in range(5):
        office.clock.now += 1790
        principal = await office.admission.admit(token)
        await office.admission.write_uses()
    office.clock.now += 1800
    await refused(office.admission, token)
    assert not await office.admission.still(principal)


async def test_a_session_ends_at_last_though_it_is_used(office: Office):
    await office.user()
    token = await office.login()
    for _ in range(24):
        await office.admission.admit(token)
        office.clock.now += 1795
    await office.admission.admit(token)
    office.clock.now += 43_200 - 24 * 1795
    await refused(office.admission, token)


@on_both
async def test_use_is_written_once_a_minute_and_not_on_the_way_in(office: Office):
    key_id, shown = await office.key()
    start = office.clock.now
    for _ in range(10):
        await office.admission.admit(shown)
        office.clock.now += 5
    await office.admission.write_uses()
    assert (await office.keys.get("acme", key_id)).last_used_at == datetime.fromtimestamp(start, UTC)
    before = office.database.asked
    await office.admission.write_uses()
    assert office.database.asked == before
    office.clock.now = start + USED_EVERY_S
    await office.admission.admit(shown)
    await office.admission.write_uses()
    used = (await office.keys.get("acme", key_id)).last_used_at
    assert used == datetime.fromtimestamp(start, UTC) + timedelta(seconds=USED_EVERY_S)


async def test_without_a_database_what_is_known_runs_out_and_then_the_door_is_closed(office: Office):
    _, shown = await office.key()
    principal = await office.admission.admit(shown)
    assert await office.admission.has_accounts()
    watching = asyncio.create_task(office.admission.watch())
    office.database.broken = True
    asked = office.database.asked
    await until(lambda: office.database.asked > asked)  # it has seen that nothing answers
    office.clock.now += REMEMBER_S - 1
    assert await office.admission.admit(shown) is principal
    office.clock.now += 1
    for question in (office.admission.admit(shown), office.admission.still(principal), office.admission.has_accounts()):
        with pytest.raises(Unavailable):
            await question
    office.database.broken = False
    assert await office.admission.admit(shown) == principal
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_uses_that_could_not_be_written_are_written_later(office: Office):
    key_id, shown = await office.key()
    await office.admission.admit(shown)
    office.database.broken = True
    with pytest.raises(Unavailable):
        await office.admission.write_uses()
    office.database.broken = False
    await office.admission.write_uses()
    assert (await office.keys.get("acme", key_id)).last_used_at is not None


@on_both
async def test_there_are_accounts_from_the_first_user_or_key_on(office: Office, elsewhere: Office):
    assert not await office.admission.has_accounts()
    assert await office.admission.still(LOCAL)
    await office.admission.look()
    await elsewhere.key()
    await office.admission.look()
    assert await office.admission.has_accounts()
    assert not await office.admission.still(LOCAL)


@pytest.mark.parametrize("elsewhere_too", [False, True])
async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    office: Office, elsewhere: Office, elsewhere_too: bool
):
    key_id, shown = await office.key()
    await office.admission.look()
    maker = elsewhere if elsewhere_too else office

    async def revoke() -> None:
        await maker.keys.revoke("local", "acme", key_id)
        await office.admission.look()

    office.database.meanwhile = revoke
    principal = await office.admission.admit(shown)  # it came in just before
    await refused(office.admission, shown)
    assert not await office.admission.still(principal)


async def test_the_first_account_counts_though_it_is_made_while_somebody_looks(office: Office):
    async def make() -> None:
        await office.key()

    office.database.meanwhile = make
    assert not await office.admission.has_accounts()
    assert await office.admission.has_accounts()


async def test_memory_is_bounded_and_the_oldest_goes_first(office: Office):
    admission = Admission(office.database, office.secret, remember_most=3, clock=office.clock)
    shown = [(await office.key())[1] for _ in range(4)]
    for each in shown:
        await admission.admit(each)
    before = office.database.asked
    for each in shown[1:]:
        await admission.admit(each)
    assert office.database.asked == before
    await admission.admit(shown[0])
    assert office.database.asked == before + 1


async def test_a_password_opens_nothing_by_itself(office: Office):
    await office.user()
    await refused(office.admission, PASSWORD)
