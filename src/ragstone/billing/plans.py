"""Plans and models: what a tenant may use, who answers it, and what that costs. Data, not code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy import Table, func
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, InvalidInput, NotFound
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import bump
from ragstone.principals import UNLIMITED_PLAN
from ragstone.storage import schema
from ragstone.storage.database import EVERY_TENANT, Database, scoped, unscoped
from ragstone.vocabulary import DEFAULT_TENANT, Usage

MILLION = 1_000_000
MAX_PRICE = 10**12  # a million of the currency for a million tokens: beyond that it is a typing error
MAX_NAME_CHARS = 200
MAX_MODELS = 8  # a chain longer than that is tried longer than anybody waits
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEY_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,55}_API_KEY")  # no other secret of the server can be sent to a model
_LIMITS: Mapping[str, int] = {
    "requests_per_hour": 2**31 - 1,
    "max_documents": 2**31 - 1,
    "max_bytes": 2**63 - 1,
    "max_pages": 2**31 - 1,
    "concurrent_streams": 2**31 - 1,
}
"""The limits of a plan, and the largest number that fits its column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The limits of a tenant; None is no limit. `models` are asked in order, then the extractive answerer.

    Without `models`, the model of the settings answers. With `overage`, requests beyond
    the limit are served, and counted as overage.
    """

    id: str
    name: str
    requests_per_hour: int | None = None
    max_documents: int | None = None
    max_bytes: int | None = None
    max_pages: int | None = None
    concurrent_streams: int | None = None
    overage: bool = False
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that plans may name. Prices are millionths of the currency per million tokens."""

    id: str
    provider: Literal["openai", "anthropic", "extractive"]
    model: str
    base_url: str | None = None
    key_variable: str | None = None
    input_price: int = 0
    output_price: int = 0
    cached_price: int = 0

    def cost(self, usage: Usage) -> int:
        """What `usage` costs, in millionths of the currency, rounded half up. Cached input has its own price."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        exact = (
            (usage.input_tokens - cached) * self.input_price
            + cached * self.cached_price
            + usage.output_tokens * self.output_price
        )
        return (exact + MILLION // 2) // MILLION


@dataclass(frozen=True, slots=True)
class _Known:
    """The price list as it was read."""

    plans: Mapping[str, Plan] = field(default_factory=dict)
    models: Mapping[str, ModelEntry] = field(default_factory=dict)


class Plans:
    """Reads and edits the price list; what was read is remembered until `forget`."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit
        self._known: _Known | None = None
        self._times_forgotten = 0

    async def get(self, plan_id: str) -> Plan:
        """One plan, from memory if it was read before.

        Raises:
            NotFound: there is none of that id.
        """
        if found := (await self._list()).plans.get(plan_id):
            return found
        raise _no_plan(plan_id)

    async def of_tenant(self, tenant: str) -> Plan:
        """The plan of a tenant; an unlimited one for a name without a tenant, which only embedding programs use."""
        wanted = scoped(schema.tenants, tenant, schema.tenants.c.plan)
        async with self._database.read(tenant) as connection:
            plan_id = (await connection.execute(wanted)).scalar()
        known = (await self._list()).plans
        return known.get(plan_id or "") or Plan(id=UNLIMITED_PLAN, name="Unlimited")

    async def all(self) -> list[Plan]:
        """Every plan, by id."""
        return list((await self._list()).plans.values())

    async def save(self, actor: str, plan: Plan) -> Plan:
        """Add the plan, or replace that of the same id.

        Raises:
            InvalidInput: a limit below zero, an unusable id, or a model that there is not.
        """
        _check_plan(plan)
        values = {**asdict(plan), "models": list(plan.models)}
        async with self._database.write(EVERY_TENANT) as connection:
            known = (await _read(connection)).models
            if missing := [each for each in plan.models if each not in known]:
                raise InvalidInput(f"There is no model {missing[0]!r}. Add it first, or name one of {_list(known)}.")
            await _put(connection, schema.plans, values)
            await self._changed(connection, actor, "plan.saved", plan.id, {**values, "models": ",".join(plan.models)})
        self.clear_cache()
        return plan

    async def remove(self, actor: str, plan_id: str) -> None:
        """Remove a plan that no tenant has.

        Raises:
            NotFound: there is none of that id.
            Conflict: a tenant has it.
        """
        if plan_id == UNLIMITED_PLAN:
            raise Conflict(f"The plan {plan_id!r} is that of whoever runs the installation. Change it instead.")
        async with self._database.write(EVERY_TENANT) as connection:
            if plan_id not in (await _read(connection)).plans:
                raise _no_plan(plan_id)
            count = unscoped(schema.tenants, func.count()).where(schema.tenants.c.plan == plan_id)
            if (await connection.execute(count)).scalar_one():
                raise Conflict(f"A tenant has the plan {plan_id!r}. Give its tenants another one first.")
            await connection.execute(schema.plans.delete().where(schema.plans.c.id == plan_id))
            await self._changed(connection, actor, "plan.removed", plan_id)
        self.clear_cache()

    async def model(self, model_id: str) -> ModelEntry:
        """One model. Raises: NotFound."""
        if found := (await self._list()).models.get(model_id):
            return found
        raise _no_model(model_id)

    async def models(self) -> list[ModelEntry]:
        """Every model, by id."""
        return list((await self._list()).models.values())

    async def save_model(self, actor: str, entry: ModelEntry) -> ModelEntry:
        """Add the model, or replace that of the same id. Raises: InvalidInput."""
        _check_model(entry)
        values = asdict(entry)
        async with self._database.write(EVERY_TENANT) as connection:
            await _put(connection, schema.models, values)
            await self._changed(connection, actor, "model.saved", entry.id, values)
        self.clear_cache()
        return entry

    async def remove_model(self, actor: str, model_id: str) -> None:
        """Remove a model that no plan names. Raises: NotFound, Conflict."""
        async with self._database.write(EVERY_TENANT) as connection:
            known = await _read(connection)
            if model_id not in known.models:
                raise _no_model(model_id)
            if users := [plan.id for plan in known.plans.values() if model_id in plan.models]:
                raise Conflict(f"The plan {users[0]!r} names the model {model_id!r}. Take it out there first.")
            await connection.execute(schema.models.delete().where(schema.models.c.id == model_id))
            await self._changed(connection, actor, "model.removed", model_id)
        self.clear_cache()

    def clear_cache(self) -> None:
        """Read everything anew from now on."""
        self._known = None
        self._times_forgotten += 1

    async def _list(self) -> _Known:
        if self._known:
            return self._known
        before = self._times_forgotten
        async with self._database.read(EVERY_TENANT) as connection:
            known = await _read(connection)
        if before == self._times_forgotten:  # else it was changed while it was read
            self._known = known
        return known

    async def _changed(
        self,
        connection: AsyncConnection,
        actor: str,
        action: str,
        target: str,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        await self._audit.record(connection, DEFAULT_TENANT, actor=actor, action=action, target=target, details=details)
        await bump(connection)


async def _read(connection: AsyncConnection) -> _Known:
    plans = (await connection.execute(unscoped(schema.plans).order_by(schema.plans.c.id))).mappings()
    models = (await connection.execute(unscoped(schema.models).order_by(schema.models.c.id))).mappings()
    return _Known(
        {row["id"]: Plan(**{**row, "models": tuple(row["models"])}) for row in plans},
        {row["id"]: ModelEntry(**row) for row in models},
    )


async def _put(connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> None:
    """Replace the row of this id, or add it."""
    replaced = await connection.execute(table.update().where(table.c.id == values["id"]).values(values))
    if replaced.rowcount == 0:
        await connection.execute(table.insert().values(values))


def _check_plan(plan: Plan) -> None:
    _check_id("plan", plan.id)
    _check_text("name", plan.name, MAX_NAME_CHARS)
    for name, largest in _LIMITS.items():
        limit: int | None = getattr(plan, name)
        if limit is not None and not 0 <= limit <= largest:
            raise InvalidInput(f"{name} is {limit}; it has to be from 0 to {largest:,}, or left out for no limit.")
    if len(plan.models) > MAX_MODELS or len(set(plan.models)) < len(plan.models):
        raise InvalidInput(f"A plan names up to {MAX_MODELS} models, each once, in the order they are asked.")


def _check_model(entry: ModelEntry) -> None:
    _check_id("model", entry.id)
    _check_text("model", entry.model, 128)
    if entry.provider not in {"openai", "anthropic", "extractive"}:
        raise InvalidInput(f"The provider {entry.provider!r} is not known. Use openai, anthropic or extractive.")
    for name in ("input_price", "output_price", "cached_price"):
        if not 0 <= getattr(entry, name) <= MAX_PRICE:
            raise InvalidInput(f"{name} has to be from 0 to {MAX_PRICE:,} millionths per million tokens.")
    if entry.key_variable is not None and not _KEY_VARIABLE.fullmatch(entry.key_variable):
        raise InvalidInput("key_variable is the name of an environment variable that ends in _API_KEY, never a key.")
    if entry.base_url is not None:
        _check_url(entry.base_url)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInput("base_url has to be http(s)://host/path, without user, password or question mark.")


def _check_id(what: str, text: str) -> None:
    if not _ID.fullmatch(text):
        raise InvalidInput(
            f"The {what} id {text[:80]!r} cannot be used. Use up to 64 small letters, digits, dots, - and _."
        )


def _check_text(name: str, text: str, longest: int) -> None:
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise InvalidInput(f"{name} has to be 1 to {longest} characters on one line.")


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"


def _no_plan(plan_id: str) -> NotFound:
    return NotFound(f"There is no plan {plan_id!r}. List them with `ragstone accounts plans list`.")


def _no_model(model_id: str) -> NotFound:
    return NotFound(f"There is no model {model_id!r}. List them with `ragstone accounts models list`.")
