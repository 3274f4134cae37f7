"""Plans and models: what a tenant may use, who answers it, and what that costs. Data, not code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ragstone.accounts.audit import Audit
from ragstone.storage.database import Database
from ragstone.vocabulary import Usage

WINDOW_S = 3600  # plans count requests by the hour


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
        raise NotImplementedError


class Plans:
    """Reads and edits the price list; what was read is remembered until `forget`."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def get(self, plan_id: str) -> Plan:
        """One plan, from memory if it was read before.

        Raises:
            NotFound: there is none of that id.
        """
        raise NotImplementedError

    async def all(self) -> list[Plan]:
        """Every plan, by id."""
        raise NotImplementedError

    async def save(self, actor: str, plan: Plan) -> Plan:
        """Add the plan, or replace that of the same id.

        Raises:
            InvalidInput: a limit below zero, an unusable id, or a model that there is not.
        """
        raise NotImplementedError

    async def remove(self, actor: str, plan_id: str) -> None:
        """Remove a plan that no tenant has.

        Raises:
            NotFound: there is none of that id.
            Conflict: a tenant has it.
        """
        raise NotImplementedError

    async def model(self, model_id: str) -> ModelEntry:
        """One model. Raises: NotFound."""
        raise NotImplementedError

    async def models(self) -> list[ModelEntry]:
        """Every model, by id."""
        raise NotImplementedError

    async def save_model(self, actor: str, entry: ModelEntry) -> ModelEntry:
        """Add the model, or replace that of the same id. Raises: InvalidInput."""
        raise NotImplementedError

    async def remove_model(self, actor: str, model_id: str) -> None:
        """Remove a model that no plan names. Raises: NotFound, Conflict."""
        raise NotImplementedError

    def forget(self) -> None:
        """Read everything anew from now on."""
        raise NotImplementedError
