"""Plans and models: the limits of tenants, the models that answer them, and their prices. Stored as data.

`Plan` and `ModelEntry` declare each field once; the API's bodies and the command line derive from them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from sqlalchemy import Table, func
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, InvalidInput, NotFound
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import bump
from ragstone.identity.fields import MAX_NAME_CHARS, AccountId, checked
from ragstone.principals import UNLIMITED_PLAN
from ragstone.storage import schema
from ragstone.storage.database import EVERY_TENANT, Database, scoped, unscoped
from ragstone.vocabulary import DEFAULT_TENANT, Usage

MILLION = 1_000_000
MAX_PRICE = 10**12  # a million of the currency for a million tokens: more is a typing error
MAX_MODELS = 8  # answering waits for each model of the chain that fails
COUNT_LIMIT = 2**31  # numbers below fit an SQL INTEGER
BYTES_LIMIT = 2**63  # numbers below fit an SQL BIGINT
_KEY_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,55}_API_KEY")  # so that no other secret of the server reaches a model


def _each_once(models: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(models)) < len(models):
        raise ValueError("must name each model once, in the order they are asked")
    return models


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be printable characters on one line")
    return text


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be http(s)://host/path, without user, password or question mark")
    return url


def _key_variable(name: str) -> str:
    if not _KEY_VARIABLE.fullmatch(name):
        raise ValueError("must be the name of an environment variable that ends in _API_KEY, never a key")
    return name


Line = Annotated[str, AfterValidator(_one_line)]
Models = Annotated[tuple[AccountId, ...], Field(max_length=MAX_MODELS), AfterValidator(_each_once)]
Price = Annotated[int, Field(ge=0, le=MAX_PRICE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The limits of a tenant; None is no limit. Without `models`, the model of the settings answers."""

    id: AccountId
    name: Annotated[Line, Field(max_length=MAX_NAME_CHARS, description="Display name.")]
    requests_per_hour: Annotated[int | None, Field(ge=0, lt=COUNT_LIMIT, description="Requests in one hour.")] = None
    max_documents: Annotated[int | None, Field(ge=0, lt=COUNT_LIMIT, description="Documents stored.")] = None
    max_bytes: Annotated[int | None, Field(ge=0, lt=BYTES_LIMIT, description="Bytes of the documents stored.")] = None
    max_pages: Annotated[int | None, Field(ge=0, lt=COUNT_LIMIT, description="Pages of the documents stored.")] = None
    concurrent_streams: Annotated[
        int | None, Field(ge=0, lt=COUNT_LIMIT, description="Answers written at the same time.")
    ] = None
    overage: Annotated[bool, Field(description="Serve requests beyond the limit, and count them as overage.")] = False
    models: Annotated[Models, Field(description="Asked in order; if all fail, answers are extracted.")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that plans may name. Prices are millionths of the currency per million tokens."""

    id: AccountId
    provider: Annotated[
        Literal["openai", "anthropic", "extractive"], Field(description="`openai` also for compatible servers.")
    ]
    model: Annotated[Line, Field(max_length=128, description="The provider's name for the model.")]
    base_url: Annotated[
        Annotated[str, Field(max_length=2000), AfterValidator(_base_url)] | None,
        Field(description="Base URL of the server; null: the provider's."),
    ] = None
    key_variable: Annotated[
        Annotated[str, Field(max_length=100), AfterValidator(_key_variable)] | None,
        Field(description="Environment variable of the server that holds the key."),
    ] = None
    input_price: Annotated[Price, Field(description="Price of tokens that the model reads.")] = 0
    output_price: Annotated[Price, Field(description="Price of tokens that the model writes.")] = 0
    cached_price: Annotated[Price, Field(description="Price of tokens that the model reads from its cache.")] = 0

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
    """All plans and models, as read from the database."""

    plans: Mapping[str, Plan] = field(default_factory=dict)
    models: Mapping[str, ModelEntry] = field(default_factory=dict)


class Plans:
    """Reads and edits plans and models; caches them until `clear_cache`."""

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
        plan = checked(Plan, asdict(plan))
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
            raise Conflict(f"The operator who runs the installation has the plan {plan_id!r}. Change it instead.")
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
        entry = checked(ModelEntry, asdict(entry))
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


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"


def _no_plan(plan_id: str) -> NotFound:
    return NotFound(f"There is no plan {plan_id!r}. List them with `ragstone accounts plans list`.")


def _no_model(model_id: str) -> NotFound:
    return NotFound(f"There is no model {model_id!r}. List them with `ragstone accounts models list`.")
