"""Authentication of a LibreChat by its signed token, before the body is read; errors have the shape of rag_api.

`/librechat/…` belongs to the LibreChat of the settings, `/librechat/tenants/{tenant}/…`
to that of a tenant. A tenant without a LibreChat is refused in the same words as a wrong token.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import replace
from typing import Any

import jwt
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from ragstone.errors import Forbidden, NotFound, RagstoneError, TooLarge, Unauthenticated, Unavailable
from ragstone.http.authentication import ErrorRenderer, Requirement
from ragstone.http.capabilities import services_of
from ragstone.http.context import context_of
from ragstone.http.error_handlers import MAX_NAMED_FIELDS, problem_of, request_problem_response
from ragstone.identity.tenants import Tenants, TenantState
from ragstone.principals import CredentialType, Permission, Principal
from ragstone.settings import LibreChatDefaults
from ragstone.tenants.settings_store import TenantSettingsStore
from ragstone.vocabulary import COLLECTION_PATTERN

ALGORITHMS = ("HS256",)  # never the algorithm that the token names
LEEWAY_S = 30.0  # difference of two clocks; LibreChat's tokens are valid for 300 s
MAX_TOKEN_CHARS = 4096  # LibreChat's have about 200; tokens are decoded before authentication
MAX_ID_CHARS = 128

# Other claims are ignored: older versions of LibreChat send name, address and provider too.
_OPTIONS: Any = {
    "require": ["exp", "id"],
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def shown_token(headers: Headers) -> str:
    """The bearer token of a request.

    Raises:
        Unauthenticated: the header is missing, or has another scheme.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token.strip():
        raise Unauthenticated("Missing or invalid Authorization header")
    return token.strip()


def user_of(token: str, secret: str) -> str:
    """The id of the user in a token that a LibreChat with this secret has signed.

    Raises:
        Unauthenticated: the token is not valid, or has expired.
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
        raise _invalid("it is not a valid HS256 token") from None
    return _checked_id(claims["id"])


def _checked_id(user: object) -> str:
    if not isinstance(user, str) or not 0 < len(user) <= MAX_ID_CHARS or not user.isprintable() or not user.strip():
        raise _invalid(f"its id is no text of 1 to {MAX_ID_CHARS} printable characters")
    return user


def _invalid(reason: str) -> Unauthenticated:
    return Unauthenticated(f"Invalid token: {reason}")


PREFIX = "/librechat"
PERMISSIONS = frozenset({Permission.CHAT, Permission.READ, Permission.WRITE})

_NO_SECRET = secrets.token_hex(32)  # for tenants without a secret: every token fails, in the same time
_PASSED_HEADERS = ("www-authenticate", "retry-after")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,53}", re.ASCII)

log = structlog.get_logger()


async def by_token(request: Request, _: Permission | None) -> Principal:
    """The principal of a LibreChat's user; the id of the user is stored in the context.

    Raises:
        NotFound: no LibreChat is connected at this address.
        Unauthenticated: the token is missing or wrong.
        Forbidden: the tenant is not active.
    """
    services, context = services_of(request.app), context_of(request)
    own = services.settings.librechat
    named = request.path_params.get("tenant")
    if named is None and own.jwt_secret is None:
        raise not_connected()
    token = shown_token(request.headers)
    user = user_of(token, await _secret(own, services.tenancy.tenant_settings, named))
    principal = await _principal(own, services.identity.tenants, own.tenant if named is None else named, user)
    context.principal, context.user = principal, user
    return principal


def not_connected() -> NotFound:
    """The error if no LibreChat is connected."""
    return NotFound(
        "No LibreChat is connected here. Set RAGSTONE_LIBRECHAT__JWT_SECRET to the JWT_SECRET of LibreChat's .env."
    )


async def _secret(own: LibreChatDefaults, tenant_settings: TenantSettingsStore, named: str | None) -> str:
    if named is None:
        return own.jwt_secret.get_secret_value().strip() if own.jwt_secret else _NO_SECRET
    if not re.fullmatch(COLLECTION_PATTERN, named):
        return _NO_SECRET
    secret = (await tenant_settings.get(named)).librechat.jwt_secret
    return secret.get_secret_value() if secret else _NO_SECRET


async def _principal(own: LibreChatDefaults, tenants: Tenants, tenant: str, user: str) -> Principal:
    try:
        found = await tenants.get(tenant)
    except NotFound:
        found = None
    if found is None or found.state is not TenantState.ACTIVE:
        raise Forbidden("The tenant that this LibreChat's files belong to is not active. Ask the server's operator.")
    return Principal(
        id=principal_id(user),
        kind=CredentialType.LIBRECHAT,
        tenant=tenant,
        plan=found.plan,
        permissions=PERMISSIONS,
        collections=frozenset({own.collection}),
    )


def principal_id(user: str) -> str:
    """The user's id for logs and tables, up to 64 characters; hashed if it may be an e-mail address."""
    if _PLAIN_ID.fullmatch(user):
        return f"librechat:{user}"
    return f"librechat:#{hashlib.blake2b(user.encode(), digest_size=16).hexdigest()}"


def failure(request: Request, error: Exception) -> Response:
    """The error body of rag_api: `detail`, and `message` for a field that is not valid."""
    if isinstance(error, RequestValidationError):
        fields = [{"type": each["type"], "loc": each["loc"], "msg": each["msg"]} for each in error.errors()]
        body = {"detail": fields[:MAX_NAMED_FIELDS], "message": "Request validation failed"}
        return JSONResponse(body, 422)
    problem = problem_of(request.scope, error)
    headers = request_problem_response(request.scope, error).headers
    passed = {name: headers[name] for name in _PASSED_HEADERS if name in headers}
    return JSONResponse({"detail": problem.detail}, problem.status, headers=passed)


def query_failure(request: Request, error: Exception) -> Response:
    """An empty list of passages instead of a server error, which would end the chat; counted and logged.

    A client that is not authenticated, or sends a body that is not valid, gets the error.
    """
    context = context_of(request)
    authenticated = context.principal is not None or isinstance(error, Unavailable)
    if not authenticated or not isinstance(error, RagstoneError) or isinstance(error, TooLarge):
        return failure(request, error)
    context.server.metrics.degraded.labels("librechat_query").inc()
    log.warning("librechat.query_failed", code=error.code, error=error.message)
    return JSONResponse([])


_ERRORS = (RagstoneError, RequestValidationError, HTTPException)
BY_TOKEN = Requirement(identify=by_token, error_format=ErrorRenderer(_ERRORS, failure))
UPLOAD = replace(BY_TOKEN, max_body_bytes=None)
SEARCH = replace(BY_TOKEN, metered=True)
QUERY = replace(SEARCH, error_format=ErrorRenderer(_ERRORS, query_failure))
