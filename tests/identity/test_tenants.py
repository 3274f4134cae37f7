"""Tenants: made with an id that nobody had, changed, and never the installation's own."""

from __future__ import annotations

import pytest

from ragstone.errors import Conflict, InvalidInput, NotFound
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.ingestion.tenant_deletion import request_deletion
from ragstone.storage.database import EVERY_TENANT, scoped_delete
from ragstone.storage.schema import tenants
from ragstone.vocabulary import DEFAULT_TENANT
from tests.identity.conftest import Office, on_both


@on_both
async def test_a_tenant_is_made_with_the_free_plan(office: Office):
    made = await office.tenants.create("local", "newcomer", name=" New & Co. ")
    assert (made.name, made.plan, made.state) == ("New & Co.", "free", TenantState.ACTIVE)
    assert await office.tenants.get("newcomer") == made
    assert (await office.tenants.get("acme")).name == "acme"


@pytest.mark.parametrize("tenant", ["", "Acme", "-a", "_a", "a b", "a/b", "../a", "ä", "a" * 65, "a\n", "a\x00", "*"])
async def test_an_id_is_made_of_small_letters_and_digits(office: Office, tenant: str):
    with pytest.raises(InvalidInput):
        await office.tenants.create("local", tenant)


@on_both
async def test_a_plan_has_to_be_there(office: Office):
    with pytest.raises(InvalidInput):
        await office.tenants.create("local", "newcomer", plan="none")
    with pytest.raises(InvalidInput):
        await office.tenants.change("local", "acme", TenantChange(plan="none"))
    with pytest.raises(NotFound):
        await office.tenants.get("newcomer")


@on_both
async def test_an_id_is_used_once(office: Office):
    for tenant in ("acme", DEFAULT_TENANT):
        with pytest.raises(Conflict):
            await office.tenants.create("local", tenant)
    async with office.database.write(EVERY_TENANT) as connection:  # as at the end of an erasure
        await connection.execute(scoped_delete(tenants, "acme"))
    with pytest.raises(Conflict):
        await office.tenants.create("local", "acme")


async def test_tenants_are_listed_by_id_in_pages(office: Office):
    assert [each.id for each in await office.tenants.all()] == ["acme", DEFAULT_TENANT, "other"]
    assert [each.id for each in await office.tenants.all(limit=1, after="acme")] == [DEFAULT_TENANT]


@on_both
async def test_a_tenant_is_changed_and_what_was_not_named_stays(office: Office):
    change = TenantChange(plan="paid", retention_days=30)
    changed = await office.tenants.change("user:1", "acme", change)
    assert (changed.plan, changed.retention_days, changed.name) == ("paid", 30, "acme")
    assert (await office.tenants.change("user:1", "acme", TenantChange(retention_days=0))).retention_days is None
    assert (await office.tenants.change("user:1", "acme", TenantChange(name="Acme"))).plan == "paid"
    newest, *_ = await office.audit.entries("acme")
    assert (newest.actor, newest.action, newest.details) == ("user:1", "tenant.changed", {"name": "Acme"})


@pytest.mark.parametrize("days", [-1, 36_501])
async def test_conversations_are_kept_for_a_time_there_is(office: Office, days: int):
    with pytest.raises(InvalidInput):
        await office.tenants.change("local", "acme", TenantChange(retention_days=days))


async def test_a_new_plan_holds_from_the_next_request_on(office: Office):
    _, shown = await office.key()
    assert (await office.admission.admit(shown)).plan == "free"
    await office.tenants.change("local", "acme", TenantChange(plan="paid"))
    assert (await office.admission.admit(shown)).plan == "paid"


async def test_a_suspended_tenant_comes_back_with_its_keys(office: Office):
    _, shown = await office.key()
    await office.tenants.change("local", "acme", TenantChange(state=TenantState.SUSPENDED))
    await office.tenants.change("local", "acme", TenantChange(state=TenantState.ACTIVE))
    assert await office.admission.admit(shown)


@pytest.mark.parametrize("state", [TenantState.SUSPENDED, TenantState.DELETING])
async def test_the_installation_s_own_tenant_stays_active(office: Office, state: TenantState):
    with pytest.raises(Conflict):
        await office.tenants.change("local", DEFAULT_TENANT, TenantChange(state=state))


async def test_a_tenant_that_is_being_deleted_does_not_come_back(office: Office):
    await request_deletion(office.database, office.audit, "local", "acme")
    for state in (TenantState.ACTIVE, TenantState.SUSPENDED):
        with pytest.raises(Conflict):
            await office.tenants.change("local", "acme", TenantChange(state=state))


async def test_a_tenant_that_is_not_there_is_not_changed(office: Office):
    with pytest.raises(NotFound):
        await office.tenants.change("local", "nobody", TenantChange(name="x"))
