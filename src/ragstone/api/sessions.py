"""Routes of login and logout, of the present user, and of the open sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response, status
from pydantic import ConfigDict, Field

from ragstone.api.bodies import USER_ID, Out, response_for, shown
from ragstone.api.bodies import Request as RequestBody
from ragstone.api.users import USER, Password, UserOut
from ragstone.errors import InvalidInput, NotFound
from ragstone.http.capabilities import RateLimitsDep, SessionsDep, SettingsDep, UsersDep
from ragstone.http.context import context_of
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, PathId, admitted_router, open_router
from ragstone.identity.fields import Email
from ragstone.identity.sessions import Session, Sessions
from ragstone.identity.users import UserChange
from ragstone.principals import CredentialType, Permission, Principal

PASSWORDS_PER_MINUTE = 5  # guesses at the present password by a stolen session

login_router = open_router(tag="accounts")
router = admitted_router(tag="accounts", needs=Permission.READ)

SESSION_ID = "9a47be20c3f84d15a6e07b1d52f8c036"
SESSION: dict[str, Any] = {
    "id": SESSION_ID,
    "user_id": USER_ID,
    "created_at": "2026-11-21T10:00:00Z",
    "last_used_at": "2026-11-21T10:05:00Z",
    "expires_at": "2026-11-21T22:00:00Z",
}


class LoginBody(RequestBody):
    """E-mail address and password of a user."""

    model_config = ConfigDict(json_schema_extra=shown({"email": "ada@acme.example", "password": "a long sentence"}))

    email: Email
    password: Password


class PasswordBody(RequestBody):
    """The present and the new password."""

    model_config = ConfigDict(
        json_schema_extra=shown({"current": "a long sentence", "new": "another long sentence"}),
    )

    current: Password
    new: Password = Field(description="12 to 1,024 characters.")


class LoginOut(Out):
    """A session. The browser keeps it as a cookie; programs send `token` as a bearer."""

    model_config = ConfigDict(
        json_schema_extra=shown({"token": "rs_se_…", "expires_at": SESSION["expires_at"], "user": USER})
    )

    token: str = Field(description="Shown this once.")
    expires_at: datetime = Field(description="The session ends then at the latest; an unused session ends sooner.")
    user: UserOut


class MeOut(Out):
    """The caller: tenant, plan and permissions."""

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
    collections: list[str] | None = Field(description="The only collections of a key; null: all.")
    user: UserOut | None = Field(description="The user of a session; null for a key.")


@response_for(Session, without={"tenant"})
class SessionOut(Out):
    """One session; its id is not its token."""

    model_config = ConfigDict(json_schema_extra=shown(SESSION))

    id: str
    user_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class SessionList(Out):
    """Open sessions, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"sessions": [SESSION]}))

    sessions: list[SessionOut]


@login_router.post("/api/accounts/login", response_model=LoginOut, summary="Log in")
async def log_in(
    body: LoginBody, sessions: SessionsDep, users: UsersDep, settings: SettingsDep, request: Request, response: Response
) -> LoginOut:
    """Open a session with e-mail address and password. After several failures, the next attempt has to wait.

    Browsers use the cookie. Programs send `token` as `Authorization: Bearer …`, or better use an API key.
    """
    address = request.client.host if request.client else ""
    session, token = await sessions.login(body.email, body.password.get_secret_value(), address=address)
    user = await users.get(session.tenant, session.user_id)
    site = context_of(request).server.authenticator.site
    response.set_cookie(
        site.cookie,
        token,
        max_age=int(settings.accounts.session_max_s),
        path="/",
        secure=site.secure,
        httponly=True,
        samesite="lax",
    )
    return LoginOut(token=token, expires_at=session.expires_at, user=UserOut.model_validate(user))


@router.post("/api/accounts/logout", status_code=status.HTTP_204_NO_CONTENT, summary="Log out", responses=problems(400))
async def log_out(principal: Admitted, sessions: SessionsDep, request: Request, response: Response) -> None:
    """End the session of this request and delete its cookie."""
    if principal.user_id is None:
        raise InvalidInput("Only sessions log out. Revoke a key with DELETE /api/accounts/keys/{key_id}.")
    await sessions.end(principal.id, principal.tenant, principal.credential)
    site = context_of(request).server.authenticator.site
    response.delete_cookie(site.cookie, path="/", secure=site.secure, httponly=True, samesite="lax")


@router.get("/api/accounts/me", response_model=MeOut, summary="Who am I?")
async def show_me(principal: Admitted, users: UsersDep) -> MeOut:
    """The caller as the server sees it: tenant, plan, permissions, and the user of a session."""
    user_id = principal.user_id
    user = await users.get(principal.tenant, user_id) if user_id else None
    return MeOut(
        id=principal.id,
        kind=principal.kind,
        tenant=principal.tenant,
        plan=principal.plan,
        permissions=sorted(principal.permissions),
        collections=None if principal.collections is None else sorted(principal.collections),
        user=UserOut.model_validate(user) if user else None,
    )


@router.post(
    "/api/accounts/me/password",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Change my password",
    responses=problems(400, 429),
)
async def change_my_password(body: PasswordBody, principal: Admitted, limits: RateLimitsDep, users: UsersDep) -> None:
    """Set your own password. All your sessions end, also this one: log in again."""
    user_id = principal.user_id
    if user_id is None:
        raise InvalidInput("A key has no password. Rotate it with POST /api/accounts/keys/{key_id}/rotate.")
    await limits.windows.attempt(f"password:{user_id}", limit=PASSWORDS_PER_MINUTE, window_s=60)
    user = await users.get(principal.tenant, user_id)
    await users.authenticate(user.email, body.current.get_secret_value())
    change = UserChange(password=body.new.get_secret_value())
    await users.change(principal, principal.tenant, user_id, change)


@router.get("/api/accounts/sessions", response_model=SessionList, summary="List sessions", responses=problems(404))
async def list_sessions(principal: Admitted, tenant: ActingTenant, sessions: SessionsDep) -> SessionList:
    """The open sessions: all of the tenant with the permission `manage`, else your own."""
    found = await _visible(sessions, principal, tenant)
    return SessionList(sessions=[SessionOut.model_validate(each) for each in found])


@router.delete(
    "/api/accounts/sessions/{session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="End a session",
    responses=problems(404),
)
async def end_session(session_id: PathId, principal: Admitted, tenant: ActingTenant, sessions: SessionsDep) -> None:
    """End a session within a second; its open streams end too."""
    if session_id not in {each.id for each in await _visible(sessions, principal, tenant)}:
        raise NotFound(f"There is no session {session_id}. List them with GET /api/accounts/sessions.")
    await sessions.end(principal.id, tenant, session_id)


async def _visible(sessions: Sessions, principal: Principal, tenant: str) -> list[Session]:
    if principal.may(Permission.MANAGE):
        return await sessions.all(tenant)
    user_id = principal.user_id
    return await sessions.all(tenant, user_id) if user_id else []


ROUTERS: tuple[APIRouter, ...] = (login_router, router)
