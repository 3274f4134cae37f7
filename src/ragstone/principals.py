"""Principals: the authenticated callers, their permissions, and the rules for granting permissions.

Authentication makes a `Principal` of every request. Routes name the permission they need, and
get the scope they work in from `Principal.scope` only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ragstone.errors import Forbidden, NotFound
from ragstone.vocabulary import DEFAULT_COLLECTION, DEFAULT_TENANT, Scope

UNLIMITED_PLAN = "unlimited"
"""The plan of the operator: no limits, and the model of the settings."""
USER_PREFIX = "user:"
"""How the id of a principal begins that is a person with a session."""


class Permission(StrEnum):
    """A permission that a route requires."""

    CHAT = "chat"  # ask and search
    READ = "read"  # read documents, jobs and own conversations
    WRITE = "write"  # ingest and remove documents
    CONVERSATIONS = "conversations"  # read the conversations and feedback of all users of the tenant
    MANAGE = "manage"  # manage users, keys, widgets, usage and audit log of the tenant
    OPERATE = "operate"  # manage tenants, plans and prices of the installation
    WIDGET = "widget"  # chat through the widget's routes, as a visitor of a web site


class Role(StrEnum):
    """The role of a user within a tenant; an operator acts in every tenant."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"
    OPERATOR = "operator"


_VIEWER = frozenset({Permission.CHAT, Permission.READ})
_EDITOR = _VIEWER | {Permission.WRITE, Permission.CONVERSATIONS}
_OWNER = _EDITOR | {Permission.MANAGE}
PERMISSIONS = {
    Role.VIEWER: _VIEWER,
    Role.EDITOR: _EDITOR,
    Role.OWNER: _OWNER,
    Role.OPERATOR: _OWNER | {Permission.OPERATE},
}
"""The permissions of each role."""

SECRET_KEY_PERMISSIONS = _OWNER
"""The permissions that a secret key can have; its default is all of them except `manage`."""

PUBLISHABLE_KEY_PERMISSIONS = frozenset({Permission.WIDGET})
"""The permissions of every publishable key."""


class CredentialType(StrEnum):
    """How a principal was authenticated."""

    LOCAL = "local"  # a program on this machine, while there are no accounts
    SETTING = "setting"  # a key of RAGSTONE_SERVER__API_KEYS
    SECRET = "secret"  # noqa: S105 — a kind of key
    PUBLISHABLE = "publishable"
    SESSION = "session"
    LIBRECHAT = "librechat"  # a token that LibreChat signed for one of its users


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    `id` is stable and safe to log and store (`user:…`, `key:…`, `local`); `credential` is
    the id of the key or session that was presented. `collections` limits a key to some
    collections; None: all. `domains` are the allowed origins of a publishable key.
    """

    id: str
    kind: CredentialType
    tenant: str = DEFAULT_TENANT
    plan: str = UNLIMITED_PLAN
    permissions: frozenset[Permission] = PERMISSIONS[Role.OPERATOR]
    collections: frozenset[str] | None = None
    domains: tuple[str, ...] = ()
    credential: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether the principal has the permission."""
        return permission in self.permissions

    def scope(self, collection: str = DEFAULT_COLLECTION) -> Scope:
        """The scope of one of the principal's collections.

        Raises:
            NotFound: the key is limited to other collections; the message does not tell whether this one exists.
        """
        if self.collections is not None and collection not in self.collections:
            raise NotFound(f"There is no collection {collection!r} here. Use one of the collections of this key.")
        return Scope(self.tenant, collection)

    @property
    def runs_the_installation(self) -> bool:
        """Whether it may see folders and metrics of the server: an operator, or a key of the settings."""
        return self.kind is CredentialType.SETTING or self.may(Permission.OPERATE)

    @property
    def conversations_of(self) -> str | None:
        """The owner of the conversations it may read: its own id, or None for all of its tenant."""
        return None if self.may(Permission.CONVERSATIONS) else self.id

    @property
    def user_id(self) -> str | None:
        """The id of the user behind a session; None for keys and programs."""
        return self.id.removeprefix(USER_PREFIX) if self.id.startswith(USER_PREFIX) else None


LOCAL = Principal("local", CredentialType.LOCAL)
"""The principal of requests from this machine while there are no accounts, and of the command line."""


def grantable(principal: Principal, permissions: frozenset[Permission]) -> bool:
    """Whether the principal has all these permissions, and so may grant them to a key or a user."""
    return permissions <= principal.permissions


def check_key(principal: Principal, permissions: frozenset[Permission], collections: Iterable[str] | None) -> None:
    """Check that a key does not exceed the principal that creates, rotates or changes it.

    The permission of publishable keys may be granted by every principal that manages keys.

    Raises:
        Forbidden: the key has permissions or collections that the principal does not have.
    """
    granted = permissions - PUBLISHABLE_KEY_PERMISSIONS
    within = principal.collections is None or (collections is not None and set(collections) <= principal.collections)
    if not grantable(principal, granted) or not within:
        raise Forbidden("The key would have more rights than you. Use permissions and collections that you have.")


def check_role(principal: Principal, role: Role) -> None:
    """Check that a role does not exceed the principal that grants it, or changes a user who has it.

    Raises:
        Forbidden: the role has permissions that the principal does not have, or the principal is a key for some
            collections only.
    """
    if principal.collections is not None or not grantable(principal, PERMISSIONS[role]):
        raise Forbidden(f"The role {role.value} has more permissions than you. Ask a user who has that role.")
