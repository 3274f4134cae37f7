"""Settings come from the environment, are checked, and are all documented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ragstone.errors import ConfigurationError
from ragstone.settings import Settings, SettingsOverrides, env_example, load_settings
from ragstone.wiring import open_platform

REPOSITORY = Path(__file__).resolve().parent.parent
KEY = "k" * 32


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_example_file_lists_every_setting_with_its_default():
    assert (REPOSITORY / ".env.example").read_text(encoding="utf-8") == env_example()


def test_a_variable_reaches_its_setting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAGSTONE_INGESTION__MAX_TOKENS", "300")
    assert load_settings().ingestion.max_tokens == 300


def test_keys_are_separated_by_commas_and_never_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAGSTONE_SERVER__API_KEYS", f"{KEY}a, {KEY}b")
    settings = load_settings()
    assert [key.get_secret_value() for key in settings.server.api_keys] == [f"{KEY}a", f"{KEY}b"]
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RAGSTONE_SERVER__API_KEYS", "short", "at least 32 characters"),
        ("RAGSTONE_SERVER__PORT", "70000", "RAGSTONE_SERVER__PORT"),
        ("RAGSTONE_SERVER__PROT", "8000", "RAGSTONE_SERVER__PROT"),
        ("RAGSTONE_ANSWER__PROVIDER", "openai", "RAGSTONE_ANSWER__MODEL"),
        ("RAGSTONE_INGESTION__OVERLAP_TOKENS", "400", "at most half"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said):
        load_settings()


def test_a_short_key_is_not_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAGSTONE_SERVER__API_KEYS", "hunter2hunter2")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAGSTONE_DATA_DIR", "from-environment")
    assert load_settings(data_dir="from-argument").data_dir == Path("from-argument")


@pytest.mark.parametrize(
    ("given", "wrong", "right"),
    [
        ({"data_dirr": "x"}, "data_dirr", "data_dir"),
        ({"embeding": {"model": "hashing"}}, "embeding", "embedding"),
        ({"embedding": {"modle": "hashing"}}, "RAGSTONE_EMBEDDING__MODLE", "RAGSTONE_EMBEDDING__MODEL"),
        ({"vectorize": {"organisation": "x"}}, "RAGSTONE_VECTORIZE__ORGANISATION", "RAGSTONE_VECTORIZE__ORGANIZATION"),
    ],
)
def test_an_unknown_keyword_is_refused_with_the_nearest_name(given: dict[str, Any], wrong: str, right: str):
    with pytest.raises(ConfigurationError, match=rf"{wrong}: is not a setting; did you mean {right}\?"):
        load_settings(**given)


async def test_open_platform_refuses_an_unknown_keyword():
    with pytest.raises(ConfigurationError, match="did you mean data_dir"):
        async with open_platform(data_dirr="x"):  # type: ignore[call-arg]  # mypy refuses it too
            pass


UNKNOWN = [
    ("RAGSTONE_DATADIR", "RAGSTONE_DATA_DIR"),
    ("RAGSTONE_EMBEDING__MODEL", "RAGSTONE_EMBEDDING__MODEL"),
    ("RAGSTONE_INTERCEPTOR__LIMITS", "RAGSTONE_INTERCEPTOR__LIMIT"),
    ("RAGSTONE_ANSWR__API_KEY", "RAGSTONE_ANSWER__API_KEY"),
]


@pytest.mark.parametrize(("wrong", "right"), UNKNOWN)
def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch, wrong: str, right: str):
    monkeypatch.setenv(wrong, "x")
    with pytest.raises(ConfigurationError, match=rf"{wrong}: is not a setting; did you mean {right}\?"):
        load_settings()


@pytest.mark.parametrize(("wrong", "right"), UNKNOWN)
def test_an_unknown_name_in_the_env_file_is_refused_too(tmp_path: Path, wrong: str, right: str):
    (tmp_path / ".env").write_text(f"{wrong}=x\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"{wrong}: is not a setting; did you mean {right}\?"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAGSTONE_DEBUG", "1"),
        ("RAGSTONE_KEY", "rs_sk_x"),
        ("RAGSTONE_OPEN_DATA", "/data"),
        ("RAGSTONE_TEST_SOURCE", "/src"),
        ("RAGSTONE_HOUSE_API_KEY", "sk-x"),
        ("RAGSTONE_SERVER", '{"port": 8001}'),
        ("RAGSTONE_INTERCEPTOR__MODELS__house", "gpt"),
        ("RAGSTONE_DATADIR", ""),
    ],
)
def test_other_variables_with_the_prefix_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    load_settings()


def test_the_typed_keywords_are_the_settings():
    assert SettingsOverrides.__annotations__.keys() == Settings.model_fields.keys()
