"""Tokens that a LibreChat signs for its users: HS256 over its JWT_SECRET, minutes long, with the user as `id`."""

from __future__ import annotations

from typing import Any

import jwt
from starlette.datastructures import Headers

from ragstone.errors import Unauthenticated

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
