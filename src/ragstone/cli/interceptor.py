"""Command group `ragstone interceptor`: the interceptor settings of a tenant, and the standalone interceptor."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from ragstone.cli.accounts import TenantName, actor
from ragstone.cli.command import AsJson, DataDir, ExitCode, opened_records, run, settings_for
from ragstone.cli.output import complain, say, say_json, say_table
from ragstone.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from ragstone.tenants.settings import Declared, TenantSettings

MAX_KEY_FILE_BYTES = 16_384  # twice the longest key

interceptor = typer.Typer(help="Manage the interceptor settings of a tenant, or serve it alone.", rich_markup_mode=None)

Assignments = Annotated[
    list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Settings as `show` lists them; `null` means none.")
]
KeyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="File with this key; - reads stdin.")]


@interceptor.command("show")
@run
async def show(*, tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """Show the settings, and which keys are set."""
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        stored = await records.tenancy.tenant_settings.stored(tenant)
        settings = stored.settings if stored else await records.tenancy.tenant_settings.get(tenant)
    _show(settings, stored.keys_set if stored else {}, as_json=as_json)
    if not stored:
        complain(f"{tenant} has no settings of its own; these are the settings of the installation.")
    return ExitCode.OK


class SettingsCommand(TyperCommand):
    """Command with the list of a tenant's settings at the end of its help."""

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]  # typer's own kind
        """See `TyperCommand.get_help`. Imports the settings late, so that other help stays quick."""
        from ragstone.tenants.settings import SETTINGS

        rows = [f"  {name:<16} {_help(each)}" for name, each in SETTINGS.items()]
        return "\n".join([super().get_help(ctx), "", "Settings:", *rows])


def _help(setting: Declared) -> str:
    bounds = f" [{setting.bounds}]" if setting.bounds else ""
    return f"{setting.info.description}{bounds}"


@interceptor.command("set", cls=SettingsCommand)
@run
async def set_(
    assignments: Assignments = None,
    *,
    upstream_key_file: KeyFile = None,
    anthropic_key_file: KeyFile = None,
    pipeline_key_file: KeyFile = None,
    librechat_key_file: KeyFile = None,
    forget_key: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="upstream, anthropic, pipeline or librechat.")
    ] = None,
    tenant: TenantName,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Change settings and keys; others keep their values.

    Keys are read from files, because other processes can read arguments.
    """
    files = {
        "upstream": upstream_key_file,
        "anthropic": anthropic_key_file,
        "pipeline": pipeline_key_file,
        "librechat": librechat_key_file,
    }
    keys = {**dict.fromkeys(forget_key or ()), **_keys(files)}
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        before = await records.tenancy.tenant_settings.to_change(tenant)
        wanted = _changed(before, assignments or ())
        stored = await records.tenancy.tenant_settings.change(actor(), tenant, wanted, keys)
    _show(stored.settings, stored.keys_set, as_json=as_json)
    return ExitCode.OK


@interceptor.command("reset")
@run
async def reset(*, tenant: TenantName, data_dir: DataDir = None) -> ExitCode:
    """Delete the settings and keys of a tenant."""
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        await records.tenancy.tenant_settings.remove(actor(), tenant)
    say(f"{tenant} now uses the interceptor settings of the installation.")
    return ExitCode.OK


def _changed(before: TenantSettings, assignments: Sequence[str]) -> TenantSettings:
    """Settings after the assignments, each `NAME=VALUE`."""
    from ragstone.tenants.settings import SETTINGS, flat, from_flat

    values = flat(before)
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or name not in SETTINGS:
            raise InvalidInput(
                f"{assignment[:80]!r} is not an assignment. Write NAME=VALUE, with one of {', '.join(SETTINGS)}."
            )
        values[name] = _value(name, text)
    return from_flat(values)


def _value(name: str, text: str) -> object:
    """Parse a value of the command line: JSON, except for text settings."""
    from ragstone.tenants.settings import SETTINGS

    if text != "null" and SETTINGS[name].is_text:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The value of {name} is not JSON. Write it as 10, true, null or [1].") from error


def _keys(files: Mapping[str, Path | None]) -> dict[str, str]:
    return {name: _key(file) for name, file in files.items() if file is not None}


def _key(file: Path) -> str:
    """Read a key from a file, without the line end.

    Raises:
        InvalidInput: the file cannot be read, or does not contain a key.
    """
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(MAX_KEY_FILE_BYTES + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(MAX_KEY_FILE_BYTES + 1)
        if len(content) > MAX_KEY_FILE_BYTES:
            raise InvalidInput(f"{file} is too large for a key. Use a file that contains only the key.")
        return content.decode("ascii").strip()
    except OSError as error:
        raise InvalidInput(
            f"The key file {file} cannot be read: {error.strerror}. Check its name and permissions."
        ) from error
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} does not contain a key. A key has ASCII letters, digits and signs only.") from None


def _show(settings: TenantSettings, keys_set: Mapping[str, datetime], *, as_json: bool) -> None:
    from ragstone.tenants.settings import flat

    shown = flat(settings)
    if as_json:
        say_json({"settings": shown, "keys_set": keys_set})
        return
    rows: list[tuple[object, ...]] = [(name, _shown(name, value)) for name, value in shown.items()]
    rows += [(f"key: {name}", f"set {at.isoformat(timespec='minutes')}") for name, at in keys_set.items()]
    say_table(("NAME", "VALUE"), rows)


def _shown(name: str, value: object) -> str:
    """Text of a value, in the form that `set` accepts."""
    from ragstone.tenants.settings import SETTINGS

    return value if isinstance(value, str) and SETTINGS[name].is_text else json.dumps(value)


Host = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. [default: 8000]")
]


@interceptor.command("serve")
@run
async def serve_interceptor(*, host: Host = None, port: Port = None) -> ExitCode:
    """Serve the interceptor alone.

    Enriches chats under /v1 from a pipeline and forwards them to a model server. The process needs
    no database and no data directory: keys, servers and the pipeline come from the settings, so
    any number of copies can run behind a load balancer. Ends with Ctrl-C or SIGTERM.
    """
    return await _serve(host, port)


@run
async def intercept(*, host: Host = None, port: Port = None) -> ExitCode:
    """Old name of `ragstone interceptor serve`."""
    complain("`ragstone intercept` is deprecated; the next release removes it. Use `ragstone interceptor serve`.")
    return await _serve(host, port)


async def _serve(host: str | None, port: int | None) -> ExitCode:
    settings = settings_for(None)
    from ragstone.interceptor.alone import serve
    from ragstone.telemetry.logs import configure_logs
    from ragstone.telemetry.redaction import Redactor
    from ragstone.wiring.interceptor_alone import open_interceptor_alone

    configure_logs(settings.log.level, settings.log.json_lines, Redactor(settings.privacy.patterns))
    await serve(settings, open_interceptor_alone(settings), host, port)
    return ExitCode.OK
