"""Widgets: how a tenant's chat looks on a web site, and which collection it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ragstone.accounts.audit import Audit
from ragstone.storage.database import Database
from ragstone.vocabulary import Scope

Setting = str | int | bool | list[str] | None


@dataclass(frozen=True, slots=True)
class Widget:
    """One configuration."""

    id: str
    scope: Scope
    name: str
    settings: Mapping[str, Setting]
    created_at: datetime
    updated_at: datetime


class Widgets:
    """Makes, reads, changes and removes the widgets of a tenant."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit
