"""Platforms for tests: real parts, small and quick, or the defaults of a first run."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ragstone.settings import Settings
from ragstone.wiring import Platform, open_platform


def small_settings(folder: Path, **changes: object) -> Settings:
    """No model and no other process: hashing embedder, exact index in memory."""
    groups = {"embedding": {"model": "hashing"}, "index": {"engine": "memory"}, **changes}
    return Settings(_env_file=None, data_dir=folder, **groups)  # type: ignore[arg-type]  # checked by pydantic


def default_settings(folder: Path, **changes: object) -> Settings:
    """What a stranger's first run uses: MiniLM, Qdrant Edge, extractive answers."""
    return Settings(_env_file=None, data_dir=folder, **changes)  # type: ignore[arg-type]  # as above


def small_platform(folder: Path, **changes: object) -> AbstractAsyncContextManager[Platform]:
    """An open platform with `small_settings`."""
    return open_platform(small_settings(folder, **changes))


def default_platform(folder: Path, **changes: object) -> AbstractAsyncContextManager[Platform]:
    """An open platform with `default_settings`."""
    return open_platform(default_settings(folder, **changes))
