"""Platforms for tests: real parts, small and quick, or the defaults of a first run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from ragstone.retrieval.base import Retriever
from ragstone.services import (
    Answers,
    Billing,
    Corpus,
    Engines,
    Identity,
    Operations,
    Services,
    Storage,
    Tenancy,
)
from ragstone.settings import Settings
from ragstone.wiring import Platform, open_services


class OpenedPlatform(Platform):
    """The public platform, with its services for tests that look inside."""

    @property
    def services(self) -> Services:
        return self._services

    @property
    def settings(self) -> Settings:
        return self._services.settings

    @property
    def storage(self) -> Storage:
        return self._services.storage

    @property
    def identity(self) -> Identity:
        return self._services.identity

    @property
    def billing(self) -> Billing:
        return self._services.billing

    @property
    def tenancy(self) -> Tenancy:
        return self._services.tenancy

    @property
    def operations(self) -> Operations:
        return self._services.operations

    @property
    def engines(self) -> Engines:
        return self._services.engines

    @property
    def corpus(self) -> Corpus:
        return self._services.corpus

    @property
    def answers(self) -> Answers:
        return self._services.answers


@asynccontextmanager
async def opened(settings: Settings, *, recreate_index: bool = False) -> AsyncIterator[OpenedPlatform]:
    """An open platform on these settings."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings, recreate_index=recreate_index))
        yield OpenedPlatform(services, on_close=stack.aclose)


def with_retriever(services: Services, retriever: Retriever) -> Services:
    """The same services, which find passages another way."""
    return replace(services, answers=replace(services.answers, retriever=retriever))


def small_settings(folder: Path, **changes: object) -> Settings:
    """No model and no other process: hashing embedder, exact index in memory."""
    groups = {"embedding": {"model": "hashing"}, "index": {"engine": "memory"}, **changes}
    return Settings(_env_file=None, data_dir=folder, **groups)  # type: ignore[arg-type]  # checked by pydantic


def default_settings(folder: Path, **changes: object) -> Settings:
    """What a stranger's first run uses: MiniLM, Qdrant Edge, extractive answers."""
    return Settings(_env_file=None, data_dir=folder, **changes)  # type: ignore[arg-type]  # as above


def small_platform(folder: Path, **changes: object) -> AbstractAsyncContextManager[OpenedPlatform]:
    """An open platform with `small_settings`."""
    return opened(small_settings(folder, **changes))


def default_platform(folder: Path, **changes: object) -> AbstractAsyncContextManager[OpenedPlatform]:
    """An open platform with `default_settings`."""
    return opened(default_settings(folder, **changes))
