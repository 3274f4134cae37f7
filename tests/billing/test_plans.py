"""Plans and models are data: edited, checked, priced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ragstone.billing.plans import ModelEntry, Plan, Plans
from ragstone.errors import Conflict, InvalidInput, NotFound
from ragstone.identity.audit import Audit
from ragstone.identity.cache_revision import current
from ragstone.identity.secrets import Secret
from ragstone.storage.database import Database
from ragstone.vocabulary import Usage

GOLD = Plan(id="gold", name="Gold", requests_per_hour=5, overage=True, models=("claude-sonnet", "gpt-4o-mini"))
LOCAL = ModelEntry(id="qwen-2.5", provider="openai", model="qwen2.5:7b", base_url="http://localhost:11434/v1")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database, Secret(b"x" * 32))


@pytest.fixture
def plans(database: Database, audit: Audit) -> Plans:
    return Plans(database, audit)


async def test_an_installation_begins_with_three_plans_and_two_models(plans):
    assert [(plan.id, plan.requests_per_hour, plan.models) for plan in await plans.all()] == [
        ("free", 100, ("gpt-4o-mini",)),
        ("paid", 1000, ("claude-sonnet", "gpt-4o-mini")),
        ("unlimited", None, ()),
    ]
    assert [entry.provider for entry in await plans.models()] == ["anthropic", "openai"]


async def test_what_is_saved_is_read_recorded_and_told_to_other_processes(plans, audit, database):
    before = await current(database)
    await plans.save("user:1", GOLD)
    await plans.save("user:1", replace(GOLD, requests_per_hour=None))
    assert await plans.get("gold") == replace(GOLD, requests_per_hour=None)
    assert await current(database) == before + 2
    newest = (await audit.entries("default"))[0]
    assert (newest.actor, newest.action, newest.target) == ("user:1", "plan.saved", "gold")


async def test_what_another_process_changed_is_seen_after_forgetting(plans, database, audit):
    assert (await plans.get("free")).requests_per_hour == 100
    await Plans(database, audit).save("local", Plan(id="free", name="Free", requests_per_hour=7))
    assert (await plans.get("free")).requests_per_hour == 100
    plans.clear_cache()
    assert (await plans.get("free")).requests_per_hour == 7


@pytest.mark.parametrize(
    "change",
    [
        {"id": "Gold"},
        {"id": ""},
        {"id": "a/b"},
        {"id": "g\n"},
        {"name": " "},
        {"requests_per_hour": -1},
        {"max_bytes": 2**63},
        {"max_documents": 2**31},
        {"models": ("gpt-9",)},
        {"models": ("gpt-4o-mini", "gpt-4o-mini")},
    ],
)
async def test_a_plan_that_cannot_be_used_is_refused(plans, change):
    with pytest.raises(InvalidInput):
        await plans.save("local", replace(GOLD, **change))
    assert len(await plans.all()) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a b"},
        {"model": ""},
        {"provider": "acme"},
        {"input_price": -1},
        {"output_price": 10**13},
        {"key_variable": "RAGSTONE_SECRET_KEY"},
        {"key_variable": "sk-abc"},
        {"base_url": "file:///etc/passwd"},
        {"base_url": "http://user:pw@host/"},
        {"base_url": "http://["},
    ],
)
async def test_a_model_that_cannot_be_used_is_refused(plans, change):
    with pytest.raises(InvalidInput):
        await plans.save_model("local", replace(LOCAL, **change))


async def test_what_somebody_needs_is_not_removed(plans):
    await plans.save("local", GOLD)
    with pytest.raises(Conflict, match="names the model"):
        await plans.remove_model("local", "claude-sonnet")
    with pytest.raises(Conflict, match="runs the installation"):
        await plans.remove("local", "unlimited")
    await plans.remove("local", "gold")
    with pytest.raises(NotFound):
        await plans.get("gold")
    with pytest.raises(NotFound):
        await plans.remove("local", "gold")


async def test_models_come_and_go(plans):
    await plans.save_model("local", LOCAL)
    assert await plans.model("qwen-2.5") == LOCAL
    await plans.remove_model("local", "qwen-2.5")
    with pytest.raises(NotFound):
        await plans.model("qwen-2.5")


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage("m", 1_000_000, 0), 150_000),
        (Usage("m", 1_000_000, 1_000_000), 750_000),
        (Usage("m", 1_000_000, 0, 1_000_000), 75_000),
        (Usage("m", 1000, 10, 400), 126),  # 600 * 0.15 + 400 * 0.075 + 10 * 0.6
        (Usage("m", 3, 0), 0),  # 0.45
        (Usage("m", 10, 0), 2),  # 1.5, half up
        (Usage("m", 5, 0, 9), 0),  # more cached than read: 0.375
    ],
)
def test_cost_is_exact_and_rounded_once(usage, cost):
    entry = ModelEntry(
        id="m", provider="openai", model="m", input_price=150_000, output_price=600_000, cached_price=75_000
    )
    assert entry.cost(usage) == cost
