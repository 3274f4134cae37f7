"""Small secrets at rest, such as the keys of a tenant's upstream: sealed with the installation's secret.

AES-256-GCM (NIST SP 800-38D) under a key that is derived from the secret for this purpose
alone. Whose secret it is, and what it is called, is sealed with it: a sealed secret
cannot be opened in the place of another. `v1:` in front says how it was made.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from ragstone.accounts.secret import Secret
from ragstone.errors import ConfigurationError

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
