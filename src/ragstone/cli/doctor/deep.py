"""Rules that need the database: keys of the price list's models, owners, and keys of the settings beside accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragstone.billing.plans import ModelEntry, Plan
from ragstone.cli.doctor.rules import Problem, Subject, error, is_loopback, warning
from ragstone.errors import RagstoneError
from ragstone.wiring import Accounts, open_records

MAX_TENANTS = 10_000  # whose plans are looked at; more have the same ones


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database knows that bears on the settings."""

    has_owner: bool
    plans: Sequence[Plan]  # those that tenants have
    models: Sequence[ModelEntry]


async def problems_in_database(subject: Subject, environment: Mapping[str, str]) -> list[Problem]:
    """What does not fit between settings and database; a database that does not open is one problem.

    Args:
        subject: The settings, profile and machine.
        environment: Variables of the server, where the keys of models are.
    """
    try:
        async with open_records(subject.settings) as records:
            recorded = await _recorded(records.accounts)
    except RagstoneError as broken:
        return [error("RAGSTONE_DATABASE__URL", f"the database does not open: {broken.message}", "ragstone doctor")]
    return [
        *keys_beside_accounts(subject, recorded),
        *unowned(subject, recorded),
        *keyless_models(recorded, environment),
    ]


async def _recorded(accounts: Accounts) -> Recorded:
    used = {tenant.plan for tenant in await accounts.tenants.all(limit=MAX_TENANTS)}
    plans = [plan for plan in await accounts.plans.all() if plan.id in used]
    return Recorded(await accounts.users.has_owner(), plans, await accounts.plans.models())


def keys_beside_accounts(subject: Subject, recorded: Recorded) -> Iterator[Problem]:
    """Keys of the settings are for the time before accounts: nobody can revoke them while a server runs."""
    if recorded.has_owner and subject.settings.server.api_keys:
        yield warning(
            "RAGSTONE_SERVER__API_KEYS",
            "keys of the settings beside accounts: no record tells who used them, and nobody can revoke them",
            "Make keys with `ragstone accounts keys create`, and leave this one out.",
        )


def unowned(subject: Subject, recorded: Recorded) -> Iterator[Problem]:
    """The server refuses to answer the network before it belongs to somebody."""
    server = subject.settings.server
    if not recorded.has_owner and not server.api_keys and not is_loopback(server.host):
        yield error(
            "RAGSTONE_SERVER__HOST",
            f"{server.host}, but nobody owns this installation, so the server does not start",
            "ragstone accounts users create --role owner you@example.org",
        )


def keyless_models(recorded: Recorded, environment: Mapping[str, str]) -> Iterator[Problem]:
    """A model whose key is missing is passed over: its plans get the next one, or an extracted answer."""
    used = {name for plan in recorded.plans for name in plan.models}
    for model in recorded.models:
        if model.id in used and model.key_variable and not environment.get(model.key_variable):
            found = f"unset in this environment, and the model {model.id} of the price list needs it"
            yield warning(model.key_variable, found, "Set it for the server, or take the model out of its plans.")
