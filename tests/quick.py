"""Marks the tests that need nothing but this process: `make test ARGS="-m quick"` runs them in less than a minute.

A test is not quick if its module, or that of a fixture it uses, imports something that opens a database, a server, a
model or a process, itself or through a helper in `tests`. So the mark follows from the imports, and is set by hand
nowhere. A quick test that opens such a thing all the same fails.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
HEAVY = (
    "asyncio.start_server",
    "http.server",
    "multiprocessing",
    "socket",
    "subprocess",
    "uvicorn",
    "ragstone.app",
    "ragstone.cli.main",
    "ragstone.documents.parser",
    "ragstone.embedding.minilm",
    "ragstone.index.qdrant_edge.index",
    "ragstone.inference.encoder",
    "ragstone.inference.judge",
    "ragstone.storage.database.Database",
    "ragstone.storage.sqlite",
    "ragstone.wiring",
)
"""Modules, and names in modules, with which a test opens what takes long."""

HEAVY_FIXTURES = frozenset({"open_data", "postgres", "redis_of_this_run", "redis_server"})
"""Fixtures of `tests/conftest.py`, whose module cannot tell, since every test loads it."""

HEAVY_EVENTS = frozenset({"socket.bind", "socket.connect", "sqlite3.connect", "subprocess.Popen"})
"""Audit events of Python that a quick test does not raise."""


def is_quick(item: pytest.Function) -> bool:
    """Whether the test, as its imports and fixtures say, needs nothing but this process."""
    fixtures = item._fixtureinfo.name2fixturedefs
    if HEAVY_FIXTURES & fixtures.keys():
        return False
    sources = {Path(each.func.__code__.co_filename) for named in fixtures.values() for each in named}
    ours = {source for source in sources if TESTS in source.parents} - {TESTS / "conftest.py"}
    return not any(_reaches_heavy(source) for source in (item.path, *ours))


@cache
def _reaches_heavy(path: Path) -> bool:
    """Whether a module of the tests imports something heavy, itself or through a helper."""
    names = set(_imported(path))
    if any(name == heavy or name.startswith(f"{heavy}.") for name in names for heavy in HEAVY):
        return True
    helpers = {TESTS.parent / f"{name.replace('.', '/')}.py" for name in names if name.startswith("tests.")}
    return any(_reaches_heavy(helper) for helper in helpers if helper.is_file() and helper != TESTS / "conftest.py")


def _imported(path: Path) -> Iterator[str]:
    """Dotted names of what a module imports, also inside functions, and of `asyncio.…` that it uses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio":
            yield f"asyncio.{node.attr}"


class OpenedWatch:
    """Notes what the running test opens, if the test is quick."""

    def __init__(self) -> None:
        self._opened: set[str] | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, _arguments: tuple[object, ...]) -> None:
        if self._opened is not None and event in HEAVY_EVENTS:
            self._opened.add(event)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self._opened = set() if item.get_closest_marker("quick") else None
        try:
            yield
        finally:
            opened, self._opened = self._opened, None
        if opened:
            pytest.fail(
                f"A quick test opened {sorted(opened)}. Name what it imports for that in tests/quick.py, HEAVY."
            )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(OpenedWatch())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare `-m quick` the import of modules that have no quick test."""
    is_module = collection_path.name.startswith("test_")
    return True if is_module and config.option.markexpr == "quick" and _reaches_heavy(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and is_quick(item):
            item.add_marker(pytest.mark.quick)
