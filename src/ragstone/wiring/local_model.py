"""Which model answers, where the settings name none: the local one that was chosen with `ragstone models use`.

The choice lies in one file of the data directory. A provider in the settings wins over it.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from ragstone.errors import ConfigurationError
from ragstone.llm.local_servers import HOST, MAX_NAME_CHARS, LocalModel, local_models
from ragstone.settings import AnswerSettings, Settings

FILE = "answer-model.json"

_URL = re.compile(rf"http://{re.escape(HOST)}:[0-9]{{1,5}}/v1")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The stored choice: a model of a server on this machine, or none (`model` is None)."""

    model: str | None = None
    base_url: str | None = None


def stored_choice(folder: Path) -> ModelChoice | None:
    """The choice in a data directory; `None` where nothing was chosen.

    Raises:
        ConfigurationError: the file cannot be read, or does not hold a choice.
    """
    try:
        stored = json.loads((folder / FILE).read_bytes())
        choice = ModelChoice(stored["model"], stored["base_url"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        raise _unusable(folder) from None
    if choice != ModelChoice() and not _is_local(choice):
        raise _unusable(folder)
    return choice


def store_choice(folder: Path, choice: ModelChoice) -> None:
    """Store the choice in a data directory, at once or not at all.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    written = folder / f"{FILE}.new"
    try:
        written.write_text(json.dumps(asdict(choice)) + "\n", encoding="utf-8")
        written.replace(folder / FILE)
    except OSError as error:
        raise ConfigurationError(f"The choice cannot be stored in {folder}: {error.strerror}.") from error


async def models_here(settings: Settings) -> tuple[LocalModel, ...]:
    """The models that servers on this machine offer, on the ports of the settings."""
    return await local_models(settings.answer.local_ports)


def is_open(settings: Settings) -> bool:
    """Whether the settings leave it to the stored choice who writes answers."""
    return "provider" not in settings.answer.model_fields_set


async def answer_settings(settings: Settings, folder: Path) -> AnswerSettings:
    """The settings of answers in force: those given, else the stored choice; for `auto`, the first model found.

    Raises:
        ConfigurationError: as `stored_choice`.
    """
    answer = settings.answer
    if answer.provider == "auto":
        found = [one for one in await models_here(settings) if answer.model in (None, one.name)]
        if not found:
            log.warning("answer.no_local_model", ports=answer.local_ports, model=answer.model)
        return _with(answer, found[0].name, found[0].base_url) if found else _extractive(answer)
    if not is_open(settings):
        return answer
    choice = await asyncio.to_thread(stored_choice, folder)
    return _with(answer, choice.model, choice.base_url) if choice and choice.model else answer


def _with(answer: AnswerSettings, model: str, base_url: str | None) -> AnswerSettings:
    # Without the key of the settings, which is for another server.
    return answer.model_copy(update={"provider": "openai", "model": model, "base_url": base_url, "api_key": None})


def _extractive(answer: AnswerSettings) -> AnswerSettings:
    return answer.model_copy(update={"provider": "extractive"})


def _is_local(choice: ModelChoice) -> bool:
    model, url = choice.model, choice.base_url
    return (
        isinstance(model, str)
        and 0 < len(model) <= MAX_NAME_CHARS
        and model.isprintable()
        and isinstance(url, str)
        and _URL.fullmatch(url) is not None
    )


def _unusable(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{folder / FILE} holds no choice of a model. Choose again with `ragstone models use NAME` or `none`."
    )
