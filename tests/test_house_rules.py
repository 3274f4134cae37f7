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
# Each of these holds a story: it is what a newcomer opens, however few modules import it.
STORIES = {"submit", "ingest", "rebuild", "retrieve", "answer", "ask", "handle", "read"}
SINGLE_IMPORTER_BECAUSE = {
    "storage/sqlite.py": "an adapter of the backend in storage/transactions.py",
    "storage/postgres.py": "an adapter of the backend in storage/transactions.py",
    "ingestion/folders.py": "an adapter of the file system, with tests of its own",
    "interceptor/own_model.py": "answers chats in place of a server; the interceptor alone does without it",
    "interceptor/embeddings.py": "answers embeddings in place of a server; the interceptor alone does without it",
}
MAX_CONSTRUCTOR_ARGUMENTS = 6  # beyond these a class takes one frozen object of its parts
MERGED_LINES = 450  # a module that grows beyond this by a merge is harder to read than two
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
EDGES = {
    "worker.py",
    "http/middleware.py",
    "documents/sandbox.py",
    "index/qdrant_edge/process.py",
    "interceptor/handle.py",  # reading, deciding and enriching fail open here
    "wiring/sync_platform.py",  # passes an error on from its thread to the caller of another
}
MADE_OF_PORTS = {
    "retrieval/retrieve.py": "the hybrid search over an embedder and an index",
    "retrieval/cache.py": "a cache before another retriever",
    "retrieval/router.py": "chooses and fuses other retrievers",
    "embedding/cache.py": "a cache before another embedder",
    "llm/guarded.py": "retries and a circuit around another language model",
    "generation/prompted.py": "asks any language model",
}
"""Modules that implement a port by means of other ports: no adapters. Every other implementation is one."""
COMPOSITION_ROOTS = ("wiring/",)
"""Where adapters may be named. The interceptor that runs alone opens its parts itself: that module is its wiring."""


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


def module_name(path: Path, source: Path) -> str:
    parts = ("ragstone", *path.relative_to(source).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def importers(source: Path) -> dict[str, set[str]]:
    """Module name → names of the modules that import it or something from it."""
    names = {module_name(path, source): path for path in modules(source)}
    found: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        wanted = set(imported(parsed(path)))
        for module in wanted & names.keys():
            found[module].add(name)
    return found


def is_pure(tree: ast.Module) -> bool:
    """Whether a module neither waits nor speaks SQL."""
    waits = any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree))
    return not waits and not any(name.startswith("sqlalchemy") for name in imported(tree))


def may_have_a_single_importer(path: Path, source: Path) -> bool:
    """Adapters, route modules, commands, process entries, stories, and pure algorithms with tests of their own."""
    place, package = path.relative_to(source), path.parent
    return (
        (package / "base.py").exists()
        or package.name in {"api", "cli"}
        or 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
        or path.stem in STORIES
        or place.as_posix() in SINGLE_IMPORTER_BECAUSE
        or (is_pure(parsed(path)) and any((REPOSITORY / "tests").rglob(f"{package.name}/test_{path.stem}.py")))
    )


def would_grow_long(path: Path, importer: Path) -> bool:
    """Whether the two modules together would be longer than a module may grow by a merge."""
    return sum(len(each.read_text(encoding="utf-8").splitlines()) for each in (path, importer)) > MERGED_LINES


def needless_modules(source: Path) -> list[str]:
    """Modules whose only importer is their neighbour in the same package, without an excuse."""
    imported_by, found = importers(source), []
    paths = {module_name(path, source): path for path in modules(source)}
    for name, path in paths.items():
        package, by = name.rpartition(".")[0], imported_by[name]
        if path.name == "__init__.py" or len(by) != 1 or package == "ragstone":
            continue
        (importer,) = by
        if importer.rpartition(".")[0] != package and importer != package:
            continue
        if not may_have_a_single_importer(path, source) and not would_grow_long(path, paths[importer]):
            found.append(f"{path.relative_to(source).as_posix()}: merge it into {importer}")
    return found


def test_a_module_with_a_single_neighbour_as_importer_belongs_into_it():
    assert not needless_modules(SOURCE)


def test_the_rule_of_single_importers_sees_a_needless_module(tmp_path: Path):
    package = tmp_path / "ragstone" / "ingestion"
    package.mkdir(parents=True)
    (package / "slip.py").write_text("async def slip() -> None: ...", encoding="utf-8")
    (package / "queue.py").write_text("from ragstone.ingestion.slip import slip", encoding="utf-8")
    found = ["ingestion/slip.py: merge it into ragstone.ingestion.queue"]
    assert needless_modules(tmp_path / "ragstone") == found
    (package / "jobs.py").write_text("from ragstone.ingestion import slip", encoding="utf-8")
    assert not needless_modules(tmp_path / "ragstone")


def names_of_two_classes(source: Path) -> list[str]:
    """Names of public classes that stand for two things."""
    places: dict[str, list[str]] = {}
    for path in modules(source):
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.relative_to(source).as_posix())
    return [f"{name}: {', '.join(found)}" for name, found in sorted(places.items()) if len(found) > 1]


def long_constructors(tree: ast.Module) -> list[str]:
    """Classes whose `__init__` takes too many arguments."""
    return [
        each.name
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef)
        for node in each.body
        if isinstance(node, ast.FunctionDef)
        and node.name == "__init__"
        and len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) - 1 > MAX_CONSTRUCTOR_ARGUMENTS
    ]


def test_no_two_classes_share_a_name():
    assert not names_of_two_classes(SOURCE)


def test_the_rule_of_class_names_sees_a_second_class(tmp_path: Path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("class Draft: ...\nclass _Line: ...", encoding="utf-8")
    assert names_of_two_classes(tmp_path) == ["Draft: one.py, two.py"]


def test_a_constructor_takes_few_arguments():
    assert not [f"{name_of(path)}: {name}" for path in modules() for name in long_constructors(parsed(path))]


def test_the_rule_of_constructors_counts_every_kind_of_argument():
    few, many = "a, b, c, d, e, *, f", "a, b, c, d, e, *, f, g"
    assert not long_constructors(ast.parse(f"class A:\n    def __init__(self, {few}): ..."))
    assert long_constructors(ast.parse(f"class A:\n    def __init__(self, {many}): ...")) == ["A"]


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


def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in parsed(path).body if isinstance(node, ast.ClassDef)]


def base_names(node: ast.ClassDef) -> set[str]:
    return {name.rpartition(".")[2] for name in map(ast.unparse, node.bases)}


def own_methods(node: ast.ClassDef) -> set[str]:
    return {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def implementations(port_module: Path) -> dict[Path, list[ast.ClassDef]]:
    """The classes beside a `base.py` and below it that implement a port of it, by module.

    A class implements a port that it inherits from, directly or by another implementation, or
    of which it has a method other than `name` and `close`.
    """
    ports = [node for node in classes(port_module) if "Protocol" in base_names(node)]
    calls = set().union(*map(own_methods, ports)) - {"name", "close"}
    names = {node.name for node in ports}
    found: dict[Path, list[ast.ClassDef]] = {}
    beside = [(path, node) for path in modules(port_module.parent) if path != port_module for node in classes(path)]
    for path, node in sorted(beside, key=lambda pair: bool(base_names(pair[1]) - {"Protocol"})):
        if base_names(node) & names or own_methods(node) & calls:
            names.add(node.name)
            found.setdefault(path, []).append(node)
    return found


def adapter_modules(source: Path) -> set[Path]:
    """The modules of all adapters; an adapter in a sub-package makes all modules there part of it."""
    found: set[Path] = set()
    for port_module in source.rglob("base.py"):
        for path in implementations(port_module):
            if path.relative_to(source).as_posix() not in MADE_OF_PORTS:
                found |= {path} if path.parent == port_module.parent else set(modules(path.parent))
    return found


def adapters_named(source: Path) -> set[tuple[str, str]]:
    """Modules outside of the composition roots, with the adapter that they name."""
    places = adapter_modules(source)
    adapters = {module_name(path, source): path for path in places}
    return {
        (path.relative_to(source).as_posix(), name)
        for path in modules(source)
        if not path.relative_to(source).as_posix().startswith(COMPOSITION_ROOTS)
        for name in set(imported(parsed(path))) & adapters.keys()
        if not (path in places and adapters[name].parent == path.parent)
    }


def test_only_wiring_names_an_adapter():
    assert not adapters_named(SOURCE)


def test_the_rule_of_adapters_finds_them_by_itself():
    found = {path.relative_to(SOURCE).as_posix() for path in adapter_modules(SOURCE)}
    known = {"llm/openai.py", "embedding/hashing.py", "embedding/minilm.py", "index/memory.py", "documents/parser.py"}
    assert found >= known | {"index/qdrant_edge/protocol.py", "retrieval/vectorize/client.py"}
    assert not found & {"generation/markers.py", "documents/chunking.py", "llm/token_usage.py", "retrieval/fusion.py"}


@pytest.mark.parametrize(
    ("adapter", "content"),
    [
        ("llm/bedrock.py", "class Bedrock:\n    async def stream(self, messages, *, max_tokens): yield 'text'"),
        ("llm/azure.py", "from ragstone.llm.openai import OpenAIModel\nclass Azure(OpenAIModel): ..."),
        ("embedding/remote.py", "from ragstone.embedding.base import Embedder\nclass Remote(Embedder): ..."),
        ("retrieval/elastic/client.py", "TIMEOUT_S = 5.0"),
    ],
)
def test_the_rule_of_adapters_sees_a_new_one(a_copy: Path, adapter: str, content: str):
    source = a_copy / "src" / "ragstone"
    (source / adapter).parent.mkdir(exist_ok=True)
    (source / adapter).write_text(content, encoding="utf-8")
    if adapter.startswith("retrieval/elastic/"):
        lines = "class Elastic:\n    async def search(self, scope, query): ..."
        (source / "retrieval" / "elastic" / "retriever.py").write_text(lines, encoding="utf-8")
    name = module_name(source / adapter, source)
    with (source / "chat" / "ask.py").open("a", encoding="utf-8") as file:
        file.write(f"\nimport {name}\n")
    assert ("chat/ask.py", name) in adapters_named(source)


def test_what_is_made_of_ports_takes_one():
    ports = {node.name for base in SOURCE.rglob("base.py") for node in classes(base) if "Protocol" in base_names(node)}
    for name in MADE_OF_PORTS:
        made = [
            node for found in map(implementations, SOURCE.rglob("base.py")) for node in found.get(SOURCE / name, ())
        ]
        assert made, name
        for node in made:
            taken = {
                ast.unparse(each.annotation) for each in ast.walk(node) if isinstance(each, ast.arg) and each.annotation
            }
            assert taken & ports, f"{name}: {node.name}"


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
    "http opens adapters": ("http/capabilities.py", "def _breach() -> None:\n    import ragstone.wiring"),
    "a surface opens adapters": ("librechat/files.py", "from ragstone.wiring import open_services"),
    "a route takes all services": ("api/chat.py", "from ragstone.services import Services"),
    "a database in the interceptor alone": ("storage/cache.py", "import ragstone.storage.database"),
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
