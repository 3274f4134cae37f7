"""The rules about the settings: each fires on its fault and on nothing else; the command `validate-config`."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ragstone.billing.plans import ModelEntry, Plan
from ragstone.cli.command import ExitCode
from ragstone.cli.doctor.checks import problems_in_database
from ragstone.cli.doctor.report import verdicts_of
from ragstone.cli.doctor.rules import OPTIONAL_PACKAGES, Machine, Profile, SettingProblem, Subject, unreadable
from ragstone.identity.users import NewUser
from ragstone.principals import LOCAL, Role
from ragstone.settings import Settings
from ragstone.wiring import open_records
from tests.platforms import small_settings

EXAMPLE = "16f8c0ef4a5d391b26034086c628469d" + "3f9f497f08163ab9b40137092f2909ef"
NOW = 1_800_000_000


def token(ends: int | None) -> str:
    """A token in the form of a pipeline's: a JWT with a signature that is not checked."""
    parts = ({"alg": "RS256"}, {} if ends is None else {"exp": ends})
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*coded, "c2lnbmVk"])


TOKEN = token(NOW + 365 * 86_400)
MACHINE = Machine(
    data_dir=Path("/srv/ragstone"),
    free_bytes=100 << 30,
    open_files=65_536,
    packages=frozenset(OPTIONAL_PACKAGES),
    temporary=(Path("/tmp"),),
)
GOOD: dict[str, Any] = {
    "profile": "production",
    "data_dir": Path("/srv/ragstone"),
    "secret_key": "s" * 64,
    "server": {"host": "0.0.0.0", "public_url": "https://rag.example.com"},
    "database": {"url": "postgresql://app:pw@db.example.com/rag?sslmode=verify-full"},
    "redis": {"url": "rediss://:pw@redis.example.com:6379/0"},
    "interceptor": {"upstream_url": "https://api.openai.com/v1", "upstream_key": "k" * 20},
    "librechat": {"jwt_secret": "9f" * 32},
    "vectorize": {"organization": "org", "pipeline": "pipe", "token": TOKEN},
}


def subject(profile: Profile = "production", given: tuple[str, ...] = (), **changes: Any) -> Subject:
    machine = changes.pop("machine", MACHINE)
    settings = Settings(_env_file=None, **{**GOOD, "profile": profile, **changes})
    return Subject(settings, profile, machine, dict.fromkeys(given, "environment"), now=float(NOW))


def found(looked: Subject) -> list[SettingProblem]:
    return [problem for verdict in verdicts_of(looked) for problem in verdict.problems]


def levels(looked: Subject) -> dict[str, str]:
    return {problem.variable: str(problem.level) for problem in found(looked)}


def test_good_settings_have_no_problem_in_any_profile():
    assert [found(subject(profile)) for profile in ("development", "staging", "production")] == [[], [], []]


def test_a_first_run_has_no_problem_in_development():
    settings = Settings(_env_file=None)
    assert found(Subject(settings, "development", MACHINE, {}, now=0.0)) == []


PIPELINE = GOOD["vectorize"]
PUBLIC = "RAGSTONE_SERVER__PUBLIC_URL"
DATABASE = "RAGSTONE_DATABASE__URL"
UPSTREAM = "RAGSTONE_INTERCEPTOR__UPSTREAM_URL"
JWT = "RAGSTONE_LIBRECHAT__JWT_SECRET"
HOSTS = "RAGSTONE_OUTBOUND__ALLOWED_HOSTS"
BROKEN: list[tuple[dict[str, Any], str, tuple[str | None, str | None, str | None]]] = [
    # What is set, the variable that is named, and how bad it is in development, staging and production.
    ({"server": {"host": "0.0.0.0"}}, PUBLIC, (None, "warning", "error")),
    ({"server": {"host": "0.0.0.0", "public_url": "http://rag.example.com"}}, PUBLIC, (None, "warning", "error")),
    ({"secret_key": None}, "RAGSTONE_SECRET_KEY", (None, "warning", "warning")),
    ({"secret_key": None, "redis": {}, "database": {}}, "RAGSTONE_SECRET_KEY", (None, None, "warning")),
    ({"database": {}}, DATABASE, (None, "warning", "warning")),
    ({"database": {"url": "postgresql://app:pw@db.example.com/rag"}}, DATABASE, (None, "warning", "error")),
    ({"database": {"url": "postgresql://a:b@db.example.com/r?sslmode=prefer"}}, DATABASE, (None, "warning", "error")),
    ({"database": {"url": "no url at all"}}, DATABASE, ("error", "error", "error")),
    (
        {"database": {"owner_url": "postgresql://127.0.0.1/rag"}, "redis": {}},
        "RAGSTONE_DATABASE__OWNER_URL",
        ("error", "error", "error"),
    ),
    (
        {"database": {"url": "postgresql://127.0.0.1/rag", "owner_url": "postgresql://127.0.0.1/rag"}},
        "RAGSTONE_DATABASE__OWNER_URL",
        ("warning", "warning", "warning"),
    ),
    ({"redis": {"url": "redis://redis.example.com:6379/0"}}, "RAGSTONE_REDIS__URL", (None, "warning", "warning")),
    ({"index": {"engine": "memory"}}, "RAGSTONE_INDEX__ENGINE", (None, "warning", "error")),
    ({"embedding": {"model": "hashing"}}, "RAGSTONE_EMBEDDING__MODEL", (None, "warning", "error")),
    ({"log": {"level": "debug"}}, "RAGSTONE_LOG__LEVEL", (None, None, "warning")),
    (
        {"ingestion": {"allowed_root": Path("/srv")}},
        "RAGSTONE_INGESTION__ALLOWED_ROOT",
        ("error", "error", "error"),
    ),
    (
        {"interceptor": {"upstream_url": "http://models.example.com/v1"}},
        UPSTREAM,
        (None, "warning", "warning"),
    ),
    (
        {"interceptor": {"upstream_url": "http://models.example.com/v1", "upstream_key": "k" * 20}},
        UPSTREAM,
        (None, "warning", "error"),
    ),
    ({"interceptor": {"upstream_url": "models.example.com"}}, UPSTREAM, ("error", "error", "error")),
    ({"interceptor": {"upstream_url": "https://me:pw@models.example.com"}}, UPSTREAM, ("error", "error", "error")),
    (
        {"interceptor": {"upstream_url": "https://api.openai.com/v1"}},
        "RAGSTONE_INTERCEPTOR__UPSTREAM_KEY",
        ("error", "error", "error"),
    ),
    (
        {"interceptor": {"upstream_key": "k" * 20}},
        "RAGSTONE_INTERCEPTOR__UPSTREAM_KEY",
        ("warning", "warning", "warning"),
    ),
    (
        {"answer": {"provider": "anthropic", "model": "m"}},
        "RAGSTONE_ANSWER__API_KEY",
        ("error", "error", "error"),
    ),
    ({"answer": {"api_key": "k" * 20}}, "RAGSTONE_ANSWER__PROVIDER", ("warning", "warning", "warning")),
    (
        {"interceptor": {"models": {"here": "there"}}},
        "RAGSTONE_INTERCEPTOR__MODELS",
        ("warning", "warning", "warning"),
    ),
    ({"librechat": {"jwt_secret": EXAMPLE}}, JWT, ("warning", "error", "error")),
    ({"librechat": {"jwt_secret": "x" * 31}}, JWT, ("warning", "warning", "error")),
    ({"vectorize": {"organization": "org"}}, "RAGSTONE_VECTORIZE__PIPELINE", ("error", "error", "error")),
    ({"vectorize": PIPELINE | {"token": token(NOW - 1)}}, "RAGSTONE_VECTORIZE__TOKEN", ("error",) * 3),
    ({"vectorize": PIPELINE | {"token": token(NOW + 86_400)}}, "RAGSTONE_VECTORIZE__TOKEN", ("warning",) * 3),
    ({"vectorize": PIPELINE | {"token": "no-token-at-all"}}, "RAGSTONE_VECTORIZE__TOKEN", ("error",) * 3),
    ({"vectorize": {"url": "https://v.example.com"}}, "RAGSTONE_VECTORIZE__TOKEN", ("error", "error", "error")),
    (
        {"interceptor": {"budget_s": 2.5}},
        "RAGSTONE_INTERCEPTOR__BUDGET_S",
        ("warning", "warning", "warning"),
    ),
    (
        {"upstream": {"total_s": 60, "first_byte_s": 60}},
        "RAGSTONE_UPSTREAM__TOTAL_S",
        ("warning", "warning", "warning"),
    ),
    (
        {"upstream": {"max_calls": 10}},
        "RAGSTONE_UPSTREAM__MAX_CALLS_PER_TENANT",
        ("warning", "warning", "warning"),
    ),
    ({"outbound": {"allowed_hosts": ("169.254.169.254:80",)}}, HOSTS, ("error", "error", "error")),
    ({"outbound": {"allowed_hosts": ("127.0.0.1:6379",)}}, HOSTS, (None, "warning", "error")),
    (
        {"outbound": {"allowed_hosts": tuple(f"h{number}.intranet:443" for number in range(11))}},
        HOSTS,
        ("warning", "warning", "warning"),
    ),
    ({"privacy": {"patterns": {"staff": "("}}}, "RAGSTONE_PRIVACY__PATTERNS", ("error", "error", "error")),
    ({"privacy": {"patterns": {"staff": "x*"}}}, "RAGSTONE_PRIVACY__PATTERNS", ("error", "error", "error")),
    ({"data_dir": Path("data")}, "RAGSTONE_DATA_DIR", (None, "warning", "warning")),
    (
        {"machine": replace(MACHINE, data_dir=Path("/tmp/rag"))},
        "RAGSTONE_DATA_DIR",
        (None, "warning", "error"),
    ),
    ({"machine": replace(MACHINE, free_bytes=500 << 20)}, "RAGSTONE_DATA_DIR", ("warning",) * 3),
    ({"machine": replace(MACHINE, free_bytes=1 << 20)}, "RAGSTONE_DATA_DIR", ("error",) * 3),
    (
        {"machine": replace(MACHINE, open_files=1024)},
        "RAGSTONE_UPSTREAM__MAX_CALLS",
        (None, "warning", "warning"),
    ),
    ({"machine": replace(MACHINE, dotenv_mode=0o644)}, ".env", (None, "warning", "warning")),
]


@pytest.mark.parametrize(("changes", "variable", "expected"), BROKEN, ids=[case[1] for case in BROKEN])
def test_a_rule_fires_in_the_profiles_it_is_for_and_names_its_variable(changes, variable, expected):
    profiles: tuple[Profile, ...] = ("development", "staging", "production")
    assert tuple(levels(subject(profile, **changes)).get(variable) for profile in profiles) == expected


NEAR_MISSES: list[dict[str, Any]] = [
    {"server": {"host": "127.0.0.1"}},
    {"server": {"host": "::1"}},
    {"database": {"url": "postgresql://app:pw@127.0.0.1/rag"}},
    {"database": {"url": GOOD["database"]["url"], "owner_url": "postgresql://o:p@127.0.0.1/rag"}},
    {"redis": {"url": "redis://127.0.0.1:6379/0"}},
    {"interceptor": {"upstream_url": "http://127.0.0.1:11434/v1"}},
    {"interceptor": {"upstream_url": "https://models.example.com/v1", "models": {"here": "there"}}},
    {"interceptor": {"budget_s": 2.0}},
    {"answer": {"provider": "openai", "model": "m", "base_url": "https://models.example.com/v1"}},
    {"librechat": {"jwt_secret": "x" * 32}},
    {"vectorize": {}},
    {"vectorize": PIPELINE | {"token": token(None)}},
    {"vectorize": {"url": "https://v.example.com", "token": "opaque-token-of-a-gateway"}},
    {"vectorize": {"url": "https://v.example.com", "token": TOKEN}},
    {"outbound": {"allowed_hosts": ("hooks.intranet:8443",)}},
    {"privacy": {"patterns": {"staff": "P-[0-9]{6}"}}},
    {"ingestion": {"allowed_root": Path("/srv/documents")}},
    {"log": {"level": "info"}},
    {"machine": replace(MACHINE, dotenv_mode=0o600)},
    {"machine": replace(MACHINE, open_files=4096)},
    {"given": ("RAGSTONE_DATA_DIR", "RAGSTONE_SERVER__PORT", "RAGSTONE_DEBUG")},
]


@pytest.mark.parametrize(
    "changes", NEAR_MISSES, ids=[f"{next(iter(changes))}-{number}" for number, changes in enumerate(NEAR_MISSES)]
)
def test_what_only_looks_like_it_is_in_order(changes):
    assert found(subject(**changes)) == []


@pytest.mark.parametrize(
    ("package", "changes", "variable"),
    [
        ("asyncpg", {}, DATABASE),
        ("redis", {}, "RAGSTONE_REDIS__URL"),
        ("openai", {"answer": {"provider": "openai", "model": "m", "api_key": "k"}}, "RAGSTONE_ANSWER__PROVIDER"),
        (
            "opentelemetry.sdk",
            {"telemetry": {"otlp_endpoint": "http://127.0.0.1:4318"}},
            "RAGSTONE_TELEMETRY__OTLP_ENDPOINT",
        ),
    ],
)
def test_an_extra_that_a_setting_needs_is_named_once(package, changes, variable):
    without = replace(MACHINE, packages=MACHINE.packages - {package})
    problems = found(subject(machine=without, **changes))
    assert [(problem.variable, str(problem.level)) for problem in problems] == [(variable, "error")]
    assert "pip install 'ragstone[" in problems[0].fix
    assert found(subject(**changes)) == []


def test_another_profile_than_that_of_the_settings_is_pointed_out():
    looked = replace(subject("development"), profile="production")
    assert levels(looked) == {"RAGSTONE_PROFILE": "warning"}


def test_no_problem_shows_a_secret():
    secret = "hunter2-" * 5
    changes: dict[str, Any] = {
        "server": {"host": "0.0.0.0", "api_keys": (secret,)},
        "database": {"url": f"postgresql://app:{secret}@db.example.com/rag"},
        "redis": {"url": f"redis://:{secret}@redis.example.com"},
        "interceptor": {"upstream_url": f"http://me:{secret}@models.example.com/v1", "upstream_key": secret},
        "librechat": {"jwt_secret": secret[:20]},
        "vectorize": {"token": secret},
    }
    problems = found(subject(**changes))
    assert len(problems) > 6
    assert "hunter2" not in str(problems)


def test_settings_that_cannot_be_read_are_one_problem_a_variable():
    message = "The settings cannot be used. RAGSTONE_A: needs 32; make some; RAGSTONE_B__C: no number."
    assert [(problem.variable, problem.found) for problem in unreadable(message)] == [
        ("RAGSTONE_A", "needs 32; make some"),
        ("RAGSTONE_B__C", "no number"),
    ]
    [whole] = unreadable("The settings cannot be used. Each key needs more.")
    assert whole.found == "The settings cannot be used. Each key needs more."


def test_the_command_ends_with_1_on_an_error_and_names_what_to_do(cli):
    broken = cli("operate", "validate-config", RAGSTONE_LIBRECHAT__JWT_SECRET=EXAMPLE, RAGSTONE_PROFILE="staging")
    assert broken.exit_code == ExitCode.FAILED
    assert f"ERROR    {JWT}: " in broken.stdout
    assert "openssl rand -hex 32" in broken.stdout
    assert EXAMPLE not in broken.output
    assert "For staging: " in broken.stdout


def test_the_command_ends_with_0_on_warnings_and_on_nothing(cli):
    fine = cli("operate", "validate-config", "--json")
    assert (fine.exit_code, json.loads(fine.stdout)) == (0, {"profile": "development", "ok": True, "problems": []})
    warned = cli("operate", "validate-config", RAGSTONE_INTERCEPTOR__BUDGET_S="3")
    assert (warned.exit_code, "warning  RAGSTONE_INTERCEPTOR__BUDGET_S" in warned.stdout) == (0, True)


def test_the_command_is_stricter_for_a_profile_that_is_named(cli):
    strict = cli("operate", "validate-config", "--profile", "production", "--json")
    assert strict.exit_code == ExitCode.FAILED
    assert {"RAGSTONE_EMBEDDING__MODEL", "RAGSTONE_PROFILE"} <= {
        problem["variable"] for problem in json.loads(strict.stdout)["problems"]
    }
    assert cli("operate", "validate-config", "--profile", "test").exit_code == ExitCode.USAGE


def test_the_command_reports_settings_that_cannot_be_read(cli):
    result = cli("operate", "validate-config", "--json", RAGSTONE_SERVER__PORT="x", RAGSTONE_SECRET_KEY="short")
    assert result.exit_code == ExitCode.FAILED
    problems = json.loads(result.stdout)["problems"]
    assert {problem["variable"] for problem in problems} == {"RAGSTONE_SERVER__PORT", "RAGSTONE_SECRET_KEY"}


async def test_the_database_is_checked_for_keys_of_models_and_for_owners(tmp_path):
    settings = small_settings(tmp_path / "data", server={"host": "0.0.0.0"})
    async with open_records(settings) as records:
        plans = records.billing.plans
        await plans.save_model("root", ModelEntry(id="fast", provider="openai", model="m", key_variable="FAST_API_KEY"))
        await plans.save_model(
            "root", ModelEntry(id="unused", provider="openai", model="m", key_variable="UNUSED_API_KEY")
        )
        await plans.save("root", Plan(id="pro", name="Pro", models=("fast",)))
        await plans.save("root", Plan(id="nobody", name="Nobody's", models=("unused",)))
        await records.identity.tenants.create("root", "acme", plan="pro")
    looked = replace(subject("development"), settings=settings)
    problems = await problems_in_database(looked, {})
    assert {problem.variable: str(problem.level) for problem in problems} == {
        "RAGSTONE_SERVER__HOST": "error",
        "FAST_API_KEY": "warning",
    }
    with_key = await problems_in_database(looked, {"FAST_API_KEY": "k"})
    assert [problem.variable for problem in with_key] == ["RAGSTONE_SERVER__HOST"]


async def test_keys_of_the_settings_beside_accounts_are_pointed_out(tmp_path):
    settings = small_settings(tmp_path / "data", server={"host": "0.0.0.0", "api_keys": ("k" * 32,)})
    looked = replace(subject("development"), settings=settings)
    assert await problems_in_database(looked, {}) == []
    async with open_records(settings) as records:
        await records.identity.users.create(
            LOCAL, "default", NewUser(email="owner@example.org", password="a long enough sentence", role=Role.OWNER)
        )
    assert [problem.variable for problem in await problems_in_database(looked, {})] == ["RAGSTONE_SERVER__API_KEYS"]


def test_a_database_that_does_not_open_is_a_problem_and_not_a_crash(cli, tmp_path):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    result = cli("operate", "validate-config", "--deep", "--json")
    assert result.exit_code == ExitCode.FAILED
    assert [problem["group"] for problem in json.loads(result.stdout)["problems"]] == ["database"]
