"""Settings go from one process image to the next, whole, and out of sight."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from ragstone.errors import ConfigurationError
from ragstone.intercepting.handing_over import handed_over, read, taken_over, written
from ragstone.settings import Settings
from tests.platforms import small_settings

TOKEN = "canary-token-" + "t" * 40


def full_settings(folder: Path) -> Settings:
    """Something in every kind of field."""
    return small_settings(
        folder,
        server={"api_keys": ["k" * 40, "l" * 40]},
        vectorize={"token": TOKEN, "url": "http://127.0.0.1:1/x", "filters": [{"department": ["eng", "ops"]}]},
        interceptor={"models": {"house": "gpt-5"}, "plain_models": "a,b", "budget_s": 0.5},
        outbound={"allowed_hosts": "127.0.0.1:1"},
        librechat={"upload_root": folder},
    )


def same(given: BaseModel, taken: object) -> bool:
    """Whether each field has the same value in both, secrets opened."""
    for name in type(given).model_fields:
        one, other = getattr(given, name), getattr(taken, name)
        if isinstance(one, BaseModel):
            assert same(one, other), name
        else:
            assert opened(one) == opened(other), name
    return True


def opened(value: object) -> object:
    """The value with its secrets in the open."""
    if isinstance(value, tuple):
        return tuple(opened(one) for one in value)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_every_setting_arrives(tmp_path: Path):
    settings = full_settings(tmp_path)
    assert same(settings, read(written(settings)))


def test_the_pipe_holds_them_until_they_are_read_once(tmp_path: Path):
    settings = full_settings(tmp_path)
    pipe = handed_over(settings)
    assert os.get_inheritable(pipe)
    assert same(settings, taken_over(pipe))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe)


def test_a_secret_is_not_shown_on_the_other_side(tmp_path: Path):
    taken = read(written(full_settings(tmp_path)))
    assert TOKEN not in repr(taken)


def test_more_than_a_pipe_holds_is_refused_in_a_sentence(tmp_path: Path):
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    patterns = {f"p{number}": "x" * 900 for number in range(100)}
    with pytest.raises(ConfigurationError, match="longer than 65536 bytes"):
        handed_over(small_settings(tmp_path, privacy={"patterns": patterns}))
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
