"""Authentication and authorisation of a request, before its body is read.

credential → principal → permission → origin → rate limit → size of the body → handler

A request carries one API key or one session token: `Authorization: Bearer …`, `x-api-key: …` or
the session's cookie. Where there are neither keys nor accounts, the server answers this
machine alone, and since a browser on this machine also runs other people's pages, it
refuses what such a page could send: a `Host` that is no loopback name (DNS rebinding), a
foreign `Origin` or `Sec-Fetch-Site` (cross-site request forgery), and anything a proxy
passed on.

A route states its `Requirement`; `guarded` enforces it, whatever framework the route is made of.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
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
from ragstone.http.context import context_of
from ragstone.http.rate_limit_headers import refused_headers, status_headers
from ragstone.principals import LOCAL, PERMISSIONS, CredentialType, Permission, Principal, Role
from ragstone.vocabulary import RateLimitStatus

if TYPE_CHECKING:
    from ragstone.billing.plans import Plan
    from ragstone.settings import ServerSettings

MAX_JSON_BYTES = 8 << 20  # JSON is parsed in memory and on the event loop: about 10 ms a MiB
MAX_LOGIN_BYTES = 4096  # an e-mail address and a password, of a sender who is not authenticated yet
ORIGINS_S = 5.0  # how long the domains of all keys are remembered for preflights
NOTE_S = 60.0  # between two audit entries about one secret key seen in a browser

log = structlog.get_logger()


class CredentialStore(Protocol):
    """Looks up credentials; see `identity.authenticate.Admission`."""

    async def admit(self, presented: str) -> Principal: ...  # noqa: D102
    async def has_accounts(self) -> bool: ...  # noqa: D102


class AuditLog(Protocol):
    """Records security events; see `identity.audit.Audit`."""

    async def note(  # noqa: D102
        self, tenant: str, *, actor: str, action: str, target: str = "", details: dict[str, str]
    ) -> None: ...


class KeyOrigins(Protocol):
    """Knows the web sites that publishable keys were made for; see `identity.api_keys.ApiKeys`."""

    async def origins(self) -> frozenset[str]: ...  # noqa: D102


class RequestLimits(Protocol):
    """Counts requests; see `billing.rate_limits.RateLimits`."""

    async def hit(self, principal: Principal) -> RateLimitStatus: ...  # noqa: D102
    async def call(self, principal: Principal) -> None: ...  # noqa: D102


class PlanStore(Protocol):
    """Looks up plans; see `billing.plans.Plans`."""

    async def get(self, plan_id: str) -> Plan: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Accounts:
    """What authentication needs to know of the accounts of an installation."""

    credentials: CredentialStore
    audit: AuditLog
    key_origins: KeyOrigins
    limits: RequestLimits
    plans: PlanStore


class Authenticator:
    """Authenticates requests. The keys of the settings are kept as SHA-256 digests only."""

    def __init__(
        self,
        accounts: Accounts,
        key_digests: Sequence[bytes] = (),
        *,
        max_body_bytes: int,
        site: Site,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.accounts = accounts
        self.max_body_bytes = max_body_bytes
        self.site = site
        self._key_digests = key_digests
        self._clock = clock
        self._origins: tuple[float, frozenset[str]] | None = None
        self._noted: dict[str, float] = {}

    @classmethod
    def of(cls, settings: ServerSettings, accounts: Accounts) -> Authenticator:
        """The authenticator that the settings describe."""
        keys = (key.get_secret_value().encode() for key in settings.api_keys)
        digests = tuple(hashlib.sha256(key).digest() for key in keys)
        return cls(accounts, digests, max_body_bytes=settings.max_body_bytes, site=Site.of(settings))

    async def authenticate(self, request: Request, needs: Permission | None) -> Principal:
        """The principal of the request, if it has the permission `needs`, if any, and an allowed origin.

        Raises:
            Unauthenticated: there is no credential, or no valid one; or a secret key came from a web page.
            Forbidden: the caller lacks the permission, or the origin is not allowed.
            Unsupported: a page sent something else than JSON with a session's cookie.
        """
        context = context_of(request)
        if not self._key_digests and not await self.accounts.credentials.has_accounts():
            refuse_foreign(request)
            context.principal = LOCAL
            return LOCAL
        credential = shown(request.headers, cookie=self.site.cookie)
        principal = await self._holder(credential)
        context.principal = principal
        structlog.contextvars.bind_contextvars(tenant=principal.tenant)  # for log lines and outside calls
        if needs is not None and not principal.may(needs):
            raise Forbidden(_lacking(needs))
        await self._check_origin(request, principal, by_cookie=bool(credential and credential.by_cookie))
        return principal

    async def _holder(self, credential: Shown | None) -> Principal:
        if credential is None:
            raise Unauthenticated(
                "This server needs an API key or a session. Send a key as `Authorization: Bearer <key>` or "
                "`x-api-key: <key>`, or log in at POST /api/accounts/login."
            )
        if credential.by_cookie:
            principal = await self.accounts.credentials.admit(credential.value)
            if principal.kind is not CredentialType.SESSION:
                raise Unauthenticated("A cookie holds a session, not a key. Send the key as `x-api-key: <key>`.")
            return principal
        return self._of_settings(credential.value) or await self.accounts.credentials.admit(credential.value)

    def _of_settings(self, value: str) -> Principal | None:
        # Headers arrive decoded as Latin-1; encoding them as Latin-1 restores the bytes.
        presented = hashlib.sha256(value.encode("latin-1", errors="replace")).digest()
        matches = [hmac.compare_digest(presented, known) for known in self._key_digests]  # all, for equal time
        if not any(matches):
            return None
        return Principal(
            f"setting:{matches.index(True) + 1}", CredentialType.SETTING, permissions=PERMISSIONS[Role.OWNER]
        )

    async def _check_origin(self, request: Request, principal: Principal, *, by_cookie: bool) -> None:
        if principal.kind is CredentialType.PUBLISHABLE:
            context_of(request).headers.update(widget_headers(principal, request.headers))
        elif by_cookie:
            refuse_forged(request.method, request.headers, self.site)
            _refuse_forms(request)
        elif (origin := from_another_site(request.headers, self.site)) is not None:
            await self._note_exposed(principal, origin)
            raise Unauthenticated(
                "A secret key came from a web page, where every visitor can read it. Revoke it, and call from your "
                "own backend; pages use a publishable key."
            )

    async def _note_exposed(self, principal: Principal, origin: str) -> None:
        now = self._clock()
        if now - self._noted.get(principal.id, -NOTE_S) < NOTE_S:
            return
        self._noted[principal.id] = now
        log.warning("auth.key_in_browser", principal=principal.id, tenant=principal.tenant)
        await self.accounts.audit.note(
            principal.tenant,
            actor=principal.id,
            action="key.exposed",
            target=principal.credential or principal.id,
            details={"origin": origin[:200]},
        )

    async def known_origins(self) -> frozenset[str]:
        """The domains of all publishable keys, a few seconds old at most."""
        now = self._clock()
        if self._origins is None or now - self._origins[0] >= ORIGINS_S:
            self._origins = (now, await self.accounts.key_origins.origins())
        return self._origins[1]


def _refuse_forms(request: Request) -> None:
    """Refuse other bodies than JSON and files: a page of any site can send a form without a preflight.

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


Identify = Callable[[Request, Permission | None], Awaitable[Principal | None]]
Handler = Callable[[Request], Awaitable[Response]]


async def by_key_or_session(request: Request, needs: Permission | None) -> Principal:
    """The holder of the API key or session of the request. See `Authenticator.authenticate`."""
    return await context_of(request).server.authenticator.authenticate(request, needs)


async def anonymous(request: Request, needs: Permission | None) -> None:
    """No principal: the route is open to anyone but the pages of other sites.

    Raises:
        Forbidden: a page of another site sent the request.
    """
    if from_another_site(request.headers, context_of(request).server.authenticator.site) is not None:
        raise Forbidden(
            "A page of another site sent this request. Log in on this server's own pages; "
            "behind a proxy, RAGSTONE_SERVER__PUBLIC_URL names them."
        )


@dataclass(frozen=True, slots=True)
class ErrorRenderer:
    """How a route reports errors: `render` makes the response for each of `errors`."""

    errors: tuple[type[Exception], ...]
    render: Callable[[Request, Exception], Response]


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a route requires of a request before its body is read.

    Attributes:
        needs: The permission that the principal must have; None: no particular one.
        metered: Whether each request counts against the plan of the principal's tenant; beyond it, 429.
        max_body_bytes: The limit of the body; None: the limit of the server.
        identify: How the credential of the request becomes a principal.
        error_format: Problem details (RFC 9457) unless given.
    """

    needs: Permission | None = None
    metered: bool = False
    max_body_bytes: int | None = MAX_JSON_BYTES
    identify: Identify = by_key_or_session
    error_format: ErrorRenderer | None = None

    @property
    def is_open(self) -> bool:
        """Whether anyone may call the route."""
        return self.identify is anonymous


async def guarded(request: Request, requirement: Requirement, handle: Handler) -> Response:
    """The response of `handle`, which runs only if the request meets the requirement."""
    if requirement.error_format is None:
        return await handle(await admitted(request, requirement))
    try:
        return await handle(await admitted(request, requirement))
    except requirement.error_format.errors as error:
        return requirement.error_format.render(request, error)


async def admitted(request: Request, requirement: Requirement) -> Request:
    """The request, with its principal in its context and a limit on its body.

    Raises:
        Unauthenticated: see `Requirement.identify`.
        Forbidden: see `Requirement.identify`.
        Unsupported: see `Authenticator.authenticate`.
        RateLimited: the principal's tenant has used its plan for now.
        TooLarge: the announced body is too large; one that turns out to be raises it while it is read.
    """
    authenticator = context_of(request).server.authenticator
    principal = await requirement.identify(request, requirement.needs)
    if principal is not None and requirement.metered:
        await _meter(request, principal, authenticator.accounts)
    elif principal is not None:
        await authenticator.accounts.limits.call(principal)
    limit = min(requirement.max_body_bytes or authenticator.max_body_bytes, authenticator.max_body_bytes)
    refuse_announced(request.headers, limit)
    return Request(request.scope, limited_body(request.receive, limit))


async def _meter(request: Request, principal: Principal, accounts: Accounts) -> None:
    """Count the request against the plan of its tenant; the response's headers say how much is left.

    Raises:
        RateLimited: there is no room within the hour.
    """
    context = context_of(request)
    try:
        context.rate_limit = await accounts.limits.hit(principal)
    except RateLimited as error:
        plan = await accounts.plans.get(principal.plan)
        context.headers.update(refused_headers(plan.requests_per_hour, error.retry_after_s))
        raise
    context.headers.update(status_headers(context.rate_limit))


def _lacking(needed: Permission) -> str:
    return (
        f"This needs the permission `{needed}`, which you were not given. "
        "Use a key that has it, or ask an owner of your tenant."
    )


def refuse_announced(headers: Headers, limit: int) -> None:
    """Refuse a body whose announced size is too large. Raises: InvalidInput, TooLarge."""
    announced = headers.get("content-length", "0")
    if not announced.isdecimal():
        raise InvalidInput("The Content-Length header is no number. Leave it to your HTTP library.")
    if int(announced) > limit:
        raise _too_large(limit)


def limited_body(receive: Receive, limit: int) -> Receive:
    """`receive` with a limit: it raises TooLarge after more than `limit` bytes of a body."""
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
