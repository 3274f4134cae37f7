"""Settings become a platform: the only place that names adapters."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.wiring.engines import open_embedder, open_index
    from ragstone.wiring.infrastructure import Accounts, prepare_data_dir
    from ragstone.wiring.knowledge import pipeline_token_end
    from ragstone.wiring.opening import open_platform
    from ragstone.wiring.platform import Platform, Records, open_records

__all__ = [
    "Accounts",
    "Platform",
    "Records",
    "open_embedder",
    "open_index",
    "open_platform",
    "open_records",
    "pipeline_token_end",
    "prepare_data_dir",
]

_MODULES = {
    "Accounts": "infrastructure",
    "Platform": "platform",
    "Records": "platform",
    "open_embedder": "engines",
    "open_index": "engines",
    "open_platform": "opening",
    "open_records": "platform",
    "pipeline_token_end": "knowledge",
    "prepare_data_dir": "infrastructure",
}


def __getattr__(name: str) -> object:
    # Late, because a process that only passes chats on stands on the foundation, and needs no more.
    if module := _MODULES.get(name):
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
