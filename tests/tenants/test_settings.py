"""The settings of a tenant are checked, its keys sealed; they are its own, and in force at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from pydantic import ValidationError

from ragstone.errors import ConfigurationError, InvalidInput
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.secrets import Sealing
from ragstone.storage import schema
from ragstone.storage.database import scoped, scoped_insert, scoped_update
from ragstone.tenants.settings import (
    KEYS,
    MAX_FILTERS_CHARS,
    SETTINGS,
    Pipeline,
    TenantSettings,
    flat,
    from_flat,
    with_allowed_servers,
    with_keys,
    without_keys,
)
from ragstone.tenants.settings_store import StoreOptions, TenantSettingsStore
from ragstone.vocabulary import Scope
from tests.identity.conftest import Stores, on_both

KEY = "sk-canary-7c41"
OPERATORS = with_keys(from_flat({"upstream_url": "http://10.0.0.7:8000/v1"}), {"upstream": "op"})
ALL_OPERATORS = with_keys(
    from_flat(
        {
            "upstream_url": "http://10.0.0.7:8000/v1",
            "anthropic_url": "http://10.0.0.8",
            "models": {"house": "gpt"},
            "knowledge": "both",
            "pipeline": {"organization": "op", "pipeline": "aip"},
        }
    ),
    {"upstream": "op-key", "anthropic": "op-key", "pipeline": "op-token", "librechat": "op-secret-of-16-up"},
)
ELABORATE_VALUES: dict[str, Any] = {
    "enabled": False,
    "rollout_percent": 7,
    "collection": "books",
    "limit": 50,
    "context_tokens": 64,
    "context_window": 1024,
    "budget_s": 5.0,
    "source_list": False,
    "streams_only": True,
    "upstream_url": "https://models.example.com/v1",
    "anthropic_url": "https://claude.example.com",
    "models": {"house": "gpt-4o-mini"},
    "plain_models": ["titles"],
    "knowledge": "both",
    "pipeline": {
        "organization": "org-1",
        "pipeline": "aip-1",
        "url": None,
        "rerank": True,
        "filters": [{"department": ["eng"]}],
    },
    "mask_context": True,
    "mask_answers": True,
}
ELABORATE = from_flat(ELABORATE_VALUES)
UPSTREAM = from_flat({"upstream_url": "https://models.example.com/v1"})


def altered(settings: TenantSettings, **changes: object) -> TenantSettings:
    """The settings with other values, by wire name; keys stay."""
    new = from_flat({**flat(settings), **changes})
    return with_keys(new, keys_of(settings))


def settings_of(**values: object) -> TenantSettings:
    """Settings by wire name."""
    return from_flat(values)


def keys_of(settings: TenantSettings) -> dict[str, str]:
    """The secrets that are set, by wire name."""
    found = {name: getattr(getattr(settings, each.part), each.field) for name, each in KEYS.items()}
    return {name: secret.get_secret_value() for name, secret in found.items() if secret}


def store_of(stores: Stores, changes: CacheRevision | None = None, **options: Any) -> TenantSettingsStore:
    made = {"defaults": lambda tenant: OPERATORS if tenant == "acme" else TenantSettings(), **options}
    revision = changes or CacheRevision(stores.database)
    return TenantSettingsStore(stores.database, stores.secret, stores.audit, revision, StoreOptions(**made))


@pytest.fixture
def store(stores: Stores) -> TenantSettingsStore:
    return store_of(stores)


async def stored_row(stores: Stores, tenant: str = "acme") -> Any:
    async with stores.database.read(tenant) as connection:
        return (await connection.execute(scoped(schema.interceptors, tenant))).one()


async def write_row(stores: Stores, settings: object, keys: object) -> None:
    """Write past the code under test."""
    async with stores.database.write("acme") as connection:
        now = datetime.fromisoformat("2026-11-21T10:00:00+00:00")
        values = {"settings": settings, "keys": keys, "updated_at": now}
        await connection.execute(scoped_insert(schema.interceptors, Scope("acme")), values)


@on_both
async def test_settings_and_keys_come_back_as_they_were_set(store: TenantSettingsStore):
    keys = {name: f"{name}-canary-{'k' * 20}" for name in KEYS}
    stored = await store.change("user:ann", "acme", ELABORATE, keys)
    found = await store.get("acme")
    assert without_keys(found) == stored.settings == ELABORATE
    assert keys_of(found) == keys
    assert stored.keys_set == dict.fromkeys(KEYS, stored.updated_at)
    assert await store.stored("acme") == stored
    await store.change("user:ann", "acme", altered(ELABORATE, limit=3), {"librechat": None})
    found = await store.get("acme")
    assert found.interceptor.limit == 3
    assert keys_of(found) == {name: key for name, key in keys.items() if name != "librechat"}


@on_both
async def test_a_tenant_that_set_up_nothing_has_the_defaults_and_goes_back_to_them(store: TenantSettingsStore):
    assert await store.get("acme") == OPERATORS
    assert await store.stored("acme") is None
    await store.change("user:ann", "acme", UPSTREAM)
    assert await store.get("other") == TenantSettings()
    await store.remove("user:ann", "acme")
    assert await store.get("acme") == OPERATORS


@pytest.mark.parametrize(
    "settings",
    [
        UPSTREAM,
        settings_of(anthropic_url="https://claude.example.com"),
        settings_of(upstream_url="https://models.example.com/v1", pipeline={"url": "https://g.example/r"}),
    ],
    ids=["upstream", "anthropic", "pipeline"],
)
async def test_a_url_of_the_tenant_never_gets_a_key_of_the_operator(stores: Stores, settings: TenantSettings):
    store = store_of(stores, defaults=lambda _: ALL_OPERATORS)
    await store.change("user:ann", "acme", settings)
    found = await store.get("acme")
    assert keys_of(found).keys() & {"upstream", "anthropic"} == set()
    assert (found.interceptor.upstream_url, found.interceptor.models) == (settings.interceptor.upstream_url, {})
    assert keys_of(found).get("pipeline") == (None if settings.knowledge.pipeline else "op-token")


async def test_who_names_no_server_has_the_operator_s_with_its_key_and_its_models_alone(stores: Stores):
    store = store_of(stores, defaults=lambda _: ALL_OPERATORS)
    own = settings_of(limit=3, models={"dear": "gpt-dear"}, knowledge="pipeline")
    await store.change("user:ann", "acme", own, {"upstream": "mine", "librechat": "l" * 16})
    found = await store.get("acme")
    assert found == with_keys(altered(ALL_OPERATORS, limit=3, knowledge="pipeline"), {"librechat": "l" * 16})


async def test_a_pipeline_that_the_operator_takes_away_is_done_without(stores: Stores):
    await store_of(stores, defaults=lambda _: ALL_OPERATORS).change("user:ann", "acme", settings_of(knowledge="both"))
    assert await store_of(stores, defaults=lambda _: TenantSettings()).get("acme") == TenantSettings()


async def test_a_change_begins_with_what_holds_but_for_the_operator_s_servers(stores: Stores):
    store = store_of(stores, defaults=lambda _: altered(ALL_OPERATORS, limit=5))
    begun = await store.to_change("acme")
    assert begun == settings_of(limit=5, knowledge="both")
    before = await store.get("acme")
    await store.change("user:ann", "acme", begun)
    assert await store.get("acme") == before
    assert await store.to_change("acme") == begun


async def test_no_key_stands_in_the_database_or_the_record_or_a_representation(
    store: TenantSettingsStore, stores: Stores
):
    await store.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    row = await stored_row(stores)
    (entry,) = await stores.audit.entries("acme", limit=1)
    for shown in (row.settings, row.keys, entry, await store.get("acme"), await store.stored("acme")):
        assert KEY not in repr(shown)


async def test_each_change_is_on_record_with_names_of_keys_and_hosts_alone(store: TenantSettingsStore, stores: Stores):
    url = "https://models.example.com/v1/token-in-the-path"
    await store.change("user:ann", "acme", settings_of(upstream_url=url), {"upstream": KEY})
    await store.change("user:bob", "acme", TenantSettings(), {"upstream": None, "librechat": "s" * 16})
    await store.remove("key:1", "acme")
    await store.remove("key:1", "acme")
    entries = [each for each in await stores.audit.entries("acme") if each.action.startswith("interceptor")][::-1]
    assert [(each.actor, each.action) for each in entries] == [
        ("user:ann", "interceptor.changed"),
        ("user:bob", "interceptor.changed"),
        ("key:1", "interceptor.removed"),
    ]
    assert entries[0].details["upstream"] == "models.example.com:443"
    assert "token-in-the-path" not in repr(entries)
    assert (entries[1].details["keys_set"], entries[1].details["keys_removed"]) == ("librechat", "upstream")


async def test_what_is_known_costs_no_statement_until_something_changes(store: TenantSettingsStore, stores: Stores):
    await store.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    await store.get("acme")
    await store.get("other")
    asked = stores.database.asked
    for _ in range(3):
        await store.get("acme")
        await store.get("other")
    assert stores.database.asked == asked
    store.clear_cache()
    await store.get("acme")
    assert stores.database.asked == asked + 1


async def test_a_change_holds_in_this_process_at_once_and_elsewhere_when_it_is_told(stores: Stores):
    changes = CacheRevision(stores.database)
    here, there = store_of(stores), store_of(stores, changes)
    assert [await each.get("other") for each in (here, there)] == [TenantSettings()] * 2
    await here.change("user:ann", "other", ELABORATE)
    assert without_keys(await here.get("other")) == ELABORATE
    assert without_keys(await there.get("other")) == TenantSettings()
    changes.notify_listeners()
    assert without_keys(await there.get("other")) == ELABORATE


async def test_what_was_read_while_it_changed_is_not_remembered(store: TenantSettingsStore, stores: Stores):
    async def change() -> None:
        await store.change("user:ann", "acme", UPSTREAM)

    stores.database.after_next_read = change
    assert await store.get("acme") == OPERATORS
    assert without_keys(await store.get("acme")) == UPSTREAM


async def test_only_so_many_tenants_are_remembered(stores: Stores):
    store = store_of(stores, max_cached=2)
    for tenant in ("acme", "other", "third"):
        await store.get(tenant)
    asked = stores.database.asked
    await store.get("third")
    await store.get("other")
    assert stores.database.asked == asked
    await store.get("acme")
    assert stores.database.asked == asked + 1


@pytest.mark.parametrize(
    "moved",
    [
        settings_of(upstream_url="https://evil.example/v1"),
        settings_of(upstream_url="https://models.example.com.evil.example/v1"),
        TenantSettings(),
    ],
    ids=["another host", "a longer host", "none"],
)
async def test_a_key_that_stays_is_not_sent_to_another_server(store: TenantSettingsStore, moved: TenantSettings):
    await store.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    with pytest.raises(InvalidInput, match="upstream key was set for another server"):
        await store.change("user:eve", "acme", moved)
    assert without_keys(await store.get("acme")) == UPSTREAM
    await store.change("user:ann", "acme", moved, {"upstream": None})
    assert keys_of(await store.get("acme")).get("upstream") != KEY


async def test_a_key_stays_where_only_the_path_changes_and_goes_along_when_it_is_sent(store: TenantSettingsStore):
    await store.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    await store.change("user:ann", "acme", settings_of(upstream_url="https://models.example.com/v2"))
    assert keys_of(await store.get("acme"))["upstream"] == KEY
    await store.change("u", "acme", settings_of(upstream_url="https://new.example/v1"), {"upstream": "k"})
    assert keys_of(await store.get("acme"))["upstream"] == "k"


async def test_a_pipeline_s_token_goes_to_its_place_alone(store: TenantSettingsStore):
    await store.change("user:ann", "acme", ELABORATE, {"pipeline": KEY})
    moved = altered(ELABORATE, pipeline={"url": "https://evil.example/retrieve"})
    with pytest.raises(InvalidInput, match="pipeline key was set for another server"):
        await store.change("user:eve", "acme", moved)


async def test_a_sealed_key_of_another_tenant_opens_nothing(store: TenantSettingsStore, stores: Stores):
    await store.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    await store.change("user:eve", "other", UPSTREAM, {"upstream": "mine"})
    row = await stored_row(stores)
    async with stores.database.write("other") as connection:
        await connection.execute(scoped_update(schema.interceptors, "other").values(keys=row.keys))
    store.clear_cache()
    with pytest.raises(ConfigurationError, match="upstream key of the tenant 'other'"):
        await store.get("other")


async def test_a_key_that_cannot_be_opened_is_mended_by_setting_it_again(store: TenantSettingsStore, stores: Stores):
    keys = {"upstream": {"sealed": "v1:AAAA", "at": "yesterday"}}
    await write_row(stores, {"upstream_url": "https://models.example.com/v1"}, keys)
    with pytest.raises(ConfigurationError, match="Set it again"):
        await store.get("acme")
    stored = await store.stored("acme")
    assert stored
    assert stored.keys_set == {"upstream": stored.updated_at}
    await store.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    assert keys_of(await store.get("acme"))["upstream"] == KEY


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"knowledge": "oracle"}, "knowledge"),
        ({"limit": "8"}, "limit"),
        ({"limit": True}, "limit"),
        ({"budget_s": None}, "budget_s"),
        ({"budget_s": float(10**9)}, "budget_s"),
        ({"models": ["gpt"]}, "models"),
        ({"models": {"a": 7}}, "models"),
        ({"plain_models": "gpt"}, "plain_models"),
        ({"pipeline": "aip-1"}, "pipeline"),
        ({"pipeline": {}}, "pipeline"),
        ({"pipeline": {"url": 7}}, r"pipeline\.url"),
        ({"upstream_url": 7}, "upstream_url"),
        ({"enabled": "yes"}, "enabled"),
        ({"collection": "../x"}, "collection"),
        ("settings", "not a JSON object"),
        ([], "not a JSON object"),
    ],
    ids=str,
)
async def test_a_stored_value_that_cannot_be_is_named_in_a_sentence(
    store: TenantSettingsStore, stores: Stores, settings: object, field: str
):
    await write_row(stores, settings, {})
    with pytest.raises(ConfigurationError, match=field):
        await store.get("acme")
    await store.change("user:ann", "acme", UPSTREAM)
    assert without_keys(await store.get("acme")) == UPSTREAM


@pytest.mark.parametrize("keys", [None, [], "x", {"upstream": None}, {"upstream": "sealed"}, {"upstream": {"at": 7}}])
async def test_stored_keys_of_no_form_are_refused_or_nothing(stores: Stores, keys: object):
    store = store_of(stores, defaults=lambda _: TenantSettings())
    await write_row(stores, {}, keys)
    if isinstance(keys, dict):
        with pytest.raises(ConfigurationError):
            await store.get("acme")
    else:
        assert keys_of(await store.get("acme")) == {}


async def test_what_an_older_or_newer_version_wrote_is_read(stores: Stores):
    store = store_of(stores, defaults=lambda _: TenantSettings())
    await write_row(stores, {"limit": 3, "telepathy": {"on": True}}, {"telepathy": {"sealed": "v9:…"}})
    assert await store.get("acme") == settings_of(limit=3)


async def test_a_row_of_an_earlier_installation_opens(stores: Stores):
    sealed = Sealing(stores.secret).seal("acme", "upstream", KEY)
    await write_row(stores, ELABORATE_VALUES, {"upstream": {"sealed": sealed, "at": "2026-11-20T09:30:00+00:00"}})
    store = store_of(stores)
    assert await store.get("acme") == with_keys(ELABORATE, {"upstream": KEY})
    stored = await store.stored("acme")
    assert stored
    assert stored.keys_set == {"upstream": datetime.fromisoformat("2026-11-20T09:30:00+00:00")}


async def test_the_columns_stay_as_earlier_installations_wrote_them(store: TenantSettingsStore, stores: Stores):
    await store.change("user:ann", "acme", ELABORATE, {"upstream": KEY})
    row = await stored_row(stores)
    assert row.settings == ELABORATE_VALUES
    assert {name: sorted(each) for name, each in row.keys.items()} == {"upstream": ["at", "sealed"]}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rollout_percent": -1}, "rollout_percent"),
        ({"rollout_percent": 101}, "rollout_percent"),
        ({"budget_s": 0}, "budget_s"),
        ({"budget_s": 5.01}, "budget_s"),
        ({"budget_s": float("nan")}, "budget_s"),
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"context_tokens": 63}, "context_tokens"),
        ({"context_tokens": 100_001}, "context_tokens"),
        ({"context_window": 1023}, "context_window"),
        ({"collection": "Books"}, "collection"),
        ({"collection": "a\n"}, "collection"),
        ({"models": {str(number): "m" for number in range(201)}}, "models"),
        ({"models": {"": "m"}}, "models"),
        ({"models": {"m": "x" * 201}}, "models"),
        ({"models": {"m": "a\r\nx: y"}}, "models"),
        ({"plain_models": [" m"]}, "plain_models"),
        ({"pipeline": {"organization": "org"}}, "pipeline"),
        ({"pipeline": {"organization": "../v2", "pipeline": "p"}}, "organization"),
        ({"pipeline": {"organization": "o", "pipeline": "p?x=1"}}, "pipeline"),
        ({"pipeline": {"organization": "o", "pipeline": "p", "filters": [{"a": "x" * MAX_FILTERS_CHARS}]}}, "filters"),
        ({"pipeline": {"organization": "o", "pipeline": "p", "filters": [{"a": float("inf")}]}}, "filters"),
        ({"pipeline": {"organization": "o", "pipeline": "p", "filters": [{}] * 21}}, "filters"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_setting_outside_of_its_range_is_refused_by_name(changes: dict[str, Any], named: str):
    with pytest.raises(InvalidInput, match=named):
        from_flat(changes)


@pytest.mark.parametrize("knowledge", ["pipeline", "both"])
async def test_no_question_is_answered_from_a_pipeline_that_does_not_exist(store: TenantSettingsStore, knowledge: Any):
    with pytest.raises(InvalidInput, match="there is no pipeline"):
        await store.change("user:ann", "acme", settings_of(knowledge=knowledge))


def test_filters_that_are_no_json_are_refused():
    with pytest.raises(ValidationError, match="must be JSON"):
        Pipeline(organization="o", pipeline="p", filters=({"a": {1, 2}},))


def test_filters_that_are_nested_too_deep_are_refused_without_falling_into_them():
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ValidationError, match="filters"):
        Pipeline(organization="o", pipeline="p", filters=(deep,))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://models.example.com/v1",
        "http://models.example.com/v1",
        "https://user:word@models.example.com/v1",
        "https://models.example.com:8443/v1",
        "https://models.example.com/v1?key=1",
        "https://mod els.example.com/v1",
        "//models.example.com",
        "",
        "https://" + "x" * 3000,
    ],
)
def test_a_url_that_a_tenant_may_not_name_is_refused(url: str):
    with pytest.raises(InvalidInput, match="upstream_url"):
        with_allowed_servers(settings_of(upstream_url=url))
    with pytest.raises(InvalidInput, match="anthropic_url"):
        with_allowed_servers(settings_of(anthropic_url=url))


def test_a_pipeline_s_url_is_checked_too():
    with pytest.raises(InvalidInput, match=r"pipeline\.url"):
        with_allowed_servers(settings_of(pipeline={"url": "http://gateway.example/retrieve"}))


def test_urls_are_kept_in_their_canonical_form():
    settings = settings_of(
        upstream_url="https://Models.Example.com:443/v1/", anthropic_url="https://claude.example.com/v1/"
    )
    kept = with_allowed_servers(settings)
    assert kept.interceptor.upstream_url == "https://models.example.com/v1"
    assert kept.interceptor.anthropic_url == "https://claude.example.com"
    assert with_allowed_servers(kept) == kept


def test_a_host_that_the_operator_allows_may_be_private_and_without_tls():
    settings = settings_of(upstream_url="http://models.intranet:8000/v1")
    assert with_allowed_servers(settings, allowed=frozenset({"models.intranet:8000"})) == settings
    with pytest.raises(InvalidInput):
        with_allowed_servers(settings, allowed=frozenset({"models.intranet:8001"}))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("upstream", ""),
        ("upstream", "two words"),
        ("anthropic", "line\r\nx-evil: 1"),
        ("pipeline", "kéy"),
        ("upstream", "k" * 8193),
        ("librechat", "too short"),
        ("librechat", "k" * 16 + "\n"),
        ("nothing", "key"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_key_that_cannot_be_one_is_refused_without_being_quoted(
    store: TenantSettingsStore, name: str, key: str
):
    with pytest.raises(InvalidInput) as refused:
        await store.change("user:ann", "acme", TenantSettings(), {name: key})
    assert name in refused.value.message
    assert len(key) < 4 or key not in refused.value.message
    assert await store.stored("acme") is None


async def test_the_form_of_a_pipeline_s_token_is_checked_before_it_is_kept(stores: Stores):
    def refuse(token: str, pipeline: Pipeline | None) -> None:
        assert (token, pipeline) == (KEY, ELABORATE.knowledge.pipeline)
        raise ConfigurationError("The token has expired. Make another one.")

    store = store_of(stores, check_token=refuse)
    with pytest.raises(InvalidInput, match="expired"):
        await store.change("user:ann", "acme", ELABORATE, {"pipeline": KEY})
    await store.change("user:ann", "acme", UPSTREAM, {"upstream": KEY, "pipeline": None})
    assert keys_of(await store.get("acme")) == {"upstream": KEY}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@profile(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow to draw
@given(st.dictionaries(st.sampled_from(sorted(SETTINGS)), JSON, max_size=4))
def test_whatever_is_stored_is_read_or_refused_and_stays_as_it_is(values: dict[str, Any]):
    try:
        once = from_flat(values, lenient=True)
    except InvalidInput:
        return
    assert from_flat(flat(once)) == once
