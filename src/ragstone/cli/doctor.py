"""`ragstone doctor`: what works, what does not, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ragstone.cli.command import DEBUG_VARIABLE, AsJson, DataDir, ExitCode, run, settings_for
from ragstone.cli.output import say, say_json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ragstone.cli.checks import Check
    from ragstone.settings import Settings

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
    from ragstone.cli.checks import all_checks

    found = list(settings_found(settings, flag=data_dir))
    if as_json:
        checks = [unknown_variables(os.environ, found), *[check async for check in all_checks(settings)]]
        say_json({"settings": found, "checks": checks})
    else:
        _show_settings(found)
        checks = [unknown_variables(os.environ, found)]
        _show(checks[0])
        async for check in all_checks(settings):
            _show(check)
            checks.append(check)
    return ExitCode.FAILED if any(check.state == "broken" for check in checks) else ExitCode.OK


def _show(check: Check) -> None:
    say(f"{SIGNS[check.state]}  {check.name}: {check.found}")
    if check.mend:
        say(f"         {check.mend}")


def _show_settings(found: list[SettingFound]) -> None:
    changed = [one for one in found if one.origin != "default"]
    say(f"Settings: {len(found) - len(changed)} at their defaults (all of them: --json)")
    for one in changed:
        say(f"  {one.variable}={one.value}  from {one.origin}")
    say()


def unknown_variables(environment: Mapping[str, str], found: list[SettingFound]) -> Check:
    """A misspelt variable has no effect, and nobody says so: look for them."""
    from ragstone.cli.checks import Check

    known = {one.variable for one in found}
    groups = {variable.partition("__")[0] for variable in known}
    strange = sorted(
        name
        for name in (variable.upper() for variable in environment)
        if name.startswith("RAGSTONE_") and name not in known | groups | NO_SETTINGS
    )
    if not strange:
        return Check("settings", "ok", "every RAGSTONE_ variable is known")
    near = get_close_matches(strange[0], known, n=1)
    mend = f"Did you mean {near[0]}?" if near else "The settings are listed in .env.example."
    return Check("settings", "warning", f"no such setting: {', '.join(strange)}", mend)


def settings_found(settings: Settings, *, flag: Path | None) -> Iterator[SettingFound]:
    """Every setting in force; `flag` is what `--data-dir` gave."""
    for path, value in _leaves(settings):
        variable = "RAGSTONE_" + "__".join(path).upper()
        by_flag = flag is not None and path == ("data_dir",)
        yield SettingFound(variable, _shown(value), "--data-dir" if by_flag else _origin(variable))


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


def _origin(variable: str) -> str:
    """`environment`, `.env` or `default`; a group given whole as JSON counts for its members."""
    from dotenv import dotenv_values

    names = {variable, variable.partition("__")[0]} if "__" in variable else {variable}
    if any(name.upper() in names and value for name, value in os.environ.items()):
        return "environment"
    in_file = dotenv_values(".env")
    return ".env" if any(name.upper() in names and value for name, value in in_file.items()) else "default"
