"""Wiring: opens the services that the settings describe. The only package that imports adapters."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.wiring.engines import open_embedder, open_index
    from ragstone.wiring.infrastructure import Infrastructure, prepare_data_dir
    from ragstone.wiring.knowledge import pipeline_token_end
    from ragstone.wiring.opening import check_address, open_records, open_services
    from ragstone.wiring.platform import Platform, open_platform

__all__ = [
    "Infrastructure",
    "Platform",
    "check_address",
    "open_embedder",
    "open_index",
    "open_platform",
    "open_records",
    "open_services",
    "pipeline_token_end",
    "prepare_data_dir",
]

_MODULES = {
    "Infrastructure": "infrastructure",
    "Platform": "platform",
    "check_address": "opening",
    "open_embedder": "engines",
    "open_index": "engines",
    "open_platform": "platform",
    "open_records": "opening",
    "open_services": "opening",
    "pipeline_token_end": "knowledge",
    "prepare_data_dir": "infrastructure",
}


def __getattr__(name: str) -> object:
    # On demand: the interceptor alone needs the infrastructure and nothing else.
    if module := _MODULES.get(name):
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
