"""Command group `ragstone accounts keys`: create, list, rotate and revoke keys of a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.accounts import PAGE_SIZE, TenantName, operator
from ragstone.cli.command import AsJson, DataDir, ExitCode, opened_records, run
from ragstone.cli.documents import ListByDefault
from ragstone.cli.output import complain, say, say_json, say_table
from ragstone.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from ragstone.identity.api_keys import ApiKey
    from ragstone.principals import Permission

keys = typer.Typer(cls=ListByDefault, help="Manage the API keys of a tenant.", rich_markup_mode=None)

HOUR_S = 3600.0
MAX_DAYS = 36_500  # a hundred years
KeyId = Annotated[str, typer.Argument(metavar="KEY-ID", help="The key's id, as `keys list` shows it.")]


@keys.command("list")
@run
async def list_keys(*, tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the keys of a tenant, newest first."""
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        found: list[ApiKey] = []
        while page := await records.identity.api_keys.all(
            tenant, limit=PAGE_SIZE, after=found[-1].id if found else None
        ):
            found += page
    if as_json:
        say_json(found)
    elif found:
        columns = ("ID", "KEY", "KIND", "MAY", "NAME", "LAST USED", "ENDS")
        say_table(columns, [_row(key) for key in found])
    else:
        complain("No keys yet. Create one with `ragstone accounts keys create`.")
    return ExitCode.OK


@keys.command("create")
@run
async def create_key(
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="Purpose of the key.")] = "",
    publishable: Annotated[bool, typer.Option("--publishable", help="Key for the widget of a web site.")] = False,
    permission: Annotated[
        list[str] | None, typer.Option(metavar="PERMISSION", help="Permission of the key. [default: all except manage]")
    ] = None,
    collection: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Collection of the key. [default: all]")
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option(metavar="DOMAIN", help="Site that may use a publishable key.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=MAX_DAYS, metavar="DAYS", help="Lifetime in days.")] = None,
    tenant: TenantName,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Create a key and show it once."""
    from ragstone.identity.api_keys import NewKey

    new = NewKey(
        kind="publishable" if publishable else "secret",
        name=name,
        permissions=_permissions(permission),
        collections=collection or None,
        domains=domain or (),
        expires_at=_in(days) if days else None,
    )
    async with opened_records(data_dir) as records:
        key, shown = await records.identity.api_keys.create(operator(), tenant, new)
    _show(key, shown, as_json=as_json)
    return ExitCode.OK


@keys.command("rotate")
@run
async def rotate_key(
    key_id: KeyId,
    *,
    overlap_hours: Annotated[float, typer.Option(metavar="HOURS", help="How long the old key stays valid.")] = 24,
    tenant: TenantName,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Replace a key; the old one expires later."""
    async with opened_records(data_dir) as records:
        key, shown = await records.identity.api_keys.rotate(
            operator(), tenant, key_id, overlap_s=overlap_hours * HOUR_S
        )
    _show(key, shown, as_json=as_json)
    return ExitCode.OK


@keys.command("revoke")
@run
async def revoke_key(key_id: KeyId, *, tenant: TenantName, data_dir: DataDir = None) -> ExitCode:
    """Revoke a key at once."""
    async with opened_records(data_dir) as records:
        await records.identity.api_keys.revoke(operator(), tenant, key_id)
    say(f"The key {key_id} is revoked.")
    return ExitCode.OK


def _permissions(names: list[str] | None) -> frozenset[Permission] | None:
    from ragstone.principals import Permission

    if not names:
        return None
    if unknown := [name for name in names if name not in set(Permission)]:
        raise InvalidInput(f"Unknown permission {unknown[0]!r}. Use {', '.join(Permission)}.")
    return frozenset(Permission(name) for name in names)


def _in(days: int) -> datetime:
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) + timedelta(days=days)


def _show(key: ApiKey, shown: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"key": shown, "record": key})
        return
    say(shown)
    complain(f"This is the {key.kind} key {key.id} of {key.tenant}. Save it now: it cannot be shown again.")


def _row(key: ApiKey) -> tuple[object, ...]:
    may = " ".join(sorted(key.permissions))
    return key.id, f"{key.start}…", key.kind, may, key.name, _day(key.last_used_at, "never"), _end(key)


def _end(key: ApiKey) -> str:
    return f"revoked {_day(key.revoked_at, '')}" if key.revoked_at else _day(key.expires_at, "never")


def _day(moment: datetime | None, otherwise: str) -> str:
    return moment.isoformat(timespec="minutes") if moment else otherwise
