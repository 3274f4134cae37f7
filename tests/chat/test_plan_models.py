"""The plan says who answers; what cannot be opened is passed over in the open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ragstone.billing.plans import ModelEntry, Plan, Plans
from ragstone.chat.ask import UNCONFIGURED, ModelChain
from ragstone.chat.condense import ModelCondenser, RuleCondenser
from ragstone.errors import ConfigurationError
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.identity.audit import Audit
from ragstone.identity.secrets import Secret
from ragstone.principals import LOCAL, CredentialType, Principal
from ragstone.storage.database import Database
from tests.generation.answerers import ScriptedModel
from tests.storage.rows import url_of

FREE = Principal("key:1", CredentialType.SECRET, tenant="acme", plan="free")
PAID = replace(FREE, plan="paid")


class Garage:
    """Opens models, and remembers which; an entry named `broken` cannot be opened."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str | None]] = []
        self.closed = 0

    def open(self, entry: ModelEntry, key: str | None) -> ScriptedModel | None:
        self.opened.append((entry.id, key))
        if entry.id == "broken":
            raise ConfigurationError("The package is missing.")
        return None if entry.provider == "extractive" else _Counted(self, entry.id)


class _Counted(ScriptedModel):
    def __init__(self, garage: Garage, name: str) -> None:
        super().__init__("text")
        self.name = name
        self._garage = garage

    async def close(self) -> None:
        self._garage.closed += 1


@pytest.fixture
async def plans(tmp_path: Path) -> AsyncIterator[Plans]:
    database = await Database.open(url_of(tmp_path / "ragstone.db"))
    yield Plans(database, Audit(database, Secret(b"x" * 32)))
    await database.close()


@pytest.fixture
def garage() -> Garage:
    return Garage()


def chain(plans: Plans, garage: Garage, *, settings_model=None, **keys: str) -> ModelChain:
    return ModelChain(
        plans=plans,
        open_model=garage.open,
        keys=keys,
        extractive=ExtractiveAnswerer(),
        settings_model=settings_model,
    )


def names(answering) -> list[str]:
    return [answerer.name for answerer in answering.answerers]


async def test_models_are_asked_in_the_order_of_the_plan_and_then_the_extractive_answerer(plans, garage):
    answering = await chain(plans, garage, ANTHROPIC_API_KEY="a", OPENAI_API_KEY="o").of(PAID)
    assert names(answering) == ["claude-sonnet", "gpt-4o-mini", "extractive"]
    assert answering.degraded == ()
    assert isinstance(answering.condenser, ModelCondenser)


async def test_a_model_without_its_key_is_passed_over_in_the_open(plans, garage):
    answering = await chain(plans, garage, OPENAI_API_KEY="o").of(PAID)
    assert (names(answering), answering.degraded) == (["gpt-4o-mini", "extractive"], (UNCONFIGURED,))
    answering = await chain(plans, garage, OPENAI_API_KEY="").of(FREE)
    assert (names(answering), answering.degraded) == (["extractive"], (UNCONFIGURED,))
    assert isinstance(answering.condenser, RuleCondenser)


async def test_a_plan_without_models_has_the_model_of_the_settings(plans, garage):
    assert names(await chain(plans, garage, settings_model=ScriptedModel("x")).of(LOCAL)) == ["mock", "extractive"]
    assert names(await chain(plans, garage).of(LOCAL)) == ["extractive"]


async def test_a_model_is_opened_once_with_its_key_and_closed_at_the_end(plans, garage):
    models = chain(plans, garage, OPENAI_API_KEY="o")
    for _ in range(3):
        await models.of(FREE)
    assert garage.opened == [("gpt-4o-mini", "o")]
    await models.close()
    assert garage.closed == 1


async def test_a_model_that_was_changed_is_opened_anew(plans, garage):
    models = chain(plans, garage, OPENAI_API_KEY="o")
    await models.of(FREE)
    await plans.save_model("local", replace(await plans.model("gpt-4o-mini"), base_url="http://localhost:1/v1"))
    await models.of(FREE)
    assert len(garage.opened) == 2


async def test_a_model_that_cannot_be_opened_is_passed_over(plans, garage):
    await plans.save_model("local", ModelEntry(id="broken", provider="openai", model="x"))
    await plans.save("local", Plan(id="free", name="Free", models=("broken", "gpt-4o-mini")))
    answering = await chain(plans, garage, OPENAI_API_KEY="o").of(FREE)
    assert (names(answering), answering.degraded) == (["gpt-4o-mini", "extractive"], (UNCONFIGURED,))


async def test_the_extractive_answerer_may_be_named(plans, garage):
    await plans.save_model("local", ModelEntry(id="none", provider="extractive", model="extractive"))
    await plans.save("local", Plan(id="free", name="Free", models=("none", "gpt-4o-mini")))
    answering = await chain(plans, garage, OPENAI_API_KEY="o").of(FREE)
    assert (names(answering), answering.degraded) == (["extractive"], ())
