"""Commands `ragstone models`: the language models on this machine, and which of them writes the answers."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import AsJson, DataDir, ExitCode, run, settings_for
from ragstone.cli.documents import ListByDefault
from ragstone.cli.output import complain, one_line, say, say_json, say_table
from ragstone.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragstone.llm.local_servers import LocalModel
    from ragstone.settings import AnswerSettings, Settings

NONE = "none"
"""The word that chooses no model, so that none is suggested either."""
NAME_CHARS = 80

models = typer.Typer(cls=ListByDefault, help="List and choose the models that write answers.", rich_markup_mode=None)


@models.command("list")
@run
async def list_models(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List the models found on this machine.

    Looks for Ollama, llama.cpp, LM Studio and vLLM on loopback, and shows what writes the answers.
    """
    settings = settings_for(data_dir)
    from ragstone.wiring.local_model import answer_settings, models_here

    found, answer = await models_here(settings), await answer_settings(settings, settings.data_dir)
    if as_json:
        in_use = {"provider": answer.provider, "model": answer.model, "base_url": answer.base_url}
        say_json({"in_use": in_use, "found": found})
        return ExitCode.OK
    say_table(("MODEL", "SERVER", "URL", "IN USE"), [_row(one, answer) for one in found])
    if not found:
        complain("No model server was found on this machine; answers need none. docs/cli.md names the servers.")
    say(f"Answers are written by {_writer(answer)}.")
    return ExitCode.OK


@models.command("use")
@run
async def use_model(
    name: Annotated[str, typer.Argument(metavar="NAME|none", help="A model that `models` lists, or none.")],
    *,
    data_dir: DataDir = None,
) -> ExitCode:
    """Let a model on this machine write answers.

    The choice is stored in the data directory; RAGSTONE_ANSWER__PROVIDER wins over it. With `none`,
    answers quote the documents, and no model is suggested.
    """
    settings = settings_for(data_dir)
    from ragstone.llm.errors import missing_package
    from ragstone.wiring import prepare_data_dir
    from ragstone.wiring.local_model import ModelChoice, is_open, models_here, store_choice

    choice = ModelChoice()
    if name != NONE:
        chosen = _named(name, await models_here(settings))
        if find_spec("openai") is None:
            raise missing_package("openai")
        choice = ModelChoice(chosen.name, chosen.base_url)
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    await asyncio.to_thread(store_choice, folder, choice)
    say(f"Answers are written by {one_line(choice.model)}." if choice.model else "Answers quote the documents.")
    if not is_open(settings):
        complain("RAGSTONE_ANSWER__PROVIDER is set and wins over this choice; unset it to use the choice.")
    return ExitCode.OK


async def suggestion(settings: Settings) -> str | None:
    """One line that names a model on this machine, where none is chosen yet; `None` otherwise."""
    from ragstone.wiring.local_model import is_open, models_here, stored_choice

    choice = await asyncio.to_thread(stored_choice, settings.data_dir)
    if choice is not None or not is_open(settings):
        return None
    found = await models_here(settings)
    if not found:
        return None
    first = one_line(found[0].name, max_chars=NAME_CHARS)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"Found {first} ({found[0].server}){more} on this machine. Use it: ragstone models use {first}; or: use none."
    )


def _named(name: str, found: Sequence[LocalModel]) -> LocalModel:
    """The model of that name; the first of several servers that offer it.

    Raises:
        NotFound: no server offers it; the message lists the names.
    """
    for one in found:
        if one.name == name:
            return one
    known = ", ".join(one_line(one.name, max_chars=NAME_CHARS) for one in found) or "none: start its server first"
    raise NotFound(f"No server on this machine offers {one_line(name, max_chars=NAME_CHARS)!r}. Found: {known}.")


def _row(one: LocalModel, answer: AnswerSettings) -> tuple[object, ...]:
    used = (one.name, one.base_url) == (answer.model, answer.base_url)
    return one_line(one.name), one.server, one.base_url, "yes" if used else ""


def _writer(answer: AnswerSettings) -> str:
    if answer.provider == "extractive":
        return "no model: they quote the documents"
    place = f" at {answer.base_url}" if answer.base_url else ""
    return one_line(f"{answer.model} ({answer.provider}{place})")
