"""Controls: with one filter taken out, the tests of isolation have to notice; with none, they have to pass.

Each control copies the source, replaces one piece of text, and runs the tests against the copy in a process of its
own. Where a text is no longer there, the control fails: find where the filter went, and take it out there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import ragstone

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCE = Path(ragstone.__file__).parent
ROUTES = "tests/flows/test_tenants_never_meet.py"
LEGS = "tests/isolation/test_legs.py"
PASSED, FAILED = 0, 1  # exit codes of pytest; others mean that no test ran
STRANGERS = "what_is_anothers and alone"


@dataclass(frozen=True)
class Control:
    """What is taken out of which module, and which tests have to notice."""

    module: str
    text: str
    instead: str
    tests: str
    of: str = ROUTES


NEEDED_TO_BEGIN = {"tenants", "audit_heads", "audit_log"}  # without these filters there would be no second tenant
EVERYBODYS_POINTS = "{key: each for one in self._tenants.values() for key, each in one.points.items()}"
EVERYBODYS_TERMS = """
        terms: defaultdict[int, dict[Key, float]] = defaultdict(dict)
        for one in self._tenants.values():
            for index, holders in one.postings.items():
                terms[index].update(holders)"""
OWN = "        tenant = self._tenants[scope.tenant]\n"
SEARCH = f"{OWN}\n        def best("

CONTROLS = {
    "the tenant in SQL, by name": Control(
        "storage/database.py",
        "        return [table.c.tenant == scope]\n",
        f"        return [table.c.tenant == scope] if table.name in {NEEDED_TO_BEGIN} else []\n",
        STRANGERS,
    ),
    "the tenant in SQL, by scope": Control(
        "storage/database.py",
        "for name, value in _owner(table, scope).items()]",
        'for name, value in _owner(table, scope).items() if name != "tenant"]',
        STRANGERS,
    ),
    "the dense leg in memory": Control(
        "index/memory.py",
        SEARCH,
        f"{OWN}        tenant = _Tenant({EVERYBODYS_POINTS}, tenant.postings)\n\n        def best(",
        "memory and no_leg",
        LEGS,
    ),
    "the sparse leg in memory": Control(
        "index/memory.py",
        SEARCH,
        f"{OWN}        stack = {{scope.collection: _stack(tenant, scope.collection)}}{EVERYBODYS_TERMS}\n"
        f"        tenant = _Tenant({EVERYBODYS_POINTS}, terms, stack)\n\n        def best(",
        "memory and no_leg",
        LEGS,
    ),
    "deleting in memory": Control(
        "index/memory.py",
        f"{OWN}        for key, point in",
        "        for tenant in self._tenants.values():\n         for key, point in",
        "memory and deletes",
        LEGS,
    ),
    "counting in memory": Control(
        "index/memory.py",
        "for collection, _ in self._tenants[scope.tenant].points)",
        "for one in self._tenants.values() for collection, _ in one.points)",
        "memory and count",
        LEGS,
    ),
    "both legs, deleting and counting in Edge": Control(
        "index/points.py",
        '[("tenant", (scope.tenant,)), ("collection", (scope.collection,))]',
        '[("collection", (scope.collection,))]',
        "edge",
        LEGS,
    ),
    "whose terms Edge counts": Control(
        "index/points.py",
        'return Selection((("tenant", (tenant,)),))',
        "return Selection(())",
        "edge and scores",
        LEGS,
    ),
    "the tenant in the ids of Edge": Control(
        "index/points.py",
        "json.dumps([scope.tenant, scope.collection, chunk_id])",
        "json.dumps([scope.collection, chunk_id])",
        "edge and one_name",
        LEGS,
    ),
    "whose words are suggested": Control(
        "retrieval/spelling.py",
        "await self._near(scope, query, missing)",
        'await self._near(Scope("b"), query, missing)',
        "memory and suggested",
        LEGS,
    ),
    "the tenant in the keys of caches": Control(
        "storage/cache.py", "return CacheKey(tenant, ", 'return CacheKey("all", ', "kept", LEGS
    ),
    "the tenant of embeddings in SQL": Control(
        "storage/shared_cache.py",
        "scoped(embedding_cache, self._tenant)",
        'scoped(embedding_cache, "b")',
        "embedding_kept",
        LEGS,
    ),
    "the tenant of embeddings in the cache": Control(
        "storage/shared_cache.py", 'cache_key(self._tenant, "vector"', 'cache_key("all", "vector"', "vector_kept", LEGS
    ),
    "the permission of a route": Control(
        "http/authentication.py",
        "if needs is not None and not principal.may(needs):",
        "if False:",
        "asks_for_its_permission and alone",
    ),
    "the domains of publishable keys": Control(
        "http/browser_origin.py", "or not allows(principal.domains, origin):", "or not origin:", "publishable and alone"
    ),
    "whose conversations one sees": Control(
        "principals.py",
        "return None if self.may(Permission.CONVERSATIONS) else self.id",
        "return None",
        "reader_sees and alone",
    ),
    "whose file of a LibreChat it is": Control(
        "librechat/files.py",
        "    return file.owner_user == caller.user\n\n\ndef may_remove(",
        "    return True\n\n\ndef may_remove(",
        "anothers_is_as_if",
        "tests/librechat/test_owners.py",
    ),
    "the signature of links to sources": Control(
        "identity/source_links.py",
        "if not hmac.compare_digest(mac, self._mac(payload)):",
        "if False:",
        "changed or forged or another",
        "tests/identity/test_source_links.py",
    ),
    "for whom only operators act": Control(
        "http/routing.py", "if not principal.may(Permission.OPERATE):", "if False:", STRANGERS
    ),
}


def copied(folder: Path, control: Control | None = None) -> Path:
    """A copy of the source without what the control takes out; the folder to import it from."""
    copy = folder / "src" / "ragstone"
    shutil.copytree(SOURCE, copy)  # with compiled modules: they are still those of the files that did not change
    if control:
        module = copy / control.module
        text = module.read_text(encoding="utf-8")
        assert text.count(control.text) == 1, f"{control.module} has no, or more than one: {control.text}"
        module.write_text(text.replace(control.text, control.instead), encoding="utf-8")
    return copy.parent


def run_of(source: Path, tests: str, of: str = ROUTES, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests against the copy, until the first fails."""
    chosen = f"({tests}) or source_under_test"
    variables = {**os.environ, "PYTHONPATH": str(source), "RAGSTONE_TEST_SOURCE": str(source), **environment}
    for inherited in [name for name in variables if name.startswith("PYTEST_")]:
        del variables[inherited]
    command = [sys.executable, "-m", "pytest", ROUTES, *({of} - {ROUTES}), "-x", "-q", "-k", chosen]
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={source.parent / 'run'}"]
    run = subprocess.run([*command, *options], cwd=REPOSITORY, env=variables, capture_output=True, text=True)
    assert "FAILED tests/flows/test_tenants_never_meet.py::test_the_source_under_test" not in run.stdout, run.stdout
    return run


@pytest.mark.parametrize("name", CONTROLS)
def test_without_one_filter_the_suite_fails(name: str, tmp_path: Path):
    control = CONTROLS[name]
    run = run_of(copied(tmp_path, control), control.tests, control.of)
    assert run.returncode == FAILED, run.stdout + run.stderr
    seen = "AssertionError" in run.stdout or "DID NOT RAISE" in run.stdout
    assert seen, run.stdout  # it saw something, rather than fell over


def test_with_all_filters_the_suite_passes(tmp_path: Path):
    source = copied(tmp_path)
    for of, tests in ((ROUTES, "alone"), (LEGS, "leg or count or deletes or name or kept or scores or scoped")):
        run = run_of(source, tests, of)
        assert run.returncode == PASSED, run.stdout + run.stderr


ON_POSTGRES = "what_is_anothers and served"
NEEDS_POSTGRES = pytest.mark.usefixtures("postgres", "redis_url")  # skips, or fails, where there is none


@NEEDS_POSTGRES
def test_row_security_keeps_rows_apart_without_the_filter_in_sql(tmp_path: Path):
    control = CONTROLS["the tenant in SQL, by scope"]
    run = run_of(copied(tmp_path, control), ON_POSTGRES)
    assert run.returncode == PASSED, run.stdout + run.stderr


@NEEDS_POSTGRES
def test_the_filter_in_sql_keeps_rows_apart_without_row_security(tmp_path: Path):
    run = run_of(copied(tmp_path), ON_POSTGRES, RAGSTONE_TEST_WITHOUT_ROW_SECURITY="1")
    assert run.returncode == PASSED, run.stdout + run.stderr


@NEEDS_POSTGRES
def test_without_both_the_suite_fails(tmp_path: Path):
    control = CONTROLS["the tenant in SQL, by scope"]
    run = run_of(copied(tmp_path, control), ON_POSTGRES, RAGSTONE_TEST_WITHOUT_ROW_SECURITY="1")
    assert run.returncode == FAILED, run.stdout + run.stderr
