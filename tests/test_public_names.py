"""`import ragstone` gives a user of the library everything, each name when it is asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import ragstone


@pytest.mark.parametrize("name", ragstone.__all__)
def test_every_public_name_is_there(name: str):
    assert getattr(ragstone, name) is not None
    assert name in dir(ragstone)


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        ragstone.nothing_like_it  # noqa: B018


def test_nothing_is_loaded_before_it_is_asked_for():
    script = "import sys, ragstone; print(sorted({'numpy', 'sqlalchemy', 'pydantic'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_both_platforms_have_the_same_methods_with_the_same_parameters():
    def face(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in methods if not name.startswith("_")}

    assert face(ragstone.Platform) == face(ragstone.SyncPlatform)


def test_the_parts_of_a_platform_are_private():
    public = {name for name in vars(ragstone.Platform) if not name.startswith("_")}
    assert public == {"ask", "close", "documents", "ingest", "remove", "search", "stream"}
