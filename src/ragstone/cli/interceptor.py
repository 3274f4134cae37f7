"""`ragstone interceptor`: the settings of a tenant's interceptor, and the interceptor alone."""

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

interceptor = typer.Typer(help="How the chats of a tenant are enriched.", rich_markup_mode=None)

Assignments = Annotated[
    list[str] | None, typer.Argument(metavar="NAME=VALUE", help="As `show` lists them; `null` where there is none.")
]
KeyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="File that holds this key; - is stdin.")]


@interceptor.command("show")
@run
async def show(*, tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """Show how chats are treated, and which keys are set."""
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        stored = await records.tenancy.tenant_settings.stored(tenant)
        settings = stored.settings if stored else await records.tenancy.tenant_settings.get(tenant)
    _show(settings, stored.keys_set if stored else {}, as_json=as_json)
    if not stored:
        complain(f"{tenant} has set up nothing itself; this is what the settings of the installation say.")
    return ExitCode.OK


class SettingsCommand(TyperCommand):
    """A command whose help ends with the settings of a tenant."""

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]  # typer's own kind
        """The help; the settings are imported on use, so that other help stays quick."""
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
    """Change settings and keys; what is not given stays.

    Keys come from files, as every process of the machine can read arguments.
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
    """Forget a tenant's settings and keys."""
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        await records.tenancy.tenant_settings.remove(actor(), tenant)
    say(f"The interceptor of {tenant} is as the settings of the installation say.")
    return ExitCode.OK


def _changed(before: TenantSettings, assignments: Sequence[str]) -> TenantSettings:
    """The settings with these assignments, each `NAME=VALUE`."""
    from ragstone.tenants.settings import SETTINGS, flat, from_flat

    values = flat(before)
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or name not in SETTINGS:
            raise InvalidInput(
                f"{assignment[:80]!r} sets nothing. Write NAME=VALUE, with one of {', '.join(SETTINGS)}."
            )
        values[name] = _value(name, text)
    return from_flat(values)


def _value(name: str, text: str) -> object:
    """A value from the command line: JSON, except for the settings that are text."""
    from ragstone.tenants.settings import SETTINGS

    if text != "null" and SETTINGS[name].is_text:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The value of {name} is no JSON, such as 10, true, null or [1].") from error


def _keys(files: Mapping[str, Path | None]) -> dict[str, str]:
    return {name: _key(file) for name, file in files.items() if file is not None}


def _key(file: Path) -> str:
    """The key that a file holds, without the line's end.

    Raises:
        InvalidInput: it cannot be read, or holds something else.
    """
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(MAX_KEY_FILE_BYTES + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(MAX_KEY_FILE_BYTES + 1)
        if len(content) > MAX_KEY_FILE_BYTES:
            raise InvalidInput(f"{file} is too large to be a key. Give a file that holds the key alone.")
        return content.decode("ascii").strip()
    except OSError as error:
        raise InvalidInput(f"The key file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} holds no key: keys are letters, digits and signs.") from None


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
    """A value as `set` takes it."""
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

    Chats under /v1 are forwarded to a model's server, enriched from a pipeline. The process needs
    no database and no data directory: keys, servers and the pipeline come from the settings, so
    any number of copies may run behind a load balancer. Ends with Ctrl-C or SIGTERM.
    """
    return await _serve(host, port)


@run
async def intercept(*, host: Host = None, port: Port = None) -> ExitCode:
    """Serve the interceptor alone; an old name of `ragstone interceptor serve`."""
    complain("`ragstone intercept` is deprecated and goes with the next release. Use `ragstone interceptor serve`.")
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
