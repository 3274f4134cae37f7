"""Tenants: created with an unused id, and changed, except for the state of the default tenant."""

from __future__ import annotations

import pytest

from ragstone.errors import Conflict, InvalidInput, NotFound
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.ingestion.tenant_deletion import request_deletion
from ragstone.storage.database import EVERY_TENANT, scoped_delete
from ragstone.storage.schema import tenants
from ragstone.vocabulary import DEFAULT_TENANT
from tests.identity.conftest import Stores, on_both


@on_both
async def test_a_tenant_is_made_with_the_free_plan(stores: Stores):
    made = await stores.tenants.create("local", "newcomer", name=" New & Co. ")
    assert (made.name, made.plan, made.state) == ("New & Co.", "free", TenantState.ACTIVE)
    assert await stores.tenants.get("newcomer") == made
    assert (await stores.tenants.get("acme")).name == "acme"


@pytest.mark.parametrize("tenant", ["", "Acme", "-a", "_a", "a b", "a/b", "../a", "ä", "a" * 65, "a\n", "a\x00", "*"])
async def test_an_id_consists_of_lower_case_letters_and_digits(stores: Stores, tenant: str):
    with pytest.raises(InvalidInput):
        await stores.tenants.create("local", tenant)


@on_both
async def test_a_tenant_needs_an_existing_plan(stores: Stores):
    with pytest.raises(InvalidInput):
        await stores.tenants.create("local", "newcomer", plan="none")
    with pytest.raises(InvalidInput):
        await stores.tenants.change("local", "acme", TenantChange(plan="none"))
    with pytest.raises(NotFound):
        await stores.tenants.get("newcomer")


@on_both
async def test_an_id_is_used_once(stores: Stores):
    for tenant in ("acme", DEFAULT_TENANT):
        with pytest.raises(Conflict):
            await stores.tenants.create("local", tenant)
    async with stores.database.write(EVERY_TENANT) as connection:  # as at the end of an erasure
        await connection.execute(scoped_delete(tenants, "acme"))
    with pytest.raises(Conflict):
        await stores.tenants.create("local", "acme")


async def test_tenants_are_listed_by_id_in_pages(stores: Stores):
    assert [each.id for each in await stores.tenants.all()] == ["acme", DEFAULT_TENANT, "other"]
    assert [each.id for each in await stores.tenants.all(limit=1, after="acme")] == [DEFAULT_TENANT]


@on_both
async def test_a_tenant_is_changed_and_what_was_not_named_stays(stores: Stores):
    change = TenantChange(plan="paid", retention_days=30)
    changed = await stores.tenants.change("user:1", "acme", change)
    assert (changed.plan, changed.retention_days, changed.name) == ("paid", 30, "acme")
    assert (await stores.tenants.change("user:1", "acme", TenantChange(retention_days=0))).retention_days is None
    assert (await stores.tenants.change("user:1", "acme", TenantChange(name="Acme"))).plan == "paid"
    newest, *_ = await stores.audit.entries("acme")
    assert (newest.actor, newest.action, newest.details) == ("user:1", "tenant.changed", {"name": "Acme"})


@pytest.mark.parametrize("days", [-1, 36_501])
async def test_a_retention_outside_the_bounds_is_refused(stores: Stores, days: int):
    with pytest.raises(InvalidInput):
        await stores.tenants.change("local", "acme", TenantChange(retention_days=days))


async def test_a_new_plan_holds_from_the_next_request_on(stores: Stores):
    _, shown = await stores.key()
    assert (await stores.admission.admit(shown)).plan == "free"
    await stores.tenants.change("local", "acme", TenantChange(plan="paid"))
    assert (await stores.admission.admit(shown)).plan == "paid"


async def test_a_suspended_tenant_comes_back_with_its_keys(stores: Stores):
    _, shown = await stores.key()
    await stores.tenants.change("local", "acme", TenantChange(state=TenantState.SUSPENDED))
    await stores.tenants.change("local", "acme", TenantChange(state=TenantState.ACTIVE))
    assert await stores.admission.admit(shown)


@pytest.mark.parametrize("state", [TenantState.SUSPENDED, TenantState.DELETING])
async def test_the_installation_s_own_tenant_stays_active(stores: Stores, state: TenantState):
    with pytest.raises(Conflict):
        await stores.tenants.change("local", DEFAULT_TENANT, TenantChange(state=state))


async def test_a_tenant_that_is_being_deleted_cannot_be_reactivated(stores: Stores):
    await request_deletion(stores.database, stores.audit, "local", "acme")
    for state in (TenantState.ACTIVE, TenantState.SUSPENDED):
        with pytest.raises(Conflict):
            await stores.tenants.change("local", "acme", TenantChange(state=state))


async def test_an_unknown_tenant_cannot_be_changed(stores: Stores):
    with pytest.raises(NotFound):
        await stores.tenants.change("local", "nobody", TenantChange(name="x"))
