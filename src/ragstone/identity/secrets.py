"""The installation's secret: keyed hashes, and encryption of stored keys such as those of upstream servers.

Encryption is AES-256-GCM (NIST SP 800-38D) under a key derived from the secret for this purpose
alone. Tenant and name of a stored key are its associated data, so that a ciphertext copied
to another row cannot be decrypted. The prefix `v1:` names the format.
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
    """The installation's secret, which makes keyed hashes. Access to the database alone does not suffice for that."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    async def load(cls, setting: str | None, folder: Path) -> Secret:
        """The secret of the settings, else of the file `folder`/secret.key, which is created (mode 0600) if missing.

        Raises:
            DataDirectoryError: the file cannot be read or written.
            ConfigurationError: the file does not hold a secret.
        """
        if setting:
            return cls(setting.encode())
        return cls(await asyncio.to_thread(_key_of, folder / FILE_NAME))

    def digest(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 of `text` in hexadecimal, 64 digits; different for each `purpose`."""
        message = len(purpose).to_bytes(2) + purpose.encode() + text.encode(errors="surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    async def prove(self, database: Database) -> None:
        """Check that the hashes in the database were made with this secret; the first call stores a proof.

        Raises:
            ConfigurationError: they were made with another secret.
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
                f"to that secret, or restore the file {FILE_NAME} of its data directory."
            )


def _key_of(file: Path) -> bytes:
    """The content of the file, created atomically: of two processes, the second reads what the first wrote."""
    try:
        if not file.exists():
            _create(file)
        key = file.read_bytes()
    except OSError as error:
        raise disk_failure(error, file.parent) from error
    if len(key) < KEY_BYTES:
        raise ConfigurationError(f"The secret in {file} is too short. Restore the file from a backup.")
    return key


def _create(file: Path) -> None:
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(secrets.token_hex(KEY_BYTES).encode())
        opened.flush()
        os.fsync(opened.fileno())
    try:
        file.hardlink_to(temporary)  # unlike a rename, this never replaces an existing file
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


MAX_SEALED_CHARS = 65_536  # far above any key; a longer text was not made by `seal`
_VERSION = "v1:"
_NONCE_BYTES = 12  # SP 800-38D, 8.2.2: random nonces of 96 bits, for up to 2**32 sealings under one key


class Sealing:
    """Encrypts and decrypts the stored keys of tenants."""

    def __init__(self, secret: Secret) -> None:
        # HMAC-SHA256 of the purpose is the key: a pseudo-random function, as SP 800-108 asks for.
        self._key = bytes.fromhex(secret.digest("sealing", "AES-256-GCM"))

    def seal(self, tenant: str, name: str, text: str) -> str:
        """Encrypt a text as the tenant's key `name`. Equal texts give different results (random nonce)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._key).encrypt(nonce, text.encode(errors="surrogatepass"), _context(tenant, name))
        return _VERSION + base64.b64encode(nonce + sealed).decode("ascii")

    def open(self, tenant: str, name: str, sealed: object) -> str:
        """Decrypt the tenant's key `name`.

        Raises:
            ConfigurationError: it was encrypted with another secret or for another tenant or name, or was changed.
        """
        # Imported on first use: it takes 8 MB, and most processes decrypt nothing.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        raw = _bytes_of(sealed)
        try:
            opened = AESGCM(self._key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _context(tenant, name))
        except (InvalidTag, ValueError):
            raise _cannot_open(tenant, name) from None
        return opened.decode(errors="surrogatepass")


def _bytes_of(sealed: object) -> bytes:
    """Nonce and ciphertext; empty if the text was not made by `seal`, so that decryption fails."""
    if not isinstance(sealed, str) or not sealed.startswith(_VERSION) or len(sealed) > MAX_SEALED_CHARS:
        return b""
    try:
        return base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _context(tenant: str, name: str) -> bytes:
    """The associated data that is authenticated with a ciphertext."""
    return len(tenant).to_bytes(2) + f"{tenant}{name}".encode(errors="surrogatepass")


def _cannot_open(tenant: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The {name} key of the tenant {tenant!r} cannot be decrypted: it was encrypted with another secret, "
        "or changed. Set it again, or restore the RAGSTONE_SECRET_KEY (or secret.key) that it was set with."
    )
