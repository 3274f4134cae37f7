"""The story ADMIT: what somebody shows becomes a principal, or nothing.

known a moment ago? → form and checksum → keyed hash → key or session → its tenant is active → principal
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ragstone.accounts.secret import Secret
from ragstone.principals import Principal
from ragstone.storage.database import Database

REMEMBER_S = 30.0  # a principal is looked up anew after this, whatever else happens
WATCH_S = 0.5  # how often another process's changes are looked for


class Admission:
    """Knows keys and sessions. What it has seen it remembers until something changes."""

    def __init__(self, database: Database, secret: Secret, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._secret = secret
        self._clock = clock

    async def admit(self, presented: str) -> Principal:
        """Who holds this key or session token. Warm, it costs no statement.

        Raises:
            Unauthenticated: unknown, expired, revoked, or its tenant or user is not active; always the same sentence.
        """
        raise NotImplementedError

    async def has_accounts(self) -> bool:
        """Whether any user or key exists: then nobody enters without one."""
        return False

    async def still(self, principal: Principal) -> bool:
        """Whether somebody who was admitted would be admitted again, for streams that run."""
        raise NotImplementedError

    async def watch(self) -> None:
        """Notice changes, also those of other processes, within a second; runs until cancelled."""
        await asyncio.Event().wait()

    def forget(self) -> None:
        """Look everybody up anew from now on."""
        raise NotImplementedError
