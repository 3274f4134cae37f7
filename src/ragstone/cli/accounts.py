"""Command group `ragstone accounts`: tenants, users and the audit log.

Access to the data directory is enough; the audit log names the actor `local`.
"""

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
    from ragstone.principals import Principal, Role

PAGE_SIZE = 500
MAX_PASSWORD_LINE = 10_000  # far above any password

accounts = typer.Typer(help="Manage tenants, users, keys, plans and the audit log.", rich_markup_mode=None)
tenants = typer.Typer(cls=ListByDefault, help="Manage the tenants of this installation.", rich_markup_mode=None)
users = typer.Typer(cls=ListByDefault, help="Manage the users of a tenant.", rich_markup_mode=None)
audit = typer.Typer(cls=ListByDefault, help="List and verify the audit log.", rich_markup_mode=None)
accounts.add_typer(tenants, name="tenants")
accounts.add_typer(users, name="users")
accounts.add_typer(audit, name="audit")


def operator() -> Principal:
    """The principal of commands."""
    from ragstone.principals import LOCAL

    return LOCAL


def actor() -> str:
    """Id of the principal of commands, for the audit log."""
    return operator().id


def _default_tenant() -> str:
    from ragstone.vocabulary import DEFAULT_TENANT  # late: `--help` must not wait for it

    return DEFAULT_TENANT


TenantName = Annotated[
    str,
    typer.Option(
        "--tenant",
        "-t",
        metavar="NAME",
        help="The tenant to work in.",
        default_factory=_default_tenant,
        show_default="default",
    ),
]
TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]
Who = Annotated[str, typer.Argument(metavar="USER", help="The user's e-mail address or id.")]
PlanId = Annotated[str | None, typer.Option(metavar="PLAN", help="The plan's id; a new tenant has `free`.")]
RoleName = Annotated[str | None, typer.Option(metavar="ROLE", help="viewer, editor, owner or operator.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin, one line.")]


@tenants.command("list")
@run
async def list_tenants(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the tenants by id."""
    async with opened_records(data_dir) as records:
        found: list[Tenant] = []
        while page := await records.identity.tenants.all(limit=PAGE_SIZE, after=found[-1].id if found else ""):
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
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Up to 64 lower-case letters, digits, - and _.")],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="Display name.")] = "",
    plan: PlanId = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Create a tenant."""
    async with opened_records(data_dir) as records:
        made = await records.identity.tenants.create(actor(), tenant, name=name, plan=plan or "free")
    _show_tenant(made, as_json=as_json)
    return ExitCode.OK


@tenants.command("show")
@run
async def show_tenant(tenant: TenantId, *, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """Show one tenant."""
    async with opened_records(data_dir) as records:
        found = await records.identity.tenants.get(tenant)
    _show_tenant(found, as_json=as_json)
    return ExitCode.OK


@tenants.command("change")
@run
async def change_tenant(
    tenant: TenantId,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Display name.")] = None,
    plan: PlanId = None,
    suspend: Annotated[bool | None, typer.Option("--suspend/--resume", help="Lock or unlock the tenant.")] = None,
    retention_days: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Delete conversations older than this; 0 keeps them.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Change a tenant's name, plan, state or retention."""
    from ragstone.identity.tenants import TenantChange, TenantState

    state = None if suspend is None else TenantState.SUSPENDED if suspend else TenantState.ACTIVE
    change = TenantChange(name=name, plan=plan, state=state, retention_days=retention_days)
    async with opened_records(data_dir) as records:
        changed = await records.identity.tenants.change(actor(), tenant, change)
    _show_tenant(changed, as_json=as_json)
    return ExitCode.OK


@tenants.command("remove")
@run
async def remove_tenant(
    tenant: TenantId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Lock a tenant and delete all of its data."""
    from ragstone.ingestion.tenant_deletion import request_deletion

    async with opened_records(data_dir) as records:
        found = await records.identity.tenants.get(tenant)
        if not yes:
            typer.confirm(f"Delete {one_line(found.name)} ({found.id}) with all its documents and users?", abort=True)
        await request_deletion(records.storage.database, records.identity.audit, actor(), tenant)
    say(f"{tenant} is locked. The server or a worker deletes its data.")
    return ExitCode.OK


def _show_tenant(tenant: Tenant, *, as_json: bool) -> None:
    if as_json:
        say_json(tenant)
        return
    kept = f"{tenant.retention_days} days" if tenant.retention_days else "for ever"
    say(f"{tenant.id} ({one_line(tenant.name)}): {tenant.state.value}, plan {tenant.plan}, conversations kept {kept}")


@users.command("list")
@run
async def list_users(*, tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the users of a tenant by e-mail address."""
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        found: list[User] = []
        while page := await records.identity.users.all(tenant, limit=PAGE_SIZE, after=found[-1].email if found else ""):
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
    name: Annotated[str, typer.Option(metavar="NAME", help="Display name.")] = "",
    password_stdin: FromStdin = False,
    tenant: TenantName,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Create a user; asks for the password."""
    from ragstone.identity.users import NewUser, checked_email

    checked_email(email)  # fails before the prompt for a password
    wanted = _role(role)
    async with opened_records(data_dir) as records:
        await records.identity.tenants.get(tenant)
        new = NewUser(email=email, password=_password(from_stdin=password_stdin), role=wanted, name=name)
        made = await records.identity.users.create(operator(), tenant, new)
    _show_user(made, as_json=as_json)
    return ExitCode.OK


@users.command("change")
@run
async def change_user(
    who: Who,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Display name.")] = None,
    role: RoleName = None,
    suspend: Annotated[bool | None, typer.Option("--suspend/--resume", help="Lock or unlock the user.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    password_stdin: FromStdin = False,
    tenant: TenantName,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Change a user; ends sessions except for a new name."""
    from ragstone.identity.users import UserChange, UserState

    state = None if suspend is None else UserState.SUSPENDED if suspend else UserState.ACTIVE
    async with opened_records(data_dir) as records:
        user = await _found(records.identity.users, tenant, who)
        new = _password(from_stdin=password_stdin) if password or password_stdin else None
        change = UserChange(name=name, role=_role(role) if role else None, state=state, password=new)
        changed = await records.identity.users.change(operator(), tenant, user.id, change)
    _show_user(changed, as_json=as_json)
    return ExitCode.OK


@users.command("remove")
@run
async def remove_user(who: Who, *, tenant: TenantName, data_dir: DataDir = None) -> ExitCode:
    """Remove a user and end the user's sessions."""
    async with opened_records(data_dir) as records:
        user = await _found(records.identity.users, tenant, who)
        await records.identity.users.remove(operator(), tenant, user.id)
    say(f"Removed {user.email}.")
    return ExitCode.OK


def _show_user(user: User, *, as_json: bool) -> None:
    if as_json:
        say_json(user)
    else:
        say(f"{user.email} ({user.id}): {user.state.value}, {user.role.value} of {user.tenant}")


async def _found(people: Users, tenant: str, who: str) -> User:
    """Find a user of the tenant by e-mail address or id."""
    if "@" not in who:
        return await people.get(tenant, who)
    user = await people.by_email(who)
    if user is None or user.tenant != tenant:
        raise NotFound(f"The tenant {tenant!r} has no user {who!r}. List them with `ragstone accounts users list`.")
    return user


def _role(name: str) -> Role:
    from ragstone.principals import Role

    if name not in set(Role):
        raise InvalidInput(f"Unknown role {name!r}. Use one of {', '.join(Role)}.")
    return Role(name)


def _password(*, from_stdin: bool) -> str:
    """Read the password from a prompt or stdin; other processes could read an argument."""
    if from_stdin:
        return sys.stdin.readline(MAX_PASSWORD_LINE).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidInput("The password prompt needs a terminal. Send the password with --password-stdin.")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


@audit.command("list")
@run
async def list_audit(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Number of records, newest first.")] = 100,
    tenant: TenantName,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """List the audit log of a tenant, newest first."""
    async with opened_records(data_dir) as records:
        found = await records.identity.audit.entries(tenant, limit=limit)
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
        str | None, typer.Option("--tenant", "-t", metavar="NAME", help="Tenant to check. [default: all]")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Check that the audit log is unchanged."""
    async with opened_records(data_dir) as records:
        broken = await records.identity.audit.verify(tenant)
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
