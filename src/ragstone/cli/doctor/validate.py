"""`ragstone operate validate-config`: what is missing, what is dangerous, and what to do about it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ragstone.cli.command import AsJson, DataDir, ExitCode, run, settings_for
from ragstone.cli.output import console, one_line, say, say_json
from ragstone.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from ragstone.cli.doctor.rules import Problem, Profile, Subject
    from ragstone.settings import Settings

PROFILES = ("development", "staging", "production")
SIGNS = {"error": "ERROR  ", "warning": "warning"}
COLOURS = {"error": "bold red", "warning": "yellow"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The problems of one group of rules."""

    group: str
    problems: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All verdicts, and the profile they are for; that one is unknown where the settings cannot be read."""

    profile: Profile | None
    verdicts: Sequence[Verdict]

    @property
    def errors(self) -> int:
        """How many problems have to be mended."""
        return sum(problem.level == "error" for verdict in self.verdicts for problem in verdict.problems)

    @property
    def warnings(self) -> int:
        """How many may be meant."""
        return sum(len(verdict.problems) for verdict in self.verdicts) - self.errors


@run
async def validate_config(
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="|".join(PROFILES), help="What to be strict for. [default: RAGSTONE_PROFILE]")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Open the database too: keys of models, owners, keys of the settings.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Say what is missing and what is dangerous in the settings.

    Changes nothing and calls nobody. Ends with 1 if there is an error, with 0 if there are
    warnings only.
    """
    if profile is not None and profile not in PROFILES:
        raise InvalidInput(f"There is no profile {profile[:40]!r}. Use one of {', '.join(PROFILES)}.")
    outcome = await _validated(cast("Profile | None", profile), data_dir, deep=deep)
    if as_json:
        say_json({"profile": outcome.profile, "ok": not outcome.errors, "problems": [*_flat(outcome.verdicts)]})
    else:
        _tell(outcome)
    return ExitCode.FAILED if outcome.errors else ExitCode.OK


async def _validated(profile: Profile | None, data_dir: Path | None, *, deep: bool) -> Outcome:
    from ragstone.cli.doctor.machine import unreadable

    try:
        settings = settings_for(data_dir)
    except ConfigurationError as error:
        return Outcome(profile, [Verdict("settings", unreadable(error.message))])
    subject = subject_of(settings, profile)
    verdicts = list(looked_at(subject))
    if deep:
        from ragstone.cli.doctor.deep import problems_in_database

        verdicts.append(Verdict("database", await problems_in_database(subject, os.environ)))
    return Outcome(subject.profile, verdicts)


def subject_of(settings: Settings, profile: Profile | None = None) -> Subject:
    """The settings on this machine, checked for a profile; their own unless one is named."""
    from ragstone.cli.doctor.report import given_variables
    from ragstone.cli.doctor.rules import Subject, observed

    return Subject(settings, profile or settings.profile, observed(settings), given_variables(), time.time())


def looked_at(subject: Subject) -> Iterator[Verdict]:
    """What every rule finds, by group."""
    from ragstone.cli.doctor import machine, outside, serving

    for group, rules in {"serving": serving.RULES, "outside": outside.RULES, "machine": machine.RULES}.items():
        yield Verdict(group, [problem for rule in rules for problem in rule(subject)])


def _flat(verdicts: Sequence[Verdict]) -> Iterator[Mapping[str, object]]:
    for verdict in verdicts:
        for problem in verdict.problems:
            yield {
                "group": verdict.group,
                "level": problem.level,
                "variable": problem.variable,
                "found": problem.found,
                "mend": problem.mend,
            }


def _tell(outcome: Outcome) -> None:
    for verdict in outcome.verdicts:
        say(f"{verdict.group}: {_summary(verdict)}")
        for problem in sorted(verdict.problems, key=lambda one: one.level != "error"):
            _show(problem)
    checked = f"For {outcome.profile}: " if outcome.profile else ""
    say(f"\n{checked}{outcome.errors} errors, {outcome.warnings} warnings.")


def _summary(verdict: Verdict) -> str:
    return f"{len(verdict.problems)} to look at" if verdict.problems else "in order"


def _show(problem: Problem) -> None:
    sign, text = SIGNS[problem.level], f"{problem.variable}: {problem.found}"
    if sys.stdout.isatty():
        from rich.text import Text

        line = Text.assemble("  ", (sign, COLOURS[problem.level]), "  ", one_line(text))
        console().print(line, soft_wrap=True)
    else:
        say(f"  {sign}  {one_line(text)}")
    say(f"           {one_line(problem.mend)}")
