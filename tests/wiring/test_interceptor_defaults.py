"""A tenant that has set up nothing has the operator's interceptor, and of his secrets what is meant for it."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from ragstone.errors import InvalidInput
from ragstone.settings import tenant_defaults
from ragstone.tenants.settings import (
    InterceptorSettings,
    Pipeline,
    PrivacySettings,
    TenantSettings,
    from_flat,
    with_keys,
    without_keys,
)
from tests.platforms import small_platform, small_settings

EXPIRED = jwt.encode({"exp": 1_700_000_000}, "k" * 32, algorithm="HS256")
VECTORIZE = {"organization": "org", "pipeline": "aip", "token": "t" * 20, "filters": [{"a": ["b"]}], "rerank": True}


def test_a_first_run_enriches_from_its_own_index_and_answers_itself():
    assert tenant_defaults(small_settings(Path()), "default") == TenantSettings()


def test_every_tenant_has_the_upstream_of_the_settings():
    given = {
        "upstream_url": "http://10.0.0.7:8000/v1/",
        "upstream_key": "up",
        "anthropic_key": "an",
        "models": {"a": "b"},
        "plain_models": "titles, labels",
        "rollout_percent": 5,
    }
    settings = small_settings(Path(), interceptor=given, privacy={"mask_answers": True})
    for tenant in ("default", "acme"):
        found = tenant_defaults(settings, tenant)
        expected = TenantSettings(
            interceptor=InterceptorSettings(
                upstream_url="http://10.0.0.7:8000/v1",
                models={"a": "b"},
                plain_models=("titles", "labels"),
                rollout_percent=5,
            ),
            privacy=PrivacySettings(mask_answers=True),
        )
        assert found == with_keys(expected, {"upstream": "up", "anthropic": "an"})


@pytest.mark.parametrize(("mode", "knowledge"), [("alone", "pipeline"), ("fused", "both")])
def test_the_pipeline_of_the_settings_is_the_default_tenant_s_alone(mode: str, knowledge: str):
    settings = small_settings(Path(), vectorize={**VECTORIZE, "mode": mode})
    found = tenant_defaults(settings, "default")
    assert found.knowledge.source == knowledge
    assert found.knowledge.pipeline == Pipeline(
        organization="org", pipeline="aip", rerank=True, filters=({"a": ["b"]},)
    )
    assert found == with_keys(without_keys(found), {"pipeline": "t" * 20})
    assert tenant_defaults(settings, "acme") == TenantSettings()


@pytest.mark.parametrize("lacking", ["token", "pipeline", "organization"])
def test_half_a_pipeline_is_none(lacking: str):
    given = {name: value for name, value in VECTORIZE.items() if name != lacking}
    settings = small_settings(Path(), vectorize=given)
    assert tenant_defaults(settings, "default") == TenantSettings()


def test_the_secret_of_the_librechat_is_its_tenant_s():
    settings = small_settings(Path(), librechat={"jwt_secret": "j" * 32, "tenant": "acme"})
    assert tenant_defaults(settings, "acme") == with_keys(TenantSettings(), {"librechat": "j" * 32})
    assert tenant_defaults(settings, "default") == TenantSettings()


async def test_a_token_that_its_pipeline_cannot_take_is_refused_when_it_is_set(tmp_path: Path):
    named = from_flat({"pipeline": {"organization": "org", "pipeline": "aip"}})
    gateway = from_flat({"pipeline": {"url": "https://gateway.example.com/retrieve"}})
    async with small_platform(tmp_path) as platform:
        change = platform.tenancy.tenant_settings.change
        for settings, token in ((named, "no-token-at-all"), (named, EXPIRED), (gateway, EXPIRED)):
            with pytest.raises(InvalidInput, match="token"):
                await change("test", "default", settings, {"pipeline": token})
        await change("test", "default", gateway, {"pipeline": "no-token-at-all"})


async def test_an_open_platform_has_them_and_makes_links_where_browsers_reach_it(tmp_path: Path):
    settings = {"interceptor": {"limit": 3}, "server": {"public_url": "https://rag.example.com"}}
    async with small_platform(tmp_path, **settings) as platform:
        assert (await platform.tenancy.tenant_settings.get("acme")).interceptor.limit == 3
        link = platform.tenancy.source_links.link("default", "default", "0f", 1, 0, 5)
        assert link
        assert link.startswith("https://rag.example.com/sources/")
