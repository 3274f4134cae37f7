"""`ragstone accounts`: who may come in. Whoever may read the data directory may do all of this, as `local`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import AsJson, DataDir, ExitCode, opened_records, run
from ragstone.cli.documents import ListByDefault
from ragstone.cli.output import complain, one_line, say, say_json, say_table
from ragstone.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from ragstone.identity.audit import AuditEntry
    from ragstone.identity.tenants import Tenant
    from ragstone.identity.users import User, Users
    from ragstone.principals import Role

ACTOR = "local"  # `principals.LOCAL.id`; to import it would load NumPy for `--help`
PAGE_SIZE = 500
MAX_PASSWORD_LINE = 10_000  # far above any password

accounts = typer.Typer(help="Tenants, users, keys and the record of who did what.", rich_markup_mode=None)
tenants = typer.Typer(cls=ListByDefault, help="The customers of this installation.", rich_markup_mode=None)
users = typer.Typer(cls=ListByDefault, help="The people of a tenant.", rich_markup_mode=None)
audit = typer.Typer(cls=ListByDefault, help="The record of who did what.", rich_markup_mode=None)
accounts.add_typer(tenants, name="tenants")
accounts.add_typer(users, name="users")
accounts.add_typer(audit, name="audit")

TenantName = Annotated[str, typer.Option("--tenant", "-t", metavar="NAME", help="The tenant to work in.")]
TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]
Who = Annotated[str, typer.Argument(metavar="USER", help="The user's e-mail address or id.")]
PlanId = Annotated[str | None, typer.Option(metavar="PLAN", help="The plan's id; a new tenant has `free`.")]
RoleName = Annotated[str | None, typer.Option(metavar="ROLE", help="viewer, editor, owner or operator.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin, one line.")]
DEFAULT = "default"  # `vocabulary.DEFAULT_TENANT`, as above


@tenants.command("list")
@run
async def list_tenants(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the tenants, by id."""
    async with opened_records(data_dir) as records:
        found: list[Tenant] = []
        while page := await records.accounts.tenants.all(limit=PAGE_SIZE, after=found[-1].id if found else ""):
            found += page
    if as_json:
        say_json(found)
    else:
        rows = [(each.id, each.state.value, each.plan, each.name) for each in found]
        say_table(("ID", "STATE", "PLAN", "NAME"), rows)
    return ExitCode.OK


@tenants.command("create")
@run
async def create_tenant(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Up to 64 small letters, digits, - and _.")],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="What people call it.")] = "",
    plan: PlanId = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Make a tenant."""
    async with opened_records(data_dir) as records:
        made = await records.accounts.tenants.create(ACTOR, tenant, name=name, plan=plan or "free")
    _show_tenant(made, as_json=as_json)
    return ExitCode.OK


@tenants.command("show")
@run
async def show_tenant(tenant: TenantId, *, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """Show one tenant."""
    async with opened_records(data_dir) as records:
        found = await records.accounts.tenants.get(tenant)
    _show_tenant(found, as_json=as_json)
    return ExitCode.OK


@tenants.command("change")
@run
async def change_tenant(
    tenant: TenantId,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What people call it.")] = None,
    plan: PlanId = None,
    suspend: Annotated[bool | None, typer.Option("--suspend/--resume", help="Let nobody of it in, or again.")] = None,
    retention_days: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Delete conversations that are older; 0 keeps them.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Change a tenant's name, plan, state or retention."""
    from ragstone.identity.tenants import TenantChange, TenantState

    state = None if suspend is None else TenantState.SUSPENDED if suspend else TenantState.ACTIVE
    change = TenantChange(name=name, plan=plan, state=state, retention_days=retention_days)
    async with opened_records(data_dir) as records:
        changed = await records.accounts.tenants.change(ACTOR, tenant, change)
    _show_tenant(changed, as_json=as_json)
    return ExitCode.OK


@tenants.command("remove")
@run
async def remove_tenant(
    tenant: TenantId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Lock a tenant out and delete all it has; a worker does it."""
    from ragstone.ingestion.tenant_deletion import request_deletion

    async with opened_records(data_dir) as records:
        found = await records.accounts.tenants.get(tenant)
        if not yes:
            typer.confirm(f"Delete {one_line(found.name)} ({found.id}) with all its documents and users?", abort=True)
        await request_deletion(records.database, records.accounts.audit, ACTOR, tenant)
    say(f"Nobody of {tenant} is let in any more. The server or a worker deletes what it has.")
    return ExitCode.OK


def _show_tenant(tenant: Tenant, *, as_json: bool) -> None:
    if as_json:
        say_json(tenant)
        return
    kept = f"{tenant.retention_days} days" if tenant.retention_days else "for ever"
    say(f"{tenant.id} ({one_line(tenant.name)}): {tenant.state.value}, plan {tenant.plan}, conversations kept {kept}")


@users.command("list")
@run
async def list_users(*, tenant: TenantName = DEFAULT, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the users of a tenant, by address."""
    async with opened_records(data_dir) as records:
        await records.accounts.tenants.get(tenant)
        found: list[User] = []
        while page := await records.accounts.users.all(tenant, limit=PAGE_SIZE, after=found[-1].email if found else ""):
            found += page
    if as_json:
        say_json(found)
    elif found:
        rows = [(each.id, each.state.value, each.role.value, each.email, each.name) for each in found]
        say_table(("ID", "STATE", "ROLE", "E-MAIL", "NAME"), rows)
    else:
        complain("No users yet. Add one with `ragstone accounts users create --role owner you@example.org`.")
    return ExitCode.OK


@users.command("create")
@run
async def create_user(
    email: Annotated[str, typer.Argument(metavar="E-MAIL", help="The address to log in with.")],
    *,
    role: Annotated[str, typer.Option(metavar="ROLE", help="viewer, editor, owner or operator.")] = "viewer",
    name: Annotated[str, typer.Option(metavar="NAME", help="What people call this person.")] = "",
    password_stdin: FromStdin = False,
    tenant: TenantName = DEFAULT,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Make a user; the password is asked for."""
    from ragstone.identity.users import checked_email

    checked_email(email)  # before a password is typed for nothing
    wanted = _role(role)
    async with opened_records(data_dir) as records:
        await records.accounts.tenants.get(tenant)
        made = await records.accounts.users.create(
            ACTOR, tenant, email=email, password=_password(from_stdin=password_stdin), role=wanted, name=name
        )
    _show_user(made, as_json=as_json)
    return ExitCode.OK


@users.command("change")
@run
async def change_user(
    who: Who,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What people call this person.")] = None,
    role: RoleName = None,
    suspend: Annotated[bool | None, typer.Option("--suspend/--resume", help="Do not let in, or again.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    password_stdin: FromStdin = False,
    tenant: TenantName = DEFAULT,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Change a user; all but a new name ends the sessions."""
    from ragstone.identity.users import UserChange, UserState

    state = None if suspend is None else UserState.SUSPENDED if suspend else UserState.ACTIVE
    async with opened_records(data_dir) as records:
        user = await _found(records.accounts.users, tenant, who)
        new = _password(from_stdin=password_stdin) if password or password_stdin else None
        change = UserChange(name=name, role=_role(role) if role else None, state=state, password=new)
        changed = await records.accounts.users.change(ACTOR, tenant, user.id, change)
    _show_user(changed, as_json=as_json)
    return ExitCode.OK


@users.command("remove")
@run
async def remove_user(who: Who, *, tenant: TenantName = DEFAULT, data_dir: DataDir = None) -> ExitCode:
    """Remove a user and end the sessions."""
    async with opened_records(data_dir) as records:
        user = await _found(records.accounts.users, tenant, who)
        await records.accounts.users.remove(ACTOR, tenant, user.id)
    say(f"Removed {user.email}.")
    return ExitCode.OK


def _show_user(user: User, *, as_json: bool) -> None:
    if as_json:
        say_json(user)
    else:
        say(f"{user.email} ({user.id}): {user.state.value}, {user.role.value} of {user.tenant}")


async def _found(people: Users, tenant: str, who: str) -> User:
    """By address or id, within the tenant."""
    if "@" not in who:
        return await people.get(tenant, who)
    user = await people.by_email(who)
    if user is None or user.tenant != tenant:
        raise NotFound(f"The tenant {tenant!r} has no user {who!r}. List them with `ragstone accounts users list`.")
    return user


def _role(name: str) -> Role:
    from ragstone.principals import Role

    if name not in set(Role):
        raise InvalidInput(f"There is no role {name!r}. Use one of {', '.join(Role)}.")
    return Role(name)


def _password(*, from_stdin: bool) -> str:
    """Asked for on a terminal; never an argument, which every process of the machine could read."""
    if from_stdin:
        return sys.stdin.readline(MAX_PASSWORD_LINE).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidInput("There is no terminal to ask for the password on. Send it with --password-stdin.")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


@audit.command("list")
@run
async def list_audit(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    tenant: TenantName = DEFAULT,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """List what was done in a tenant, newest first."""
    async with opened_records(data_dir) as records:
        found = await records.accounts.audit.entries(tenant, limit=limit)
    if as_json:
        say_json(found)
    else:
        say_table(("NUMBER", "AT", "ACTOR", "ACTION", "TARGET", "DETAILS"), [_entry_row(each) for each in found])
    return ExitCode.OK


@audit.command("verify")
@run
async def verify_audit(
    *,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", metavar="NAME", help="One tenant's record; all if not given.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Look whether the record is as it was written."""
    async with opened_records(data_dir) as records:
        broken = await records.accounts.audit.verify(tenant)
    if as_json:
        say_json(list(broken))
    else:
        for each in broken:
            complain(f"{each.tenant}: record {each.number}: {each.reason}")
        say("Broken." if broken else "Whole.")
    return ExitCode.FAILED if broken else ExitCode.OK


def _entry_row(entry: AuditEntry) -> tuple[object, ...]:
    details = " ".join(f"{name}={value}" for name, value in entry.details.items())
    return entry.number, entry.at.isoformat(timespec="seconds"), entry.actor, entry.action, entry.target, details
