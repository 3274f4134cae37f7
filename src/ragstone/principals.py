"""Who asks, and what they may do: roles of people, permissions of keys.

The door makes a `Principal` of every request. Routes name the permission they need, and
make the scope they work in with `Principal.scope`: there is no other way to get one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ragstone.errors import NotFound
from ragstone.vocabulary import DEFAULT_COLLECTION, DEFAULT_TENANT, Scope

UNLIMITED_PLAN = "unlimited"
"""The plan of whoever runs the installation: no limits, the model of the settings."""


class Permission(StrEnum):
    """What a route may ask of its caller."""

    CHAT = "chat"  # ask and search
    READ = "read"  # documents, jobs, own conversations
    WRITE = "write"  # bring documents in and take them out
    CONVERSATIONS = "conversations"  # everybody's conversations and feedback
    MANAGE = "manage"  # users, keys, widgets, usage and audit of the own tenant
    OPERATE = "operate"  # tenants, plans and prices of the installation
    WIDGET = "widget"  # what visitors of a web site may do: chat through the widget's routes


class Role(StrEnum):
    """What a person may do within a tenant; an operator, in every tenant."""

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
"""What each role may do."""

SECRET_KEY_PERMISSIONS = _OWNER
"""What a secret key may be given; it has all but `manage` unless its maker says otherwise."""

PUBLISHABLE_KEY_PERMISSIONS = frozenset({Permission.WIDGET})
"""What a publishable key may do, always."""


class CredentialType(StrEnum):
    """How somebody came in."""

    LOCAL = "local"  # a program on this machine, before there are accounts
    SETTING = "setting"  # a key of RAGSTONE_SERVER__API_KEYS
    SECRET = "secret"  # noqa: S105 — a kind of key
    PUBLISHABLE = "publishable"
    SESSION = "session"
    LIBRECHAT = "librechat"  # a token that a LibreChat signed for one of its users


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as admitted at the door.

    `id` is stable and safe to log and store (`user:…`, `key:…`, `local`); `credential` is
    the id of the key or session that was shown. `collections` limits a key to some
    collections; None: all. `domains` are the origins a publishable key answers.
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
        """Whether it has the permission."""
        return permission in self.permissions

    def scope(self, collection: str = DEFAULT_COLLECTION) -> Scope:
        """The scope of one of its collections.

        Raises:
            NotFound: the key was not made for this collection, which may or may not exist.
        """
        if self.collections is not None and collection not in self.collections:
            raise NotFound(f"There is no collection {collection!r} here. Use one that this key was made for.")
        return Scope(self.tenant, collection)

    @property
    def runs_the_installation(self) -> bool:
        """Whether folders and numbers of the server are its business: an operator, or a key of the settings."""
        return self.kind is CredentialType.SETTING or self.may(Permission.OPERATE)

    @property
    def conversations_of(self) -> str | None:
        """Whose conversations it may see: its own (its id), or everybody's of its tenant (None)."""
        return None if self.may(Permission.CONVERSATIONS) else self.id


LOCAL = Principal("local", CredentialType.LOCAL)
"""Whoever calls from this machine where there are no accounts, and the command line."""
