"""Ragstone: documents in, cited answers out.

async with ragstone.open_platform(data_dir="data") as platform:
    await platform.ingest("docs")
    answer = await platform.ask("Why are citations checked?")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.wiring import Platform, open_platform

__version__ = "0.1.0"
__all__ = ["Platform", "__version__", "open_platform"]


def __getattr__(name: str) -> object:
    # Late, because wiring imports everything and `ragstone --help` should not.
    if name in {"Platform", "open_platform"}:
        from ragstone import wiring

        return getattr(wiring, name)
    raise AttributeError(f"module 'ragstone' has no attribute {name!r}")
