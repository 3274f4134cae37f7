"""Commands `ragstone accounts plans`, `models` and `usage`: limits, prices and usage of tenants."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperCommand

from ragstone.cli.accounts import actor
from ragstone.cli.command import AsJson, DataDir, ExitCode, opened_records, run
from ragstone.cli.documents import ListByDefault
from ragstone.cli.output import say, say_json, say_table
from ragstone.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from datetime import datetime

    from ragstone.billing.ledger import UsageSum
    from ragstone.billing.plans import ModelEntry, Plan
    from ragstone.wiring import Infrastructure

MILLION = 1_000_000


class DeclaredFieldsCommand(TyperCommand):
    """A command whose help ends with the fields of a noun, as the noun declares them."""

    noun: Literal["Plan", "ModelEntry"]

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]  # typer's own kind
        """The help; the noun is imported on use, so that other help stays quick."""
        from ragstone.billing import plans
        from ragstone.identity.fields import declared, description

        kinds = {name: kind for name, (kind, _) in declared(getattr(plans, self.noun)).items() if name != "id"}
        rows = [f"  {name:<20} {description(kind)}" for name, kind in kinds.items()]
        return "\n".join([super().get_help(ctx), "", "Fields:", *rows])


class PlanCommand(DeclaredFieldsCommand):
    """`plans set`."""

    noun = "Plan"


class ModelCommand(DeclaredFieldsCommand):
    """`models set`."""

    noun = "ModelEntry"


plans = typer.Typer(cls=ListByDefault, help="Manage plans and their limits.", rich_markup_mode=None)
models = typer.Typer(cls=ListByDefault, help="Manage the models of plans and their prices.", rich_markup_mode=None)

PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id.")]
ModelId = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id, as plans name it.")]
Limit = Annotated[str | None, typer.Option(metavar="N|none", help="A number, or `none` for no limit.")]
Price = Annotated[str | None, typer.Option(metavar="N", help="Millionths of the currency for a million tokens.")]


@plans.command("list")
@run
async def list_plans(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the plans by id."""
    async with opened_records(data_dir) as records:
        found = await records.billing.plans.all()
    if as_json:
        say_json(found)
    else:
        columns = ("ID", "REQUESTS/H", "DOCUMENTS", "BYTES", "PAGES", "STREAMS", "OVERAGE", "MODELS")
        say_table(columns, [_plan_row(plan) for plan in found])
    return ExitCode.OK


def _plan_row(plan: Plan) -> tuple[object, ...]:
    limits = (plan.requests_per_hour, plan.max_documents, plan.max_bytes, plan.max_pages, plan.concurrent_streams)
    shown = ("none" if limit is None else limit for limit in limits)
    return plan.id, *shown, "yes" if plan.overage else "no", ", ".join(plan.models)


@plans.command("set", cls=PlanCommand)
@run
async def set_plan(
    plan: PlanId,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Display name.")] = None,
    requests_per_hour: Limit = None,
    max_documents: Limit = None,
    max_bytes: Limit = None,
    max_pages: Limit = None,
    concurrent_streams: Limit = None,
    overage: Annotated[
        bool | None, typer.Option("--overage/--no-overage", help="Serve and count requests beyond the limit.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="IDS", help="Models in order of use, separated by commas; '' for none.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Change or create a plan.

    An option that is not given keeps its value, and means no limit in a new plan.
    """
    from ragstone.billing.plans import Plan
    from ragstone.identity.fields import checked

    limits = {
        "requests_per_hour": requests_per_hour,
        "max_documents": max_documents,
        "max_bytes": max_bytes,
        "max_pages": max_pages,
        "concurrent_streams": concurrent_streams,
    }
    changes: dict[str, object] = {key: _limit(text) for key, text in limits.items() if text is not None}
    changes |= {key: value for key, value in (("name", name), ("overage", overage)) if value is not None}
    if models is not None:
        changes["models"] = tuple(part.strip() for part in models.split(",") if part.strip())
    async with opened_records(data_dir) as records:
        before = await _plan(records, plan)
        saved = await records.billing.plans.save(actor(), checked(Plan, {**asdict(before), **changes}))
    _confirm("plan", saved, as_json=as_json)
    return ExitCode.OK


@plans.command("remove")
@run
async def remove_plan(plan: PlanId, *, data_dir: DataDir = None) -> ExitCode:
    """Remove a plan without tenants."""
    async with opened_records(data_dir) as records:
        await records.billing.plans.remove(actor(), plan)
    say(f"Removed the plan {plan}.")
    return ExitCode.OK


@models.command("list")
@run
async def list_models(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the models by id.

    Prices are millionths of the currency for a million tokens.
    """
    async with opened_records(data_dir) as records:
        found = await records.billing.plans.models()
    if as_json:
        say_json(found)
    else:
        columns = ("ID", "PROVIDER", "MODEL", "KEY", "INPUT", "CACHED", "OUTPUT", "URL")
        say_table(columns, [_model_row(entry) for entry in found])
    return ExitCode.OK


def _model_row(entry: ModelEntry) -> tuple[object, ...]:
    prices = (entry.input_price, entry.cached_price, entry.output_price)
    return entry.id, entry.provider, entry.model, entry.key_variable or "", *prices, entry.base_url or ""


@models.command("set", cls=ModelCommand)
@run
async def set_model(
    model: ModelId,
    *,
    provider: Annotated[
        str | None, typer.Option(metavar="NAME", help="openai (or compatible), anthropic or extractive.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The provider's name for the model.")] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of the server. [default: the provider's]")
    ] = None,
    key_variable: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key; '' for none.")
    ] = None,
    input_price: Price = None,
    output_price: Price = None,
    cached_price: Price = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Change or add a model."""
    from ragstone.billing.plans import ModelEntry
    from ragstone.identity.fields import checked

    prices = {"input_price": input_price, "output_price": output_price, "cached_price": cached_price}
    changes: dict[str, object] = {key: price for key, price in prices.items() if price is not None}
    changes |= {key: text for key, text in (("provider", provider), ("model", name)) if text is not None}
    changes |= {
        key: text or None for key, text in (("base_url", base_url), ("key_variable", key_variable)) if text is not None
    }
    async with opened_records(data_dir) as records:
        before = await _model(records, model, provider)
        saved = await records.billing.plans.save_model(actor(), checked(ModelEntry, {**asdict(before), **changes}))
    _confirm("model", saved, as_json=as_json)
    return ExitCode.OK


@models.command("remove")
@run
async def remove_model(model: ModelId, *, data_dir: DataDir = None) -> ExitCode:
    """Remove a model without plans."""
    async with opened_records(data_dir) as records:
        await records.billing.plans.remove_model(actor(), model)
    say(f"Removed the model {model}.")
    return ExitCode.OK


@run
async def usage(
    *,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", metavar="NAME", help="Tenant to sum up. [default: all]")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="First day in UTC. [default: first of this month]")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="First day not counted. [default: tomorrow]")] = None,
    by: Annotated[str, typer.Option(metavar="day|month", help="Sums per day or per month.")] = "day",
    by_key: Annotated[bool, typer.Option("--by-key", help="Separate sums per key and user.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Sum up usage and cost."""
    from ragstone.billing.ledger import sums_csv

    if by not in {"day", "month"}:
        raise InvalidInput(f"--by is {by!r}; use day or month.")
    start, end = _days(since, until)
    async with opened_records(data_dir) as records:
        ledger = records.billing.ledger
        asked = {"since": start, "until": end, "by": by, "by_key": by_key}
        sums = await (ledger.sums(tenant, **asked) if tenant else ledger.sums_of_all(**asked))  # type: ignore[arg-type]  # as above
    if as_json:
        say_json(sums)
    elif as_csv:
        say("\n".join(sums_csv(sums).splitlines()))
    else:
        say_table(
            ("PERIOD", "TENANT", "KEY", "REQUESTS", "OVERAGE", "IN", "CACHED", "OUT", "EMBEDDED", "COST"),
            [_sum_row(each) for each in sums],
        )
    return ExitCode.OK


def _sum_row(one: UsageSum) -> tuple[object, ...]:
    tokens = (one.input_tokens, one.cached_tokens, one.output_tokens, one.embedding_tokens)
    return one.period, one.tenant, one.principal or "", one.requests, one.overage, *tokens, f"{one.cost / MILLION:.6f}"


def _days(since: str | None, until: str | None) -> tuple[datetime, datetime]:
    from datetime import UTC, datetime, timedelta

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        start = datetime.fromisoformat(since).replace(tzinfo=UTC) if since else today.replace(day=1)
        end = datetime.fromisoformat(until).replace(tzinfo=UTC) if until else today + timedelta(days=1)
    except ValueError as error:
        raise InvalidInput("--since and --until are days, such as 2026-11-21.") from error
    return start, end


def _limit(text: str) -> str | None:
    """A limit as the plan checks it; `none` is no limit."""
    return None if text.lower() == "none" else text


async def _plan(records: Infrastructure, plan_id: str) -> Plan:
    from ragstone.billing.plans import Plan

    try:
        return await records.billing.plans.get(plan_id)
    except NotFound:
        return Plan(id=plan_id, name=plan_id)


async def _model(records: Infrastructure, model_id: str, provider: str | None) -> ModelEntry:
    from ragstone.billing.plans import ModelEntry

    try:
        return await records.billing.plans.model(model_id)
    except NotFound:
        if provider is None:
            raise InvalidInput(f"The model {model_id!r} does not exist. Add it with --provider and --name.") from None
        return ModelEntry(id=model_id, provider="openai", model=model_id)


def _confirm(what: str, saved: Plan | ModelEntry, *, as_json: bool) -> None:
    if as_json:
        say_json(saved)
    else:
        say(f"Saved the {what} {saved.id}.")
