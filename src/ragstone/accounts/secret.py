"""The installation's secret: keys, sessions, audit and callbacks are hashed and signed with it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ragstone.errors import ConfigurationError
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.failures import disk_failure
from ragstone.storage.schema import facts

FILE_NAME = "secret.key"
KEY_BYTES = 32
_PROOF = "secret"


class Secret:
    """Keyed hashes. Who has the database but not the secret can make none of them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    async def load(cls, setting: str | None, folder: Path) -> Secret:
        """The secret of the settings, else that of `folder`/secret.key, made (mode 0600) if there is none.

        Raises:
            DataDirectoryError: the file cannot be read or written.
            ConfigurationError: it holds no secret.
        """
        if setting:
            return cls(setting.encode())
        return cls(await asyncio.to_thread(_key_of, folder / FILE_NAME))

    def digest(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 of `text` in hexadecimal, 64 digits; different for each `purpose`."""
        message = len(purpose).to_bytes(2) + purpose.encode() + text.encode(errors="surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    async def prove(self, database: Database) -> None:
        """Make sure that the database's hashes were made with this secret; the first proof binds them.

        Raises:
            ConfigurationError: they were made with another one.
        """
        proof = self.digest("proof", "")
        known = unscoped(facts, facts.c.value).where(facts.c.name == _PROOF)
        async with database.read(EVERY_TENANT) as connection:
            found = (await connection.execute(known)).scalar()
        if found is None:
            async with database.write(EVERY_TENANT) as connection:
                await connection.execute(database.insert_missing(facts), {"name": _PROOF, "value": proof})
                found = (await connection.execute(known)).scalar_one()
        if not hmac.compare_digest(found, proof):
            raise ConfigurationError(
                "The keys and sessions of this database were made with another secret. Set RAGSTONE_SECRET_KEY "
                f"to that one, or bring back the file {FILE_NAME} that lay beside the database."
            )


def _key_of(file: Path) -> bytes:
    """The content of the file, which is made whole or not at all; who comes second reads what the first made."""
    try:
        if not file.exists():
            _make(file)
        key = file.read_bytes()
    except OSError as error:
        raise disk_failure(error, file.parent) from error
    if len(key) < KEY_BYTES:
        raise ConfigurationError(f"The secret in {file} is too short to be one. Bring back the file from a backup.")
    return key


def _make(file: Path) -> None:
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(secrets.token_hex(KEY_BYTES).encode())
        opened.flush()
        os.fsync(opened.fileno())
    try:
        file.hardlink_to(beside)  # unlike a rename, this never replaces another's
    except FileExistsError:
        pass
    finally:
        beside.unlink()
