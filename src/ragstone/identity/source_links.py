"""Source links: signed URLs, each of which shows one cited passage without authentication until it expires.

A token holds the span and the expiry, signed with 16 bytes of HMAC-SHA256 under the
installation's secret; nothing is stored. The expiry is rounded up to a whole day, so
that a passage has the same link throughout a conversation: a changed link in the prompt would
miss the model's prompt cache.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from ragstone.errors import InvalidInput, NotFound
from ragstone.identity.secrets import Secret
from ragstone.vocabulary import Scope

LIFETIME_S = 7 * 86_400.0
DAY_S = 86_400
MAX_TOKEN_CHARS = 512  # the longest valid token has 323
_MAC_BYTES = 16  # RFC 2104: half of the hash, and no less than 80 bits
_FORMAT = 1  # version of the binary format
_HEAD = struct.Struct(">BHIIIBB")  # format, last day, version, start, end, bytes of tenant and of collection


@dataclass(frozen=True, slots=True)
class SourceRef:
    """A span of one version of a document, and the time until which it may be shown."""

    scope: Scope
    document_id: str
    version: int
    start: int
    end: int
    until: datetime


class SourceLinks:
    """Creates and verifies source links. Without a `public_url`, there are no links."""

    def __init__(
        self,
        secret: Secret,
        public_url: str | None,
        *,
        lifetime_s: float = LIFETIME_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret = secret
        self._public_url = public_url.rstrip("/") if public_url else None
        self._lifetime_s = lifetime_s
        self._clock = clock

    def link(self, tenant: str, collection: str, document_id: str, version: int, start: int, end: int) -> str | None:
        """The URL that shows `text[start:end]`. It is valid for `lifetime_s` plus at most one day.

        Raises:
            InvalidInput: the span is not valid.
        """
        if self._public_url is None:
            return None
        last_day = ceil((self._clock() + self._lifetime_s) / DAY_S)
        names = [name.encode() for name in (tenant, collection, document_id)]
        try:
            head = _HEAD.pack(_FORMAT, last_day, version, start, end, len(names[0]), len(names[1]))
        except struct.error as error:
            raise InvalidInput("The span of a document is not valid. Use numbers that are not negative.") from error
        payload = head + b"".join(names)
        return f"{self._public_url}/sources/{_text(payload + self._mac(payload))}"

    def verify(self, token: str) -> SourceRef:
        """The span that a token shows.

        Raises:
            NotFound: the token was not made by this installation, was changed, or has expired.
        """
        raw = _bytes(token)
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise NotFound("This link is incomplete or was changed. Follow it from the answer.")
        ref = _ref(payload)
        if self._clock() >= ref.until.timestamp():
            raise NotFound(f"This link expired on {ref.until:%d %B %Y}. Ask the question again for a new one.")
        return ref

    def _mac(self, payload: bytes) -> bytes:
        return bytes.fromhex(self._secret.digest("source-link", payload.hex()))[:_MAC_BYTES]


def _ref(payload: bytes) -> SourceRef:
    """Unpack a payload whose signature was verified."""
    _, last_day, version, start, end, tenant_bytes, collection_bytes = _HEAD.unpack_from(payload)
    names = payload[_HEAD.size :]
    tenant = names[:tenant_bytes].decode()
    collection = names[tenant_bytes : tenant_bytes + collection_bytes].decode()
    document_id = names[tenant_bytes + collection_bytes :].decode()
    until = datetime.fromtimestamp(last_day * DAY_S, UTC)
    return SourceRef(Scope(tenant, collection), document_id, version, start, end, until)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _bytes(token: str) -> bytes:
    """The bytes of a token; empty if the text is not the canonical encoding, so that each token has one form."""
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        return b""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if _text(raw) == token else b""
