"""The story ADMIT: what somebody shows becomes a principal, or nothing.

known a moment ago? → form and checksum → keyed hash → key or session → its tenant is active → principal

What is remembered holds for half a minute at most, and until anything of accounts
changes: changes of this process count at once, those of others when the number in SQL
is looked at next. If SQL cannot be read, what is remembered runs out, and the door is
closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import structlog

from ragstone.errors import RagstoneError, Unauthenticated
from ragstone.identity.cache_revision import CacheRevision, current
from ragstone.identity.credentials import Credential, Credentials
from ragstone.identity.secrets import Secret
from ragstone.identity.sessions import SessionOptions
from ragstone.principals import CredentialType, Principal
from ragstone.storage.database import Database

log = structlog.get_logger()
K = TypeVar("K")

REMEMBER_S = 30.0  # a principal is looked up anew after this, whatever else happens
WATCH_S = 0.5  # how often another process's changes are looked for
REMEMBER_MOST = 10_000  # credentials; about 1 KiB each
USED_EVERY_S = 60.0  # how exactly it is known when a credential was last used
WRITE_USES_S = 5.0  # how long such notes are collected
_REFUSED = "This key or session opens nothing here, or no longer. Send a valid key as `Authorization: Bearer <key>`."


@dataclass(slots=True)
class _Seen:
    """A credential that opened the door: until when that needs no look, and when it was used."""

    credential: Credential
    until: float
    used: float

    def holds(self, now: float) -> bool:
        known = self.credential
        return now < self.until and now < known.ends and now < self.used + known.idle_s


class Admission:
    """Knows keys and sessions. What it has seen it remembers until something changes."""

    def __init__(
        self,
        database: Database,
        secret: Secret,
        *,
        changes: CacheRevision | None = None,
        session_idle_s: float = SessionOptions().idle_s,
        remember_most: int = REMEMBER_MOST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._credentials = Credentials(database, secret, session_idle_s=session_idle_s)
        self._remember_most = remember_most
        self._clock = clock
        self._changes = changes or CacheRevision(database)
        self._changes.listen(self.forget)
        self._by_text: dict[bytes, _Seen] = {}  # keys are hashes: what was shown is kept nowhere
        self._by_id: dict[str, _Seen] = {}
        self._accounts: tuple[bool, float] | None = None
        self._epoch = 0  # what was read before a change is not remembered after it
        self._uses: dict[str, tuple[Principal, float]] = {}
        self._revision: int | None = None
        self._blind = False  # changes could not be looked for, and the log says so

    async def admit(self, presented: str) -> Principal:
        """Who holds this key or session token. Warm, it costs no statement.

        Raises:
            Unauthenticated: unknown, expired, revoked, or its tenant or user is not active; always the same sentence.
        """
        text = hashlib.sha256(presented.encode(errors="surrogatepass")).digest()
        seen = self._by_text.get(text)
        if seen is None or not seen.holds(self._clock()):
            epoch = self._epoch
            seen = self._checked(await self._credentials.presented(presented))
            if seen is None:
                raise Unauthenticated(_REFUSED)
            self._remember(seen, epoch, text)
        self._note_use(seen)
        return seen.credential.principal

    async def has_accounts(self) -> bool:
        """Whether any user or key exists: then nobody enters without one."""
        if self._accounts and self._clock() < self._accounts[1]:
            return self._accounts[0]
        epoch = self._epoch
        exist = await self._credentials.any_exist()
        if epoch == self._epoch:
            self._accounts = (exist, self._clock() + REMEMBER_S)
        return exist

    async def still(self, principal: Principal) -> bool:
        """Whether somebody who was admitted would be admitted again, for streams that run."""
        if principal.kind is CredentialType.SETTING:
            return True  # settings hold as long as the process
        if principal.kind is CredentialType.LOCAL:
            return not await self.has_accounts()
        seen = self._by_id.get(principal.credential)
        if seen is None or not seen.holds(self._clock()):
            epoch = self._epoch
            seen = self._checked(await self._credentials.of(principal))
            if seen is None:
                return False
            self._remember(seen, epoch)
        return _covers(seen.credential.principal, principal)

    async def watch(self) -> None:
        """Notice changes, also those of other processes, within a second; runs until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._look_now_and_then())
            both.create_task(self._look_when_told())

    async def look(self) -> None:
        """Forget, if anything changed since the last look. Raises: Unavailable."""
        revision = await current(self._database)
        if self._revision not in {None, revision}:
            self._changes.tell()
        self._revision = revision

    async def write_uses(self) -> None:
        """Write down which credentials were used, and when. Raises: Unavailable; then they are kept for later."""
        uses = dict(self._uses)
        if uses:
            # In one order everywhere, so that two processes do not wait for each other.
            await self._credentials.note_use(uses[credential] for credential in sorted(uses))
        for credential, use in uses.items():
            if self._uses.get(credential) == use:
                del self._uses[credential]

    def forget(self) -> None:
        """Look everybody up anew from now on."""
        self._epoch += 1
        self._by_text.clear()
        self._by_id.clear()
        self._accounts = None

    async def _look_now_and_then(self) -> None:
        written = self._clock()
        while True:
            await self._try(self.look)
            if self._clock() >= written + WRITE_USES_S:
                written = self._clock()
                await self._try(self.write_uses)
            await asyncio.sleep(WATCH_S)

    async def _look_when_told(self) -> None:
        async with aclosing(self._changes.news()) as news:
            async for _ in news:
                await self._try(self.look)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        """Whatever is down may come back; until then, what is remembered runs out by itself."""
        try:
            await step()
        except RagstoneError as error:
            if not self._blind:
                log.warning("admission.cannot_look", error=error.message)
            self._blind = True
        else:
            self._blind = False

    def _checked(self, found: Credential | None) -> _Seen | None:
        """What SQL knows of a credential, if it is in force by this process's clock."""
        if found is None:
            return None
        now = self._clock()
        _, used = self._uses.get(found.principal.credential, (None, 0.0))
        seen = _Seen(found, now + REMEMBER_S, max(found.used, used))
        return seen if seen.holds(now) else None

    def _remember(self, seen: _Seen, epoch: int, text: bytes | None = None) -> None:
        if epoch != self._epoch:
            return
        if text is not None:
            _put(self._by_text, text, seen, self._remember_most)
        _put(self._by_id, seen.credential.principal.credential, seen, self._remember_most)

    def _note_use(self, seen: _Seen) -> None:
        now = self._clock()
        if now >= seen.used + USED_EVERY_S:
            seen.used = now
            principal = seen.credential.principal
            self._uses[principal.credential] = (principal, now)


def _put(memory: dict[K, _Seen], key: K, seen: _Seen, most: int) -> None:
    memory.pop(key, None)
    if len(memory) >= most:
        del memory[next(iter(memory))]  # the oldest
    memory[key] = seen


def _covers(now: Principal, then: Principal) -> bool:
    """Whether nothing was taken from it meanwhile."""
    return now.tenant == then.tenant and now.permissions >= then.permissions and set(now.domains) >= set(then.domains)
