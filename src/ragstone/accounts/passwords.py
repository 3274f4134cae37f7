"""Passwords: hashed with argon2id, in threads, and few at once."""

from __future__ import annotations

import asyncio
import unicodedata
from typing import TYPE_CHECKING

from ragstone.errors import InvalidInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_CHARS = 12
MAX_CHARS = 1024
MEMORY_KIB = 19 * 1024  # with two passes and one lane: OWASP, Password Storage Cheat Sheet, argon2id
PASSES = 2
LANES = 1
AT_ONCE = 2  # bounds what logins can take of memory and processors


def checked_password(password: str) -> str:
    """The password, if it can be one.

    Raises:
        InvalidInput: it is too short or too long.
    """
    if MIN_CHARS <= len(password) <= MAX_CHARS:
        return password
    raise InvalidInput(f"The password has {len(password)} characters. Choose one of {MIN_CHARS} to {MAX_CHARS}.")


class Passwords:
    """Hashes and verifies. All of a process share one, as it counts what runs at once."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """The hash to keep, with its salt and parameters."""
        async with self._turn:
            return await asyncio.to_thread(self._hash, password)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether `kept` was made of `password`; without one it takes as long, and is false."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, password[:MAX_CHARS], kept) and len(password) <= MAX_CHARS

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with other parameters than hashes are made with now."""
        return self._argon2().check_needs_rehash(kept)

    def _hash(self, password: str) -> str:
        return self._argon2().hash(_bytes(password))

    def _verify(self, password: str, kept: str | None) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        if kept is None:
            self._hash(password)  # what a verification costs
            return False
        try:
            return self._argon2().verify(kept, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    def _argon2(self) -> PasswordHasher:
        """The hasher; imported when first needed, since most processes meet no password."""
        from argon2 import PasswordHasher

        if self._hasher is None:
            self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES)
        return self._hasher


def _bytes(password: str) -> bytes:
    """The same bytes on every keyboard and system (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")
