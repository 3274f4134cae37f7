"""Nobody gives what they have not: who may make which key, and touch which person."""

from __future__ import annotations

from collections.abc import Iterable

from ragstone.errors import Forbidden
from ragstone.identity.api_keys import grantable
from ragstone.principals import PERMISSIONS, PUBLISHABLE_KEY_PERMISSIONS, Permission, Principal, Role

USER_PREFIX = "user:"


def user_of(principal: Principal) -> str | None:
    """The id of the person behind a session; None for keys and programs."""
    return principal.id.removeprefix(USER_PREFIX) if principal.id.startswith(USER_PREFIX) else None


def check_key(principal: Principal, permissions: frozenset[Permission], collections: Iterable[str] | None) -> None:
    """A key, made, rotated or changed by the principal, may not open more than it may itself.

    What visitors of a web site may do, everybody who manages keys may give.

    Raises:
        Forbidden: it would.
    """
    given = permissions - PUBLISHABLE_KEY_PERMISSIONS
    within = principal.collections is None or (collections is not None and set(collections) <= principal.collections)
    if not grantable(principal, given) or not within:
        raise Forbidden("The key would open more than you may yourself. Name permissions and collections you have.")


def check_role(principal: Principal, role: Role) -> None:
    """A person whom the principal makes or changes may not have more to say than the principal.

    Raises:
        Forbidden: the role may do more, or the principal is a key for some collections only.
    """
    if principal.collections is not None or not grantable(principal, PERMISSIONS[role]):
        raise Forbidden(f"The role {role.value} may do more than you may yourself. Ask somebody who has it.")
