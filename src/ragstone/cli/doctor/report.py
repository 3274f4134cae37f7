"""`ragstone doctor`: what works, what does not, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ragstone.cli.command import DEBUG_VARIABLE, AsJson, DataDir, ExitCode, run, settings_for
from ragstone.cli.output import say, say_json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ragstone.cli.doctor.checks import Check
    from ragstone.settings import Settings

DEFAULT = "default"
HIDDEN = "(set, hidden)"
SIGNS = {"ok": "ok     ", "warning": "warning", "broken": "BROKEN "}
NO_SETTINGS = frozenset({DEBUG_VARIABLE, "RAGSTONE_OPEN_DATA"})


@dataclass(frozen=True, slots=True)
class SettingFound:
    """A setting in force: its variable, its value without secrets, and where it comes from."""

    variable: str
    value: str
    origin: str


@run
async def doctor(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """Check every part, and say how to mend it.

    Spends no tokens. Ends with exit code 1 if something is broken.
    """
    settings = settings_for(data_dir)
    from ragstone.cli.doctor.checks import all_checks

    given = given_variables()
    found = list(settings_found(settings, given if data_dir is None else given | {"RAGSTONE_DATA_DIR": "--data-dir"}))
    checks = [unknown_variables(given, known=[one.variable for one in found])]
    if not as_json:
        _show_settings(found)
        _show(checks[0])
    async for check in all_checks(settings):
        checks.append(check)
        if not as_json:
            _show(check)
    if as_json:
        say_json({"settings": found, "checks": checks})
    return ExitCode.FAILED if any(check.state == "broken" for check in checks) else ExitCode.OK


def _show(check: Check) -> None:
    say(f"{SIGNS[check.state]}  {check.name}: {check.found}")
    if check.mend:
        say(f"         {check.mend}")


def _show_settings(found: Sequence[SettingFound]) -> None:
    changed = [one for one in found if one.origin != DEFAULT]
    say(f"Settings: {len(found) - len(changed)} at their defaults (all of them: --json)")
    for one in changed:
        say(f"  {one.variable}={one.value}  from {one.origin}")
    say()


def given_variables() -> dict[str, str]:
    """The names of all variables of ours that are not empty, and where each comes from."""
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


def unknown_variables(given: Iterable[str], *, known: Sequence[str]) -> Check:
    """A misspelt variable has no effect, and nobody says so: look for them."""
    from ragstone.cli.doctor.checks import Check

    strange = strange_variables(given, known=known)
    if not strange:
        return Check("settings", "ok", "every RAGSTONE_ variable is known")
    near = get_close_matches(strange[0], known, n=1)
    mend = f"Did you mean {near[0]}?" if near else "The settings are listed in .env.example."
    return Check("settings", "warning", f"no such setting: {', '.join(strange)}", mend)


def strange_variables(given: Iterable[str], *, known: Sequence[str]) -> list[str]:
    """The variables that are no setting, no group of settings and nothing else of ours, sorted."""
    groups = {_group(variable) for variable in known}
    return sorted(set(given) - set(known) - groups - NO_SETTINGS)


def settings_found(settings: Settings, given: Mapping[str, str]) -> Iterator[SettingFound]:
    """Every setting in force; a group that was given whole, as JSON, counts for its members."""
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
