"""SQLAlchemy without its object-relational half, which nothing here uses.

`sqlalchemy.ext.asyncio` imports it for sessions: 6 MiB of 70. An empty package takes the
place of that package's `__init__`, and is given the names that Core's users import from it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

PACKAGE = "sqlalchemy.ext.asyncio"
NAMES = ("AsyncConnection", "AsyncEngine", "AsyncTransaction", "create_async_engine")


def leave_orm_out() -> None:
    """Do so, before anything has imported it. Where SQLAlchemy is laid out otherwise, nothing changes."""
    if PACKAGE in sys.modules:
        return
    folder = Path(str(import_module("sqlalchemy.ext").__file__)).parent / "asyncio"
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    try:
        engine = import_module(f"{PACKAGE}.engine")
        for name in NAMES:
            setattr(package, name, getattr(engine, name))
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
