"""The rules of the house that a script can see. Each has a planted breach that it catches."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCE = REPOSITORY / "src" / "ragstone"
MAX_LINES = 600
LONG_BECAUSE = "# house: long because"
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
EDGES = {
    "worker.py",
    "http/middleware.py",
    "http/streaming.py",
    "documents/sandbox.py",
    "index/qdrant_edge/process.py",
    "interceptor/enrich.py",  # retrieval fails open here
}
ADAPTERS = {
    "ragstone.index.memory",
    "ragstone.index.qdrant_edge.index",
    "ragstone.embedding.minilm",
    "ragstone.embedding.hashing",
    "ragstone.llm.openai",
    "ragstone.llm.anthropic",
}


def modules(folder: Path = SOURCE) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broad_excepts(tree: ast.Module) -> int:
    broad = {"Exception", "BaseException"}
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    return sum(
        1
        for handler in handlers
        if not isinstance(handler.body[-1], ast.Raise)
        and (handler.type is None or broad & {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)})
    )


def selects(tree: ast.Module) -> int:
    names = {"select", "update", "delete"}
    direct = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
        if alias.name in names
    }
    return sum(
        1
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in direct)
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in names
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"sa", "sqlalchemy"}
            )
        )
    )


def module_prints(tree: ast.Module) -> int:
    return sum(
        1
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    )


def test_a_module_is_short_or_says_why_not():
    too_long = [
        f"{name_of(path)}: {lines}"
        for path in modules()
        if (lines := len((text := path.read_text(encoding="utf-8")).splitlines())) > MAX_LINES
        and LONG_BECAUSE not in text
    ]
    assert not too_long


def test_no_module_is_named_for_nothing():
    assert not [name_of(path) for path in modules() if path.stem in FORBIDDEN_NAMES]


def test_only_the_edges_of_a_process_swallow_everything():
    assert not [name_of(path) for path in modules() if name_of(path) not in EDGES and broad_excepts(parsed(path))]


def test_the_rule_against_swallowing_everything_sees_each_form():
    swallow = (
        "try: pass\nexcept Exception: pass\ntry: pass\nexcept (OSError, BaseException): pass\ntry: pass\nexcept: pass"
    )
    assert broad_excepts(ast.parse(swallow)) == 3
    assert broad_excepts(ast.parse("try: pass\nexcept Exception as error:\n    raise ValueError from error")) == 0


def test_tenant_tables_are_reached_through_scoped_statements_only():
    home = ("storage/database.py", "storage/migrations/")
    assert not [name_of(path) for path in modules() if not name_of(path).startswith(home) and selects(parsed(path))]


def test_the_rule_against_unscoped_statements_sees_each_form():
    assert selects(ast.parse("from sqlalchemy import select as s\ns(t)\nimport sqlalchemy as sa\nsa.delete(t)")) == 2


def test_only_wiring_names_an_adapter():
    named = {
        (name_of(path), module)
        for path in modules()
        if not name_of(path).startswith("wiring/")
        for module in imported(parsed(path))
        if module in ADAPTERS
    }
    assert not named


def test_nothing_is_printed_but_by_the_command_line():
    assert not [
        name_of(path) for path in modules() if not name_of(path).startswith("cli/") and module_prints(parsed(path))
    ]


def test_tests_neither_patch_nor_sleep():
    forbidden = re.compile(r"monkeypatch\.setattr|mock\.patch|mocker\.patch|\bsleep\((?!0\))")
    exempt = {Path(__file__).name, "waiting.py"}
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        if path.name not in exempt
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not found


def strangers(tree: ast.Module) -> set[str]:
    """Imported modules other than `ragstone` itself, pytest and the standard library."""
    modules = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."])
    }
    known = {*sys.stdlib_module_names, "pytest"}
    return {name for name in modules if name != "ragstone" and name.partition(".")[0] not in known}


def test_tests_of_the_public_library_import_the_package_alone():
    public = sorted((REPOSITORY / "tests" / "public").rglob("*.py"))
    assert public
    assert not [(path.name, name) for path in public for name in strangers(parsed(path))]


def test_the_rule_of_public_tests_sees_each_stranger():
    text = "import os, numpy, pytest\nimport ragstone.errors\nfrom ragstone import ask\nfrom tests.platforms import x"
    assert strangers(ast.parse(text)) == {"numpy", "ragstone.errors", "tests.platforms"}


def test_the_lock_names_no_download_address_and_hashes_everything():
    for lock in sorted((REPOSITORY / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        pins = [block for block in re.split(r"\n(?=\S)", text) if "==" in block]
        assert pins
        assert all("--hash=sha256:" in pin for pin in pins)


BREACHES = {
    "a floor imports upwards": ("vocabulary.py", "import ragstone.wiring"),
    "inside a function": ("errors.py", "def _breach() -> None:\n    import ragstone.storage.schema"),
    "under TYPE_CHECKING": ("errors.py", "import typing\nif typing.TYPE_CHECKING:\n    import ragstone.chat.ask"),
    "siblings know each other": ("index/base.py", "import ragstone.embedding.base"),
}


def lint_imports(folder: Path) -> int:
    script = (
        "import sys; from importlinter.cli import lint_imports;"
        "sys.path.insert(0, 'src'); sys.exit(lint_imports(no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        env={"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin"},
        check=False,
    ).returncode


@pytest.fixture
def a_copy(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "src" / "ragstone", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_import_contracts_hold(a_copy: Path):
    assert lint_imports(a_copy) == 0


@pytest.mark.parametrize("breach", BREACHES)
def test_the_import_contracts_catch_a_breach(a_copy: Path, breach: str):
    module, line = BREACHES[breach]
    with (a_copy / "src" / "ragstone" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    assert lint_imports(a_copy) == 1
