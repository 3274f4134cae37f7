"""Ragstone: documents in, cited answers out.

async with ragstone.open_platform(data_dir="data") as platform:
    await platform.ingest("docs")
    answer = await platform.ask("Why are citations checked?")

with ragstone.open_sync(data_dir="data") as platform:  # the same without `async`, also in a notebook
    answer = platform.ask("Why are citations checked?")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.errors import RagstoneError
    from ragstone.retrieval.base import Retrieval
    from ragstone.settings import Settings, load_settings
    from ragstone.vocabulary import Answer, Citation, Document, Filters, Job, Passage, Scope
    from ragstone.wiring.platform import Platform, open_platform
    from ragstone.wiring.sync_platform import SyncPlatform, open_sync

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Citation",
    "Document",
    "Filters",
    "Job",
    "Passage",
    "Platform",
    "RagstoneError",
    "Retrieval",
    "Scope",
    "Settings",
    "SyncPlatform",
    "__version__",
    "load_settings",
    "open_platform",
    "open_sync",
]

_MODULES = {
    "Answer": "vocabulary",
    "Citation": "vocabulary",
    "Document": "vocabulary",
    "Filters": "vocabulary",
    "Job": "vocabulary",
    "Passage": "vocabulary",
    "Platform": "wiring.platform",
    "RagstoneError": "errors",
    "Retrieval": "retrieval.base",
    "Scope": "vocabulary",
    "Settings": "settings",
    "SyncPlatform": "wiring.sync_platform",
    "load_settings": "settings",
    "open_platform": "wiring.platform",
    "open_sync": "wiring.sync_platform",
}


def __getattr__(name: str) -> object:
    # On demand: `ragstone --help` must not load NumPy.
    if module := _MODULES.get(name):
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
