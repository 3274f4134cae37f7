"""Bodies and answers of the routes under /api/accounts. What opens a door appears in one answer, once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, StringConstraints

from ragstone.api.bodies import Collection, NextPage, Out, PlainText, Request, shown
from ragstone.identity.api_keys import MAX_COLLECTIONS, MAX_DOMAINS, MAX_OVERLAP_S, ROTATION_OVERLAP_S
from ragstone.identity.tenants import TenantState
from ragstone.identity.users import UserState
from ragstone.principals import CredentialType, Permission, Role

USER_ID = "5b0d2f8e47c14a6cb3e9a1f07d62c8e4"
KEY_ID = "e81c6a3fd05b4f2793ac6de1487b90f5"
SESSION_ID = "9a47be20c3f84d15a6e07b1d52f8c036"
_AT = "2026-11-21T10:00:00Z"

Name = Annotated[PlainText, StringConstraints(max_length=200)]
Email = Annotated[PlainText, StringConstraints(min_length=3, max_length=254)]
Password = Annotated[SecretStr, Field(max_length=1024)]
Domain = Annotated[PlainText, StringConstraints(max_length=300)]
AccountId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]

USER: dict[str, Any] = {
    "id": USER_ID,
    "tenant": "acme",
    "email": "ada@acme.example",
    "name": "Ada",
    "role": "owner",
    "state": "active",
    "created_at": _AT,
}
SESSION: dict[str, Any] = {
    "id": SESSION_ID,
    "user_id": USER_ID,
    "created_at": _AT,
    "last_used_at": "2026-11-21T10:05:00Z",
    "expires_at": "2026-11-21T22:00:00Z",
}
TENANT: dict[str, Any] = {
    "id": "acme",
    "name": "Acme Ltd",
    "plan": "free",
    "state": "active",
    "retention_days": None,
    "created_at": _AT,
}
KEY: dict[str, Any] = {
    "id": KEY_ID,
    "kind": "secret",
    "name": "backend",
    "start": "rs_sk_aB3x",
    "permissions": ["chat", "read"],
    "collections": ["default"],
    "domains": [],
    "created_by": f"user:{USER_ID}",
    "created_at": _AT,
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
    "replaced_by": None,
}


class LoginBody(Request):
    """Who wants to come in."""

    model_config = ConfigDict(json_schema_extra=shown({"email": "ada@acme.example", "password": "a long sentence"}))

    email: Email
    password: Password


class PasswordBody(Request):
    """A new password for oneself."""

    model_config = ConfigDict(
        json_schema_extra=shown({"current": "a long sentence", "new": "another long sentence"}),
    )

    current: Password
    new: Password = Field(description="12 to 1,024 characters.")


class UserOut(Out):
    """A person of a tenant."""

    model_config = ConfigDict(json_schema_extra=shown(USER))

    id: str
    tenant: str
    email: str
    name: str
    role: Role
    state: UserState
    created_at: datetime


class UserList(Out):
    """People by e-mail address."""

    model_config = ConfigDict(json_schema_extra=shown({"users": [USER], "next": None}))

    users: list[UserOut]
    next: NextPage


class LoginOut(Out):
    """A session. The browser keeps it as a cookie; programs send `token` as a bearer."""

    model_config = ConfigDict(
        json_schema_extra=shown({"token": "rs_se_…", "expires_at": SESSION["expires_at"], "user": USER})
    )

    token: str = Field(description="Shown this once.")
    expires_at: datetime = Field(description="When it ends, however much it is used; unused it ends sooner.")
    user: UserOut


class MeOut(Out):
    """Who asks, and what they may do."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "id": f"user:{USER_ID}",
                "kind": "session",
                "tenant": "acme",
                "plan": "free",
                "permissions": ["chat", "conversations", "manage", "read", "write"],
                "collections": None,
                "user": USER,
            }
        )
    )

    id: str
    kind: CredentialType
    tenant: str
    plan: str
    permissions: list[Permission]
    collections: list[str] | None = Field(description="The only collections a key was made for; null: all.")
    user: UserOut | None = Field(description="The person, for a session.")


class SessionOut(Out):
    """One login; its id is not its token."""

    model_config = ConfigDict(json_schema_extra=shown(SESSION))

    id: str
    user_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class SessionList(Out):
    """The sessions that run, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"sessions": [SESSION]}))

    sessions: list[SessionOut]


class TenantBody(Request):
    """A new customer."""

    model_config = ConfigDict(json_schema_extra=shown({"id": "acme", "name": "Acme Ltd", "plan": "free"}))

    id: Collection = Field(description="Names it for ever: small letters, digits, - and _.")
    name: Name = ""
    plan: AccountId = "free"


class TenantChangeBody(Request):
    """What to change of a tenant; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=shown({"plan": "paid", "retention_days": 90}))

    name: Name | None = None
    plan: AccountId | None = None
    state: Literal[TenantState.ACTIVE, TenantState.SUSPENDED] | None = None
    retention_days: int | None = Field(None, ge=0, le=36_500, description="Days conversations are kept; 0: for ever.")


class TenantOut(Out):
    """A customer of the installation."""

    model_config = ConfigDict(json_schema_extra=shown(TENANT))

    id: str
    name: str
    plan: str
    state: TenantState
    retention_days: int | None
    created_at: datetime


class TenantList(Out):
    """Tenants by id."""

    model_config = ConfigDict(json_schema_extra=shown({"tenants": [TENANT], "next": None}))

    tenants: list[TenantOut]
    next: NextPage


class UserBody(Request):
    """A new person."""

    model_config = ConfigDict(
        json_schema_extra=shown({"email": "bob@acme.example", "password": "a long sentence", "role": "editor"})
    )

    email: Email
    password: Password = Field(description="12 to 1,024 characters; tell the person to change it.")
    role: Role = Role.VIEWER
    name: Name = ""


class UserChangeBody(Request):
    """What to change of a person; what is left out stays. Role, state and password end their sessions."""

    model_config = ConfigDict(json_schema_extra=shown({"role": "viewer"}))

    name: Name | None = None
    role: Role | None = None
    state: UserState | None = None
    password: Password | None = None


class KeyBody(Request):
    """A new key."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "backend", "permissions": ["chat", "read"], "collections": ["default"]},
                {"kind": "publishable", "name": "shop", "domains": ["shop.example", "*.shop.example"]},
            ]
        }
    )

    kind: Literal["secret", "publishable"] = "secret"
    name: Name = ""
    permissions: frozenset[Permission] | None = Field(None, description="Of a secret key; left out, all but `manage`.")
    collections: list[Collection] | None = Field(
        None, max_length=MAX_COLLECTIONS, description="The only collections it opens; left out, all."
    )
    domains: list[Domain] = Field(
        [], max_length=MAX_DOMAINS, description="The web sites a publishable key answers; none if empty."
    )
    expires_at: datetime | None = None


class KeyChangeBody(Request):
    """What to change of a key; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=shown({"domains": ["shop.example"]}))

    name: Name | None = None
    domains: list[Domain] | None = Field(None, max_length=MAX_DOMAINS)


class RotationBody(Request):
    """How long the old key works beside the new one."""

    model_config = ConfigDict(json_schema_extra=shown({"overlap_s": 3600}))

    overlap_s: int = Field(ROTATION_OVERLAP_S, ge=0, le=MAX_OVERLAP_S)


class KeyOut(Out):
    """What is known of a key; the key itself nobody can show again."""

    model_config = ConfigDict(json_schema_extra=shown(KEY))

    id: str
    kind: Literal["secret", "publishable"]
    name: str
    start: str = Field(description="Its first characters, to tell keys apart.")
    permissions: list[Permission]
    collections: list[str] | None
    domains: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    replaced_by: str | None = Field(description="The key that it was rotated to.")


class NewKeyOut(KeyOut):
    """A new key, with the key itself."""

    model_config = ConfigDict(json_schema_extra=shown({**KEY, "key": "rs_sk_aB3x…"}))

    key: str = Field(description="Shown this once. Keep it like a password.")


class KeyList(Out):
    """Keys, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"keys": [KEY], "next": None}))

    keys: list[KeyOut]
    next: NextPage
