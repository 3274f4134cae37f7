"""What was spent is known at any moment, from what the model reports or else by counting."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from ragstone.errors import ModelUnavailable
from ragstone.llm.base import Message
from ragstone.llm.token_usage import TokenUsage, counted
from ragstone.vocabulary import Usage

PROMPT = (Message("system", "x" * 30), Message("user", "y" * 10))  # 40 characters: 10 tokens


class Says:
    """A model that yields these pieces, usages among them; an exception is raised."""

    name = "mock"

    def __init__(self, *pieces: str | Usage | ModelUnavailable) -> None:
        self.pieces = pieces

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        for piece in self.pieces:
            if isinstance(piece, ModelUnavailable):
                raise piece
            yield piece

    async def close(self) -> None:
        pass


async def known_after(*pieces: str | Usage | ModelUnavailable) -> list[Usage]:
    """The usage known when each text has come, and the last one."""
    known, usage = [], Usage("none")
    try:
        async for piece in counted(Says(*pieces), PROMPT, max_tokens=9):
            if isinstance(piece, Usage):
                usage = piece
            else:
                known.append(usage)
    except ModelUnavailable:
        pass
    return [*known, usage]


def estimated(tokens: int, input_tokens: int = 10) -> Usage:
    return Usage("mock", input_tokens, tokens, estimated=True)


async def test_without_a_report_texts_and_characters_are_counted():
    assert await known_after("a", "b", "c") == [estimated(1), estimated(2), estimated(3), estimated(3)]


async def test_a_server_that_does_not_count_is_counted_for():
    assert (await known_after("a", "b", Usage("mock")))[-1] == estimated(2)


async def test_what_is_reported_in_the_end_replaces_the_count():
    assert (await known_after("a", "b", Usage("mock", 7, 5, 3)))[-1] == Usage("mock", 7, 5, 3)


async def test_a_report_with_every_text_is_believed_at_every_text():
    reports = [Usage("mock", 7, number) for number in range(3)]
    assert await known_after(reports[0], reports[1], "a", reports[2], "b") == [reports[1], reports[2], reports[2]]


async def test_a_report_at_the_start_counts_the_first_text():
    start = Usage("mock", 2105, 1, 2000)
    known = await known_after(start, "a", "b", "c")
    assert known[0] == start
    assert known[-1] == Usage("mock", 2105, 3, 2000, estimated=True)


async def test_who_is_refused_has_spent_nothing():
    assert await known_after(ModelUnavailable("No.")) == [Usage("mock")]


async def test_who_is_broken_off_has_spent_what_came():
    assert (await known_after("a", "b", ModelUnavailable("No.")))[-1] == estimated(2)


def test_each_call_of_a_request_counts():
    spent = TokenUsage()
    assert not spent.usage
    spent.update(Usage("a", 1, 1))
    spent.update(Usage("a", 1, 2))
    spent.begin()
    spent.begin()
    spent.update(Usage("b", 3, 4))
    assert spent.usage == (Usage("a", 1, 2), Usage("b", 3, 4))
    assert not spent.estimated
    spent.update(Usage("b", 3, 5, estimated=True))
    assert spent.estimated


@pytest.mark.parametrize("reported", [Usage("mock", 0, 0), Usage("mock", 9, 0)])
async def test_an_answer_without_text_has_read_its_prompt(reported):
    [usage] = await known_after(reported)
    assert usage.input_tokens == (9 if reported.input_tokens else 10)
