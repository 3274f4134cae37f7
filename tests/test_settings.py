"""Settings come from the environment, are checked, and are all documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.errors import ConfigurationError
from ragstone.settings import env_example, load_settings

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
