"""The door of a LibreChat: its token is checked before a byte of the body is read, and errors have rag_api's shape.

`/librechat/…` belongs to the LibreChat of the settings, `/librechat/tenants/{tenant}/…`
to that of a tenant. Whoever names a tenant that has none learns no more than whoever
shows a wrong token.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import jwt
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope as Connection

from ragstone.errors import Forbidden, NotFound, RagstoneError, TooLarge, Unauthenticated, Unavailable
from ragstone.http.authentication import MAX_JSON_BYTES, Authenticator, limited_body, refuse_announced
from ragstone.http.error_handlers import MAX_NAMED_FIELDS, problem_of, request_problem_response
from ragstone.http.rate_limit_headers import standing_headers
from ragstone.identity.tenants import TenantState
from ragstone.principals import CredentialType, Permission, Principal
from ragstone.vocabulary import COLLECTION_PATTERN
from ragstone.wiring import Platform

ALGORITHMS = ("HS256",)  # never those that the token itself names
LEEWAY_S = 30.0  # two machines' clocks; LibreChat's tokens hold for 300 s
MAX_TOKEN_CHARS = 4096  # LibreChat's have about 200; it is decoded before anybody is known
MAX_ID_CHARS = 128

# Others are LibreChat's own business: older versions send name, address and provider too.
_OPTIONS: Any = {
    "require": ["exp", "id"],
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def shown_token(headers: Headers) -> str:
    """What was shown at the door.

    Raises:
        Unauthenticated: nothing, or nothing of the right kind.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token.strip():
        raise Unauthenticated("Missing or invalid Authorization header")
    return token.strip()


def user_of(token: str, secret: str) -> str:
    """The id of the user whom a LibreChat with this secret signed the token for.

    Raises:
        Unauthenticated: it is no such token, or no longer.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise _invalid("it is longer than any that LibreChat makes")
    try:
        claims = jwt.decode(token, secret, algorithms=ALGORITHMS, leeway=LEEWAY_S, options=_OPTIONS)
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("Token has expired") from None
    except jwt.MissingRequiredClaimError:
        raise _invalid("it has no id, or no end") from None
    except jwt.InvalidSignatureError:
        raise _invalid("it was signed with another JWT_SECRET") from None
    except jwt.PyJWTError:
        raise _invalid("it is no HS256 token that holds now") from None
    return _checked_id(claims["id"])


def _checked_id(user: object) -> str:
    if not isinstance(user, str) or not 0 < len(user) <= MAX_ID_CHARS or not user.isprintable() or not user.strip():
        raise _invalid(f"its id is no text of 1 to {MAX_ID_CHARS} printable characters")
    return user


def _invalid(reason: str) -> Unauthenticated:
    return Unauthenticated(f"Invalid token: {reason}")


PREFIX = "/librechat"
PERMISSIONS = frozenset({Permission.CHAT, Permission.READ, Permission.WRITE})

_NOBODYS_SECRET = secrets.token_hex(32)  # for tenants without one: no token fits, and none fails sooner
_KEPT_HEADERS = ("www-authenticate", "retry-after")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,53}", re.ASCII)

log = structlog.get_logger()


class LibreChatRoute(APIRoute):
    """A route behind the token of a LibreChat. Its address may hold doubled slashes."""

    max_body_bytes: ClassVar[int | None] = MAX_JSON_BYTES
    metered: ClassVar[bool] = False

    def matches(self, scope: Connection) -> tuple[Match, Connection]:
        """Whether the address is this route's. LibreChat puts `/query` after whatever RAG_API_URL ends with."""
        return super().matches(single_slashed(scope))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the token."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            try:
                await self._admit(request)
                door: Authenticator = request.app.state.door
                limit = min(self.max_body_bytes or door.max_body_bytes, door.max_body_bytes)
                refuse_announced(request.headers, limit)
                return await handle(Request(request.scope, limited_body(request.receive, limit)))
            except (RagstoneError, RequestValidationError, HTTPException) as error:
                return self.failed(request, error)

        return admitted

    def failed(self, request: Request, error: Exception) -> Response:
        """The answer to what failed."""
        return failure(request, error)

    async def _admit(self, request: Request) -> None:
        platform: Platform = request.app.state.platform
        principal, user = await admit(request, platform)
        request.state.principal, request.state.user = principal, user
        await platform.accounts.limits.call(principal)
        if self.metered:
            request.state.standing = await platform.accounts.limits.hit(principal)
            request.state.headers = standing_headers(request.state.standing)


class FileRoute(LibreChatRoute):
    """A route that takes a file: bodies up to the server's limit."""

    max_body_bytes = None


class SearchRoute(LibreChatRoute):
    """A route that counts against the requests of the tenant's plan."""

    metered = True


class QueryRoute(SearchRoute):
    """A route whose failure would end a chat: what is not the caller's fault is an empty answer, counted and logged."""

    def failed(self, request: Request, error: Exception) -> Response:
        """Nothing found; but who is not let in, or sends what cannot be read, is told so."""
        let_in = hasattr(request.state, "principal") or isinstance(error, Unavailable)
        if not let_in or not isinstance(error, RagstoneError) or isinstance(error, TooLarge):
            return failure(request, error)
        platform: Platform = request.app.state.platform
        platform.metrics.degraded.labels("librechat_query").inc()
        log.warning("librechat.query_failed", code=error.code, error=error.message)
        return JSONResponse([])


async def admit(request: Request, platform: Platform) -> tuple[Principal, str]:
    """Whoever asks: a principal of the LibreChat's tenant, and the user's id as LibreChat knows it.

    Raises:
        NotFound: no LibreChat is connected at this address.
        Unauthenticated: the token is missing or wrong.
        Forbidden: the tenant is not active.
    """
    named = request.path_params.get("tenant")
    if named is None and platform.settings.librechat.jwt_secret is None:
        raise not_connected()
    token = shown_token(request.headers)
    tenant = platform.settings.librechat.tenant if named is None else named
    user = user_of(token, await _secret(platform, named))
    return await _principal(platform, tenant, user), user


def not_connected() -> NotFound:
    """What is said where no LibreChat is connected."""
    return NotFound(
        "No LibreChat is connected here. Set RAGSTONE_LIBRECHAT__JWT_SECRET to the JWT_SECRET of LibreChat's .env."
    )


async def _secret(platform: Platform, named: str | None) -> str:
    if named is None:
        setting = platform.settings.librechat.jwt_secret
        return setting.get_secret_value().strip() if setting else _NOBODYS_SECRET
    if not re.fullmatch(COLLECTION_PATTERN, named):
        return _NOBODYS_SECRET
    secret = (await platform.accounts.tenant_settings.get(named)).librechat.jwt_secret
    return secret.get_secret_value() if secret else _NOBODYS_SECRET


async def _principal(platform: Platform, tenant: str, user: str) -> Principal:
    try:
        found = await platform.accounts.tenants.get(tenant)
    except NotFound:
        found = None
    if found is None or found.state is not TenantState.ACTIVE:
        raise Forbidden("The tenant that this LibreChat's files belong to is not active. Ask whoever runs the server.")
    return Principal(
        id=principal_id(user),
        kind=CredentialType.LIBRECHAT,
        tenant=tenant,
        plan=found.plan,
        permissions=PERMISSIONS,
        collections=frozenset({platform.settings.librechat.collection}),
    )


def principal_id(user: str) -> str:
    """The user in logs and tables, in 64 characters at most: hashed unless plainly an id, as it may be an address."""
    if _PLAIN_ID.fullmatch(user):
        return f"librechat:{user}"
    return f"librechat:#{hashlib.blake2b(user.encode(), digest_size=16).hexdigest()}"


def failure(request: Request, error: Exception) -> Response:
    """An error in the shape that callers of rag_api read: `detail`, and `message` where a field does not fit."""
    if isinstance(error, RequestValidationError):
        fields = [{"type": each["type"], "loc": each["loc"], "msg": each["msg"]} for each in error.errors()]
        body = {"detail": fields[:MAX_NAMED_FIELDS], "message": "Request validation failed"}
        return JSONResponse(body, 422)
    problem = problem_of(request.scope, error)
    headers = request_problem_response(request.scope, error).headers
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return JSONResponse({"detail": problem.detail}, problem.status, headers=kept)


def single_slashed(scope: Connection) -> Connection:
    """The scope, with one slash for several where the path is LibreChat's; everybody else's stays as it is."""
    path: str = scope["path"]
    if "//" not in path or not path.startswith(f"{PREFIX}/"):
        return scope
    return {**scope, "path": re.sub("/{2,}", "/", path)}
