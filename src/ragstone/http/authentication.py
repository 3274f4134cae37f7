"""The door: who may come in, decided before a byte of the body is read.

credential → principal → permission → origin → rate limit → size of the body → handler

A request shows one key or one session token: `Authorization: Bearer …`, `x-api-key: …` or
the session's cookie. Where there are neither keys nor accounts, the server answers this
machine alone, and since a browser on this machine also runs other people's pages, it
refuses what such a page could send: a `Host` that is no loopback name (DNS rebinding), a
foreign `Origin` or `Sec-Fetch-Site` (cross-site request forgery), and anything a proxy
passed on.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive

from ragstone.errors import Forbidden, InvalidInput, RateLimited, TooLarge, Unauthenticated, Unsupported
from ragstone.http.browser_origin import (
    SAFE_METHODS,
    Shown,
    Site,
    from_another_site,
    refuse_foreign,
    refuse_forged,
    shown,
    widget_headers,
)
from ragstone.http.rate_limit_headers import refused_headers, standing_headers
from ragstone.principals import LOCAL, PERMISSIONS, CredentialType, Permission, Principal, Role
from ragstone.wiring.infrastructure import Accounts

if TYPE_CHECKING:
    from ragstone.settings import ServerSettings

MAX_JSON_BYTES = 8 << 20  # JSON is parsed in memory and on the event loop: about 10 ms a MiB
ORIGINS_S = 5.0  # how long the domains of all keys are remembered for preflights
NOTE_S = 60.0  # a key seen in a browser is noted once a minute, however often it is used

log = structlog.get_logger()


class Authenticator:
    """Admits requests. The keys of the settings are kept as SHA-256 digests only."""

    def __init__(
        self,
        key_digests: Sequence[bytes] = (),
        *,
        max_body_bytes: int,
        site: Site,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self.site = site
        self._key_digests = key_digests
        self._clock = clock
        self._origins: tuple[float, frozenset[str]] | None = None
        self._noted: dict[str, float] = {}

    @classmethod
    def of(cls, settings: ServerSettings) -> Authenticator:
        """The door that the settings describe."""
        keys = (key.get_secret_value().encode() for key in settings.api_keys)
        digests = tuple(hashlib.sha256(key).digest() for key in keys)
        return cls(digests, max_body_bytes=settings.max_body_bytes, site=Site.of(settings))

    async def admit(self, request: Request, accounts: Accounts, needs: Permission) -> Principal:
        """Whoever asks, if they may have what the route needs, from where they ask.

        Raises:
            Unauthenticated: nothing was shown, or nothing that is known; or a secret key came from a page.
            Forbidden: the caller lacks the permission, or asks from where it may not.
            Unsupported: a page sent something else than JSON with a session's cookie.
        """
        if not self._key_digests and not await accounts.admission.has_accounts():
            refuse_foreign(request)
            request.state.principal = LOCAL
            return LOCAL
        credential = shown(request.headers, cookie=self.site.cookie)
        principal = await self._holder(credential, accounts)
        request.state.principal = principal
        structlog.contextvars.bind_contextvars(tenant=principal.tenant)  # for log lines and outside calls
        if not principal.may(needs):
            raise Forbidden(_lacking(needs))
        await self._check_origin(request, principal, accounts, by_cookie=bool(credential and credential.by_cookie))
        return principal

    async def _holder(self, credential: Shown | None, accounts: Accounts) -> Principal:
        if credential is None:
            raise Unauthenticated(
                "This server needs an API key or a session. Send a key as `Authorization: Bearer <key>` or "
                "`x-api-key: <key>`, or log in at POST /api/accounts/login."
            )
        if credential.by_cookie:
            principal = await accounts.admission.admit(credential.value)
            if principal.kind is not CredentialType.SESSION:
                raise Unauthenticated("A cookie holds a session, not a key. Send the key as `x-api-key: <key>`.")
            return principal
        return self._of_settings(credential.value) or await accounts.admission.admit(credential.value)

    def _of_settings(self, value: str) -> Principal | None:
        # Headers arrive decoded as Latin-1; encoding them so gives the bytes back.
        presented = hashlib.sha256(value.encode("latin-1", errors="replace")).digest()
        matches = [hmac.compare_digest(presented, known) for known in self._key_digests]  # all, for equal time
        if not any(matches):
            return None
        return Principal(
            f"setting:{matches.index(True) + 1}", CredentialType.SETTING, permissions=PERMISSIONS[Role.OWNER]
        )

    async def _check_origin(
        self, request: Request, principal: Principal, accounts: Accounts, *, by_cookie: bool
    ) -> None:
        if principal.kind is CredentialType.PUBLISHABLE:
            request.state.headers = widget_headers(principal, request.headers)
        elif by_cookie:
            refuse_forged(request.method, request.headers, self.site)
            _refuse_forms(request)
        elif (origin := from_another_site(request.headers, self.site)) is not None:
            await self._note_exposed(principal, origin, accounts)
            raise Unauthenticated(
                "A secret key came from a web page, where everybody can read it. Revoke it, and call from your "
                "own backend; pages use a publishable key."
            )

    async def _note_exposed(self, principal: Principal, origin: str, accounts: Accounts) -> None:
        now = self._clock()
        if now - self._noted.get(principal.id, -NOTE_S) < NOTE_S:
            return
        self._noted[principal.id] = now
        log.warning("auth.key_in_browser", principal=principal.id, tenant=principal.tenant)
        await accounts.audit.note(
            principal.tenant,
            actor=principal.id,
            action="key.exposed",
            target=principal.credential or principal.id,
            details={"origin": origin[:200]},
        )

    async def known_origins(self, accounts: Accounts) -> frozenset[str]:
        """The domains of all publishable keys, a few seconds old at most."""
        now = self._clock()
        if self._origins is None or now - self._origins[0] >= ORIGINS_S:
            self._origins = (now, await accounts.api_keys.origins())
        return self._origins[1]


def _refuse_forms(request: Request) -> None:
    """A page of any site can send a form without asking; only JSON, and files, count as meant.

    Raises:
        Unsupported: the body is something else.
    """
    headers = request.headers
    empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    if request.method in SAFE_METHODS or empty:
        return
    sent = headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in {"application/json", "multipart/form-data"}:
        raise Unsupported("With a session's cookie a body has to be JSON. Send it with Content-Type: application/json.")


async def let_in(request: Request, needs: Permission, *, metered: bool, max_body_bytes: int | None) -> Request:
    """The request, through the door: its caller is admitted, counted, and sends no more than it may.

    Raises:
        Unauthenticated: see `Authenticator.admit`.
        Forbidden: see `Authenticator.admit`.
        Unsupported: see `Authenticator.admit`.
        RateLimited: the caller, or its tenant, has no room for now.
        TooLarge: the body is announced as larger; one that turns out to be raises it while it is read.
    """
    door: Authenticator = request.app.state.door
    accounts: Accounts = request.app.state.platform.accounts
    principal = await door.admit(request, accounts, needs)
    if metered:
        await _meter(request, principal, accounts)
    else:
        await accounts.limits.call(principal)
    limit = min(max_body_bytes or door.max_body_bytes, door.max_body_bytes)
    refuse_announced(request.headers, limit)
    return Request(request.scope, limited_body(request.receive, limit))


async def _meter(request: Request, principal: Principal, accounts: Accounts) -> None:
    """Count the request against the tenant's plan, and say in the answer how much is left.

    Raises:
        RateLimited: there is no room within the hour.
    """
    headers = getattr(request.state, "headers", {})
    try:
        standing = await accounts.limits.hit(principal)
    except RateLimited as error:
        plan = await accounts.plans.get(principal.plan)
        request.state.headers = {**headers, **refused_headers(plan.requests_per_hour, error.retry_after_s)}
        raise
    request.state.standing = standing
    request.state.headers = {**headers, **standing_headers(standing)}


def _lacking(needed: Permission) -> str:
    return (
        f"This needs the permission `{needed}`, which you were not given. "
        "Use a key that has it, or ask an owner of your tenant."
    )


def refuse_announced(headers: Headers, limit: int) -> None:
    """Refuse a body by what its header says of its size. Raises: InvalidInput, TooLarge."""
    announced = headers.get("content-length", "0")
    if not announced.isdecimal():
        raise InvalidInput("The Content-Length header is no number. Leave it to your HTTP library.")
    if int(announced) > limit:
        raise _too_large(limit)


def limited_body(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises TooLarge when more than `limit` bytes of a body have come."""
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return receive_counted


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than {limit:,} bytes, which is the limit here. Send less at once; "
        "files go to POST /api/documents, whose limit is RAGSTONE_SERVER__MAX_BODY_BYTES."
    )
