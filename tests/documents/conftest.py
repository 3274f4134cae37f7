"""Parsers whose processes end with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio

from ragstone.documents.base import ParserLimits
from ragstone.documents.parser import SandboxedParser


@pytest_asyncio.fixture
async def parser_with() -> AsyncIterator[Callable[..., SandboxedParser]]:
    """Makes a parser with the limits given."""
    parsers: list[SandboxedParser] = []

    def make(**limits: Any) -> SandboxedParser:
        parsers.append(SandboxedParser(ParserLimits(**limits)))
        return parsers[-1]

    yield make
    for parser in parsers:
        await parser.close()


@pytest_asyncio.fixture
async def parser(parser_with: Callable[..., SandboxedParser]) -> SandboxedParser:
    return parser_with()
