"""Small secrets at rest, such as the keys of a tenant's upstream: sealed with the installation's secret.

AES-256-GCM (NIST SP 800-38D) under a key that is derived from the secret for this purpose
alone. Whose secret it is, and what it is called, is sealed with it: a sealed secret
cannot be opened in the place of another. `v1:` in front says how it was made.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ragstone.errors import ConfigurationError
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.error_translation import disk_failure
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


MAX_SEALED_CHARS = 65_536  # far above any key; a longer text was not sealed here
_VERSION = "v1:"
_NONCE_BYTES = 12  # SP 800-38D, 8.2.2: random nonces of 96 bits, for up to 2**32 sealings under one key


class Sealing:
    """Seals and opens the secrets of tenants."""

    def __init__(self, secret: Secret) -> None:
        # HMAC-SHA256 of the purpose is the key: a pseudo-random function, as SP 800-108 asks for.
        self._key = bytes.fromhex(secret.digest("sealing", "AES-256-GCM"))

    def seal(self, tenant: str, name: str, text: str) -> str:
        """The text, sealed as the tenant's secret `name`; each time anew, so that equal ones do not show."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._key).encrypt(nonce, text.encode(errors="surrogatepass"), _place(tenant, name))
        return _VERSION + base64.b64encode(nonce + sealed).decode("ascii")

    def open(self, tenant: str, name: str, sealed: object) -> str:
        """What was sealed as the tenant's secret `name`.

        Raises:
            ConfigurationError: it was sealed with another secret, for another place, or was changed.
        """
        # Imported when first needed: a process that opens none stays 8 MB smaller.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        raw = _bytes_of(sealed)
        try:
            opened = AESGCM(self._key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _place(tenant, name))
        except (InvalidTag, ValueError):
            raise _cannot_open(tenant, name) from None
        return opened.decode(errors="surrogatepass")


def _bytes_of(sealed: object) -> bytes:
    """Nonce and ciphertext; nothing where it was not made here, which nobody can open then."""
    if not isinstance(sealed, str) or not sealed.startswith(_VERSION) or len(sealed) > MAX_SEALED_CHARS:
        return b""
    try:
        return base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _place(tenant: str, name: str) -> bytes:
    return len(tenant).to_bytes(2) + f"{tenant}{name}".encode(errors="surrogatepass")


def _cannot_open(tenant: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The {name} key of the tenant {tenant!r} cannot be read: it was sealed with another secret, or changed. "
        f"Set it again, or bring back the RAGSTONE_SECRET_KEY (or secret.key) that it was set with."
    )
