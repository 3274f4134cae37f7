"""Who answers whom: the models a plan names, in order, and then the extractive answerer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from ragstone.billing.plans import ModelEntry, Plan, Plans
from ragstone.chat.condense import Condenser, ModelCondenser, RuleCondenser
from ragstone.errors import ConfigurationError, NotFound
from ragstone.generation.base import Answerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.llm.base import LanguageModel
from ragstone.principals import Principal

UNCONFIGURED = "model_unconfigured"
"""A model of the plan was passed over: its key is not set, or it cannot be opened."""

log = structlog.get_logger()

ModelFactory = Callable[[ModelEntry, str | None], LanguageModel | None]
"""Opens the model of an entry with its key; None where the entry is the extractive answerer."""


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """Who answers, in order; who makes follow-ups whole; and which policies acted in choosing them.

    `models` are the language models among those who answer.
    """

    answerers: tuple[Answerer, ...]
    condenser: Condenser
    degraded: tuple[str, ...] = ()
    models: tuple[LanguageModel, ...] = ()


class ModelChain:
    """Finds who answers a principal. Models are opened when first asked for, and kept."""

    def __init__(
        self,
        *,
        plans: Plans,
        open_model: ModelFactory,
        keys: Mapping[str, str],
        extractive: Answerer,
        settings_model: LanguageModel | None = None,
        max_tokens: int = 800,
    ) -> None:
        """`settings_model` answers those whose plan names no model; `keys` holds keys by their variable's name."""
        self._plans = plans
        self._open_model = open_model
        self._keys = keys
        self._extractive = extractive
        self._max_tokens = max_tokens
        self._default = self._answering([settings_model] if settings_model else [])
        self._opened: dict[ModelEntry, LanguageModel | None] = {}
        self._opening = asyncio.Lock()

    async def of(self, principal: Principal) -> AnsweringModel:
        """Who answers this principal.

        Raises:
            NotFound: its plan is gone.
        """
        plan = await self._plans.get(principal.plan)
        return await self._of_plan(plan) if plan.models else self._default

    async def close(self) -> None:
        """Close every model that was opened."""
        opened = [model for model in self._opened.values() if model]
        self._opened.clear()
        for model in opened:
            await model.close()

    async def _of_plan(self, plan: Plan) -> AnsweringModel:
        models, missing = [], False
        for name in plan.models:
            try:
                model = await self._model(await self._plans.model(name))
            except (ConfigurationError, NotFound) as error:
                log.warning("chat.model_unconfigured", model=name, plan=plan.id, reason=error.message)
                missing = True
                continue
            if model is None:
                break  # the extractive answerer, which is the last anyway
            models.append(model)
        return self._answering(models, (UNCONFIGURED,) if missing else ())

    async def _model(self, entry: ModelEntry) -> LanguageModel | None:
        if entry in self._opened:
            return self._opened[entry]
        key = self._keys.get(entry.key_variable) if entry.key_variable else None
        if entry.key_variable and not key:
            raise ConfigurationError(f"The model {entry.id!r} needs a key: set {entry.key_variable}.")
        async with self._opening:
            if entry not in self._opened:  # in a thread: importing an SDK takes a second
                self._opened[entry] = await asyncio.to_thread(self._open_model, entry, key)
        return self._opened[entry]

    def _answering(self, models: Sequence[LanguageModel], degraded: tuple[str, ...] = ()) -> AnsweringModel:
        prompted = [PromptedAnswerer(model, max_tokens=self._max_tokens) for model in models]
        condenser = ModelCondenser(models[0]) if models else RuleCondenser()
        return AnsweringModel((*prompted, self._extractive), condenser, degraded, tuple(models))
