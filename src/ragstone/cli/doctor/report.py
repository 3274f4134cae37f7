"""Commands `ragstone doctor` and `ragstone operate validate-config`: one checker and its report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ragstone.cli.command import AsJson, DataDir, ExitCode, run, settings_for
from ragstone.cli.output import console, one_line, say, say_json
from ragstone.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from ragstone.cli.doctor.checks import Check, State
    from ragstone.cli.doctor.rules import Profile, SettingProblem, Subject
    from ragstone.settings import Settings

DEFAULT = "default"
HIDDEN = "(set, hidden)"
PROFILES = ("development", "staging", "production")
LEVEL_LABELS = {"error": "ERROR  ", "warning": "warning"}
LEVEL_COLOURS = {"error": "bold red", "warning": "yellow"}
STATE_LABELS = {"ok": "ok     ", "warning": "warning", "broken": "BROKEN "}

ProfileName = Annotated[
    str | None, typer.Option(metavar="|".join(PROFILES), help="Profile to check for. [default: RAGSTONE_PROFILE]")
]
Deep = Annotated[
    bool, typer.Option("--deep", help="Compare with the database too: owners, keys of models, keys of the settings.")
]


@dataclass(frozen=True, slots=True)
class SettingFound:
    """A setting in force: its variable, its value without secrets, and its origin."""

    variable: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """The problems of one group of rules."""

    group: str
    problems: Sequence[SettingProblem]


@dataclass(frozen=True, slots=True)
class SettingsOutcome:
    """The verdicts for a profile; the profile is None if the settings cannot be read."""

    profile: Profile | None
    verdicts: Sequence[GroupVerdict]

    @property
    def errors(self) -> int:
        """Number of problems that have to be fixed."""
        return sum(problem.level == "error" for verdict in self.verdicts for problem in verdict.problems)

    @property
    def warnings(self) -> int:
        """Number of problems that may be intended."""
        return sum(len(verdict.problems) for verdict in self.verdicts) - self.errors


@run
async def doctor(
    *,
    profile: ProfileName = None,
    deep: Deep = False,
    settings_only: Annotated[
        bool, typer.Option("--settings-only", help="Check the settings only; start and change nothing.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Check the settings and every part, and name each fix.

    Spends no tokens. Exit code 1 means that a setting has an error or a part is broken;
    warnings alone end with 0.
    """
    chosen = _profile(profile)
    if settings_only:
        return await _check_settings(chosen, data_dir, deep=deep, as_json=as_json)
    return await _check_everything(chosen, data_dir, deep=deep, as_json=as_json)


@run
async def validate_config(
    *, profile: ProfileName = None, deep: Deep = False, as_json: AsJson = False, data_dir: DataDir = None
) -> ExitCode:
    """Check the settings only: doctor --settings-only.

    Starts and changes nothing. Exit code 1 means that there is an error; warnings alone end
    with 0.
    """
    return await _check_settings(_profile(profile), data_dir, deep=deep, as_json=as_json)


def _profile(name: str | None) -> Profile | None:
    if name is not None and name not in PROFILES:
        raise InvalidInput(f"Unknown profile {name[:40]!r}. Use one of {', '.join(PROFILES)}.")
    return cast("Profile | None", name)


async def _check_settings(profile: Profile | None, data_dir: Path | None, *, deep: bool, as_json: bool) -> ExitCode:
    from ragstone.cli.doctor.rules import unreadable

    try:
        subject = subject_of(settings_for(data_dir), profile)
    except ConfigurationError as error:
        outcome = SettingsOutcome(profile, [GroupVerdict("settings", unreadable(error.message))])
    else:
        outcome = await _outcome(subject, deep=deep)
    if as_json:
        say_json(_problems_json(outcome))
    else:
        _show_problems(outcome)
    return ExitCode.FAILED if outcome.errors else ExitCode.OK


async def _check_everything(profile: Profile | None, data_dir: Path | None, *, deep: bool, as_json: bool) -> ExitCode:
    settings = settings_for(data_dir)
    given = given_variables() | ({} if data_dir is None else {"RAGSTONE_DATA_DIR": "--data-dir"})
    found = list(settings_found(settings, given))
    if not as_json:
        _show_settings(found)
    outcome = await _outcome(subject_of(settings, profile), deep=deep)
    if not as_json:
        _show_problems(outcome)
        say()
    checks = [check async for check in _checks(settings, outcome, quiet=as_json)]
    if as_json:
        say_json({**_problems_json(outcome), "settings": found, "checks": [_check_json(check) for check in checks]})
    return ExitCode.FAILED if any(check.state == "broken" for check in checks) else ExitCode.OK


async def _checks(settings: Settings, outcome: SettingsOutcome, *, quiet: bool) -> AsyncIterator[Check]:
    """Yield the check of the settings, then of each part; show each one unless `quiet`."""
    from ragstone.cli.doctor.checks import all_checks

    first = settings_check(outcome)
    if not quiet:
        _show_check(first)
    yield first
    async for check in all_checks(settings):
        if not quiet:
            _show_check(check)
        yield check


def settings_check(outcome: SettingsOutcome) -> Check:
    """Summarise the problems of the settings as one check; its fix is that of the worst problem."""
    from ragstone.cli.doctor.checks import Check

    problems = [problem for verdict in outcome.verdicts for problem in _sorted(verdict)]
    if not problems:
        return Check("settings", "ok", "no problem found")
    state: State = "broken" if outcome.errors else "warning"
    worst = min(problems, key=lambda problem: problem.level != "error")
    return Check("settings", state, f"{outcome.errors} errors, {outcome.warnings} warnings", worst.fix)


async def _outcome(subject: Subject, *, deep: bool) -> SettingsOutcome:
    verdicts = list(verdicts_of(subject))
    if deep:
        from ragstone.cli.doctor.checks import problems_in_database

        verdicts.append(GroupVerdict("database", await problems_in_database(subject, os.environ)))
    return SettingsOutcome(subject.profile, verdicts)


def subject_of(settings: Settings, profile: Profile | None = None) -> Subject:
    """Describe the settings and this machine for the rules; `profile` replaces the profile of the settings."""
    from ragstone.cli.doctor.rules import Subject, observed

    return Subject(settings, profile or settings.profile, observed(settings), given_variables(), time.time())


def verdicts_of(subject: Subject) -> Iterator[GroupVerdict]:
    """Apply all rules; one verdict per group."""
    from ragstone.cli.doctor.rules import MACHINE_RULES, SERVER_RULES
    from ragstone.cli.doctor.upstreams import UPSTREAM_RULES

    for group, rules in {"serving": SERVER_RULES, "outside": UPSTREAM_RULES, "machine": MACHINE_RULES}.items():
        yield GroupVerdict(group, [problem for rule in rules for problem in rule(subject)])


def _problems_json(outcome: SettingsOutcome) -> dict[str, object]:
    problems = [
        {
            "group": verdict.group,
            "level": problem.level,
            "variable": problem.variable,
            "found": problem.found,
            "mend": problem.fix,
        }
        for verdict in outcome.verdicts
        for problem in verdict.problems
    ]
    return {"profile": outcome.profile, "ok": not outcome.errors, "problems": problems}


def _check_json(check: Check) -> dict[str, str]:
    """Fields of a check in JSON; scripts know the fix as `mend`."""
    return {"name": check.name, "state": check.state, "found": check.found, "mend": check.fix}


def _show_problems(outcome: SettingsOutcome) -> None:
    for verdict in outcome.verdicts:
        count = len(verdict.problems)
        say(f"{verdict.group}: {f'{count} to look at' if count else 'in order'}")
        for problem in _sorted(verdict):
            _show_problem(problem)
    checked = f"For {outcome.profile}: " if outcome.profile else ""
    say(f"\n{checked}{outcome.errors} errors, {outcome.warnings} warnings.")


def _sorted(verdict: GroupVerdict) -> Sequence[SettingProblem]:
    return sorted(verdict.problems, key=lambda problem: problem.level != "error")


def _show_problem(problem: SettingProblem) -> None:
    label, text = LEVEL_LABELS[problem.level], f"{problem.variable}: {problem.found}"
    if sys.stdout.isatty():
        from rich.text import Text

        line = Text.assemble("  ", (label, LEVEL_COLOURS[problem.level]), "  ", one_line(text))
        console().print(line, soft_wrap=True)
    else:
        say(f"  {label}  {one_line(text)}")
    say(f"           {one_line(problem.fix)}")


def _show_check(check: Check) -> None:
    say(f"{STATE_LABELS[check.state]}  {check.name}: {check.found}")
    if check.fix:
        say(f"         {check.fix}")


def _show_settings(found: Sequence[SettingFound]) -> None:
    changed = [one for one in found if one.origin != DEFAULT]
    say(f"Settings: {len(found) - len(changed)} at their defaults (all of them: --json)")
    for one in changed:
        say(f"  {one.variable}={one.value}  from {one.origin}")
    say()


def given_variables() -> dict[str, str]:
    """Names of all non-empty RAGSTONE_ variables, each with its origin: `.env` or `environment`."""
    from dotenv import dotenv_values

    places: dict[str, Mapping[str, str | None]] = {
        ".env": dotenv_values(".env"),
        "environment": {**os.environ},
    }  # the last one wins
    return {
        name.upper(): place
        for place, variables in places.items()
        for name, value in variables.items()
        if value and name.upper().startswith("RAGSTONE_")
    }


def settings_found(settings: Settings, given: Mapping[str, str]) -> Iterator[SettingFound]:
    """Yield each setting in force. The origin of a group given as JSON applies to its members."""
    from ragstone.settings import variable_name

    for path, value in _leaves(settings):
        variable = variable_name(path)
        origin = given.get(variable) or given.get(_group(variable)) or DEFAULT
        yield SettingFound(variable, _shown(value), origin)


def _group(variable: str) -> str:
    return variable.partition("__")[0]


def _leaves(branch: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    from pydantic import BaseModel

    for name in type(branch).model_fields:
        value = getattr(branch, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _shown(value: object) -> str:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, tuple):
        return ",".join(_shown(item) for item in value)
    text = "" if value is None else str(value)
    scheme, separator, rest = text.partition("://")
    if separator and "@" in rest.partition("/")[0]:  # a password in a URL
        return f"{scheme}://***@{rest.partition('@')[2]}"
    return text
