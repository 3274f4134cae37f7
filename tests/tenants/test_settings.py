"""What a tenant sets up for its interceptor is checked, sealed, its own, and in force at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from ragstone.errors import ConfigurationError, InvalidInput
from ragstone.identity.cache_revision import CacheRevision
from ragstone.storage import schema
from ragstone.storage.database import scoped, scoped_insert, scoped_update
from ragstone.tenants.settings import (
    FIELDS,
    KEY_NAMES,
    MAX_FILTERS_CHARS,
    Interceptor,
    InterceptorKeys,
    InterceptorSettings,
    Pipeline,
    checked,
    checked_fields,
)
from ragstone.tenants.settings_store import Interceptors
from ragstone.vocabulary import Scope
from tests.identity.conftest import Office, on_both

KEY = "sk-canary-7c41"
OPERATORS = Interceptor(InterceptorSettings(upstream_url="http://10.0.0.7:8000/v1"), InterceptorKeys(upstream="op"))
ALL_OPERATORS = Interceptor(
    InterceptorSettings(
        upstream_url="http://10.0.0.7:8000/v1",
        anthropic_url="http://10.0.0.8",
        models={"house": "gpt"},
        knowledge="both",
        pipeline=Pipeline(organization="op", pipeline="aip"),
    ),
    InterceptorKeys(upstream="op-key", anthropic="op-key", pipeline="op-token", librechat="op-secret"),
)
ELABORATE = InterceptorSettings(
    enabled=False,
    rollout_percent=7,
    collection="books",
    limit=50,
    context_tokens=64,
    context_window=1024,
    budget_s=5.0,
    source_list=False,
    streams_only=True,
    upstream_url="https://models.example.com/v1",
    anthropic_url="https://claude.example.com",
    models={"house": "gpt-4o-mini"},
    plain_models=("titles",),
    knowledge="both",
    pipeline=Pipeline(organization="org-1", pipeline="aip-1", rerank=True, filters=({"department": ["eng"]},)),
    mask_context=True,
    mask_answers=True,
)
UPSTREAM = InterceptorSettings(upstream_url="https://models.example.com/v1")


def interceptors_of(office: Office, changes: CacheRevision | None = None, **options: Any) -> Interceptors:
    made = {"defaults": lambda tenant: OPERATORS if tenant == "acme" else Interceptor(), **options}
    return Interceptors(office.database, office.secret, office.audit, changes or CacheRevision(office.database), **made)


@pytest.fixture
def interceptors(office: Office) -> Interceptors:
    return interceptors_of(office)


def replace_settings(interceptor: Interceptor, **changes: Any) -> Interceptor:
    return replace(interceptor, settings=replace(interceptor.settings, **changes))


async def stored_row(office: Office, tenant: str = "acme") -> Any:
    async with office.database.read(tenant) as connection:
        return (await connection.execute(scoped(schema.interceptors, tenant))).one()


async def store(office: Office, settings: object, keys: object) -> None:
    """Write past the code under test."""
    async with office.database.write("acme") as connection:
        now = datetime.fromisoformat("2026-11-21T10:00:00+00:00")
        values = {"settings": settings, "keys": keys, "updated_at": now}
        await connection.execute(scoped_insert(schema.interceptors, Scope("acme")), values)


@on_both
async def test_settings_and_keys_come_back_as_they_were_set(interceptors: Interceptors):
    keys = {name: f"{name}-canary-{'k' * 20}" for name in KEY_NAMES}
    stored = await interceptors.change("user:ann", "acme", ELABORATE, keys)
    found = await interceptors.get("acme")
    assert found.settings == stored.settings == ELABORATE
    assert found.keys == InterceptorKeys(**keys)
    assert stored.keys_set == dict.fromkeys(KEY_NAMES, stored.updated_at)
    assert await interceptors.stored("acme") == stored
    await interceptors.change("user:ann", "acme", replace(ELABORATE, limit=3), {"librechat": None})
    changed = await interceptors.get("acme")
    assert changed.settings.limit == 3
    assert changed.keys == InterceptorKeys(**keys | {"librechat": None})


@on_both
async def test_a_tenant_that_set_up_nothing_has_the_defaults_and_goes_back_to_them(interceptors: Interceptors):
    assert await interceptors.get("acme") == OPERATORS
    assert await interceptors.stored("acme") is None
    await interceptors.change("user:ann", "acme", UPSTREAM)
    assert await interceptors.get("other") == Interceptor()
    await interceptors.remove("user:ann", "acme")
    assert await interceptors.get("acme") == OPERATORS


@pytest.mark.parametrize(
    "settings",
    [
        UPSTREAM,
        InterceptorSettings(anthropic_url="https://claude.example.com"),
        InterceptorSettings(upstream_url="https://models.example.com/v1", pipeline=Pipeline(url="https://g.example/r")),
    ],
    ids=["upstream", "anthropic", "pipeline"],
)
async def test_a_url_of_the_tenant_never_gets_a_key_of_the_operator(office: Office, settings: InterceptorSettings):
    interceptors = interceptors_of(office, defaults=lambda _: ALL_OPERATORS)
    await interceptors.change("user:ann", "acme", settings)
    found = await interceptors.get("acme")
    assert (found.keys.upstream, found.keys.anthropic) == (None, None)
    assert (found.settings.upstream_url, found.settings.models) == (settings.upstream_url, {})
    assert found.keys.pipeline == (None if settings.pipeline else "op-token")


async def test_who_names_no_server_has_the_operator_s_with_its_key_and_its_models_alone(office: Office):
    interceptors = interceptors_of(office, defaults=lambda _: ALL_OPERATORS)
    own = InterceptorSettings(limit=3, models={"dear": "gpt-dear"}, knowledge="pipeline")
    await interceptors.change("user:ann", "acme", own, {"upstream": "mine", "librechat": "l" * 16})
    found = await interceptors.get("acme")
    assert found.keys == replace(ALL_OPERATORS.keys, librechat="l" * 16)
    assert found.settings == replace(ALL_OPERATORS.settings, limit=3, knowledge="pipeline")


async def test_a_pipeline_that_the_operator_takes_away_is_done_without(office: Office):
    await interceptors_of(office, defaults=lambda _: ALL_OPERATORS).change(
        "user:ann", "acme", InterceptorSettings(knowledge="both")
    )
    assert await interceptors_of(office, defaults=lambda _: Interceptor()).get("acme") == Interceptor()


async def test_a_change_begins_with_what_holds_but_for_the_operator_s_servers(office: Office):
    interceptors = interceptors_of(office, defaults=lambda _: replace_settings(ALL_OPERATORS, limit=5))
    begun = await interceptors.to_change("acme")
    assert begun == InterceptorSettings(limit=5, knowledge="both")
    before = await interceptors.get("acme")
    await interceptors.change("user:ann", "acme", begun)
    assert await interceptors.get("acme") == before
    assert await interceptors.to_change("acme") == begun


async def test_no_key_stands_in_the_database_or_the_record_or_a_representation(
    interceptors: Interceptors, office: Office
):
    await interceptors.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    row = await stored_row(office)
    (entry,) = await office.audit.entries("acme", limit=1)
    for shown in (row.settings, row.keys, entry, await interceptors.get("acme"), await interceptors.stored("acme")):
        assert KEY not in repr(shown)


async def test_each_change_is_on_record_with_names_of_keys_and_hosts_alone(interceptors: Interceptors, office: Office):
    url = "https://models.example.com/v1/token-in-the-path"
    await interceptors.change("user:ann", "acme", InterceptorSettings(upstream_url=url), {"upstream": KEY})
    await interceptors.change("user:bob", "acme", InterceptorSettings(), {"upstream": None, "librechat": "s" * 16})
    await interceptors.remove("key:1", "acme")
    await interceptors.remove("key:1", "acme")
    entries = [each for each in await office.audit.entries("acme") if each.action.startswith("interceptor")][::-1]
    assert [(each.actor, each.action) for each in entries] == [
        ("user:ann", "interceptor.changed"),
        ("user:bob", "interceptor.changed"),
        ("key:1", "interceptor.removed"),
    ]
    assert entries[0].details["upstream"] == "models.example.com:443"
    assert "token-in-the-path" not in repr(entries)
    assert (entries[1].details["keys_set"], entries[1].details["keys_removed"]) == ("librechat", "upstream")


async def test_what_is_known_costs_no_statement_until_something_changes(interceptors: Interceptors, office: Office):
    await interceptors.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    await interceptors.get("acme")
    await interceptors.get("other")
    asked = office.database.asked
    for _ in range(3):
        await interceptors.get("acme")
        await interceptors.get("other")
    assert office.database.asked == asked
    interceptors.forget()
    await interceptors.get("acme")
    assert office.database.asked == asked + 1


async def test_a_change_holds_in_this_process_at_once_and_elsewhere_when_it_is_told(office: Office):
    changes = CacheRevision(office.database)
    here, there = interceptors_of(office), interceptors_of(office, changes)
    assert [await each.get("other") for each in (here, there)] == [Interceptor()] * 2
    await here.change("user:ann", "other", ELABORATE)
    assert (await here.get("other")).settings == ELABORATE
    assert (await there.get("other")).settings == InterceptorSettings()
    changes.tell()
    assert (await there.get("other")).settings == ELABORATE


async def test_what_was_read_while_it_changed_is_not_remembered(interceptors: Interceptors, office: Office):
    async def change() -> None:
        await interceptors.change("user:ann", "acme", UPSTREAM)

    office.database.meanwhile = change
    assert await interceptors.get("acme") == OPERATORS
    assert (await interceptors.get("acme")).settings == UPSTREAM


async def test_only_so_many_tenants_are_remembered(office: Office):
    interceptors = interceptors_of(office, remember_most=2)
    for tenant in ("acme", "other", "third"):
        await interceptors.get(tenant)
    asked = office.database.asked
    await interceptors.get("third")
    await interceptors.get("other")
    assert office.database.asked == asked
    await interceptors.get("acme")
    assert office.database.asked == asked + 1


@pytest.mark.parametrize(
    "moved",
    [
        InterceptorSettings(upstream_url="https://evil.example/v1"),
        InterceptorSettings(upstream_url="https://models.example.com.evil.example/v1"),
        InterceptorSettings(),
    ],
    ids=["another host", "a longer host", "none"],
)
async def test_a_key_that_stays_is_not_sent_to_another_server(interceptors: Interceptors, moved: InterceptorSettings):
    await interceptors.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    with pytest.raises(InvalidInput, match="upstream key was set for another server"):
        await interceptors.change("user:eve", "acme", moved)
    assert (await interceptors.get("acme")).settings == UPSTREAM
    await interceptors.change("user:ann", "acme", moved, {"upstream": None})
    assert (await interceptors.get("acme")).keys.upstream != KEY


async def test_a_key_stays_where_only_the_path_changes_and_goes_along_when_it_is_sent(interceptors: Interceptors):
    await interceptors.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    await interceptors.change("user:ann", "acme", InterceptorSettings(upstream_url="https://models.example.com/v2"))
    assert (await interceptors.get("acme")).keys.upstream == KEY
    await interceptors.change(
        "u", "acme", InterceptorSettings(upstream_url="https://new.example/v1"), {"upstream": "k"}
    )
    assert (await interceptors.get("acme")).keys.upstream == "k"


async def test_a_pipeline_s_token_goes_to_its_place_alone(interceptors: Interceptors):
    await interceptors.change("user:ann", "acme", ELABORATE, {"pipeline": KEY})
    moved = replace(ELABORATE, pipeline=Pipeline(url="https://evil.example/retrieve"))
    with pytest.raises(InvalidInput, match="pipeline key was set for another server"):
        await interceptors.change("user:eve", "acme", moved)


async def test_a_sealed_key_of_another_tenant_opens_nothing(interceptors: Interceptors, office: Office):
    await interceptors.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    await interceptors.change("user:eve", "other", UPSTREAM, {"upstream": "mine"})
    row = await stored_row(office)
    async with office.database.write("other") as connection:
        await connection.execute(scoped_update(schema.interceptors, "other").values(keys=row.keys))
    interceptors.forget()
    with pytest.raises(ConfigurationError, match="upstream key of the tenant 'other'"):
        await interceptors.get("other")


async def test_a_key_that_cannot_be_opened_is_mended_by_setting_it_again(interceptors: Interceptors, office: Office):
    keys = {"upstream": {"sealed": "v1:AAAA", "at": "yesterday"}}
    await store(office, {"upstream_url": "https://models.example.com/v1"}, keys)
    with pytest.raises(ConfigurationError, match="Set it again"):
        await interceptors.get("acme")
    stored = await interceptors.stored("acme")
    assert stored
    assert stored.keys_set == {"upstream": stored.updated_at}
    await interceptors.change("user:ann", "acme", UPSTREAM, {"upstream": KEY})
    assert (await interceptors.get("acme")).keys.upstream == KEY


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
        ({"pipeline": {"url": 7}}, "pipeline url"),
        ({"upstream_url": 7}, "upstream_url"),
        ({"enabled": "yes"}, "enabled"),
        ({"collection": "../x"}, "collection"),
        ("settings", "no JSON object"),
        ([], "no JSON object"),
    ],
    ids=str,
)
async def test_a_stored_value_that_cannot_be_is_named_in_a_sentence(
    interceptors: Interceptors, office: Office, settings: object, field: str
):
    await store(office, settings, {})
    with pytest.raises(ConfigurationError, match=field):
        await interceptors.get("acme")
    await interceptors.change("user:ann", "acme", UPSTREAM)
    assert (await interceptors.get("acme")).settings == UPSTREAM


@pytest.mark.parametrize("keys", [None, [], "x", {"upstream": None}, {"upstream": "sealed"}, {"upstream": {"at": 7}}])
async def test_stored_keys_of_no_form_are_refused_or_nothing(office: Office, keys: object):
    interceptors = interceptors_of(office, defaults=lambda _: Interceptor())
    await store(office, {}, keys)
    if isinstance(keys, dict):
        with pytest.raises(ConfigurationError):
            await interceptors.get("acme")
    else:
        assert (await interceptors.get("acme")).keys == InterceptorKeys()


async def test_what_an_older_or_newer_version_wrote_is_read(office: Office):
    interceptors = interceptors_of(office, defaults=lambda _: Interceptor())
    await store(office, {"limit": 3, "telepathy": {"on": True}}, {"telepathy": {"sealed": "v9:…"}})
    assert await interceptors.get("acme") == Interceptor(InterceptorSettings(limit=3))


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
        ({"plain_models": (" m",)}, "plain_models"),
        ({"pipeline": Pipeline(organization="org")}, "pipeline"),
        ({"pipeline": Pipeline(organization="../v2", pipeline="p")}, "organization"),
        ({"pipeline": Pipeline(organization="o", pipeline="p?x=1")}, "pipeline"),
        ({"pipeline": Pipeline(organization="o", pipeline="p", filters=({"a": "x" * MAX_FILTERS_CHARS},))}, "filters"),
        ({"pipeline": Pipeline(organization="o", pipeline="p", filters=({"a": {1, 2}},))}, "filters"),
        ({"pipeline": Pipeline(organization="o", pipeline="p", filters=({"a": float("inf")},))}, "filters"),
        ({"pipeline": Pipeline(organization="o", pipeline="p", filters=({},) * 21)}, "filters"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_setting_outside_of_its_range_is_refused_by_name(changes: dict[str, Any], named: str):
    with pytest.raises(InvalidInput, match=named):
        checked(replace(InterceptorSettings(), **changes))


@pytest.mark.parametrize("knowledge", ["pipeline", "both"])
async def test_nobody_is_answered_from_a_pipeline_that_there_is_not(interceptors: Interceptors, knowledge: Any):
    with pytest.raises(InvalidInput, match="there is no pipeline"):
        await interceptors.change("user:ann", "acme", InterceptorSettings(knowledge=knowledge))


def test_filters_that_are_nested_too_deep_are_refused_without_falling_into_them():
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    pipeline = Pipeline(organization="o", pipeline="p", filters=(deep,))
    with pytest.raises(InvalidInput, match="filters"):
        checked(InterceptorSettings(pipeline=pipeline))


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
        checked(InterceptorSettings(upstream_url=url))
    with pytest.raises(InvalidInput, match="anthropic_url"):
        checked(InterceptorSettings(anthropic_url=url))


def test_a_pipeline_s_url_is_checked_too():
    with pytest.raises(InvalidInput, match=r"pipeline\.url"):
        checked(InterceptorSettings(pipeline=Pipeline(url="http://gateway.example/retrieve")))


def test_urls_are_kept_in_their_canonical_form():
    settings = InterceptorSettings(
        upstream_url="https://Models.Example.com:443/v1/", anthropic_url="https://claude.example.com/v1/"
    )
    kept = checked(settings)
    assert kept.upstream_url == "https://models.example.com/v1"
    assert kept.anthropic_url == "https://claude.example.com"
    assert checked(kept) == kept


def test_a_host_that_the_operator_allows_may_be_private_and_without_tls():
    settings = InterceptorSettings(upstream_url="http://models.intranet:8000/v1")
    assert checked(settings, allowed=frozenset({"models.intranet:8000"})) == settings
    with pytest.raises(InvalidInput):
        checked(settings, allowed=frozenset({"models.intranet:8001"}))


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
    interceptors: Interceptors, name: str, key: str
):
    with pytest.raises(InvalidInput) as refused:
        await interceptors.change("user:ann", "acme", InterceptorSettings(), {name: key})
    assert name in refused.value.message
    assert len(key) < 4 or key not in refused.value.message
    assert await interceptors.stored("acme") is None


async def test_the_form_of_a_pipeline_s_token_is_checked_before_it_is_kept(office: Office):
    def refuse(token: str, pipeline: Pipeline | None) -> None:
        assert (token, pipeline) == (KEY, ELABORATE.pipeline)
        raise ConfigurationError("The token has expired. Make another one.")

    interceptors = interceptors_of(office, check_token=refuse)
    with pytest.raises(InvalidInput, match="expired"):
        await interceptors.change("user:ann", "acme", ELABORATE, {"pipeline": KEY})
    await interceptors.change("user:ann", "acme", UPSTREAM, {"upstream": KEY, "pipeline": None})
    assert (await interceptors.get("acme")).keys == InterceptorKeys(upstream=KEY)


def test_every_setting_has_a_check():
    assert FIELDS.keys() == set(InterceptorSettings.__slots__)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@profile(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow to draw
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON, max_size=4))
def test_whatever_is_stored_is_read_or_refused_and_stays_as_it_is(values: dict[str, Any]):
    try:
        once = checked_fields(values, FIELDS)
    except InvalidInput:
        return
    assert checked_fields(once, FIELDS) == once
