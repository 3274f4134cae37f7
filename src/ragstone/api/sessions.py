"""Coming in and going out: login, logout, who am I, and the sessions that run."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, status

from ragstone.api.account_models import LoginBody, LoginOut, MeOut, PasswordBody, SessionList, SessionOut, UserOut
from ragstone.errors import InvalidInput, NotFound
from ragstone.http.capabilities import RateLimitsDep, SessionsDep, SettingsDep, UsersDep
from ragstone.http.context import context_of
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, PathId, admitted_router, open_router
from ragstone.identity.sessions import Session, Sessions
from ragstone.identity.users import UserChange
from ragstone.principals import Permission, Principal

PASSWORDS_PER_MINUTE = 5  # guesses at the present password by whoever holds a session

login_router = open_router(tag="accounts")
router = admitted_router(tag="accounts", needs=Permission.READ)


@login_router.post("/api/accounts/login", response_model=LoginOut, summary="Log in")
async def log_in(
    body: LoginBody, sessions: SessionsDep, users: UsersDep, settings: SettingsDep, request: Request, response: Response
) -> LoginOut:
    """Open a session with e-mail address and password; several failures in a row have to wait.

    The cookie is for browsers. Programs send `token` as `Authorization: Bearer …`, or better use an API key.
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
    """End the session of this request, everywhere, and have the browser forget its cookie."""
    if principal.user_id is None:
        raise InvalidInput("Only sessions log out. Revoke a key with DELETE /api/accounts/keys/{key_id}.")
    await sessions.end(principal.id, principal.tenant, principal.credential)
    site = context_of(request).server.authenticator.site
    response.delete_cookie(site.cookie, path="/", secure=site.secure, httponly=True, samesite="lax")


@router.get("/api/accounts/me", response_model=MeOut, summary="Who am I?")
async def show_me(principal: Admitted, users: UsersDep) -> MeOut:
    """Who asks, as the server sees it: tenant, plan, permissions, and the person behind a session."""
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
    """Set a new password of one's own. All sessions end, also this one: log in anew."""
    user_id = principal.user_id
    if user_id is None:
        raise InvalidInput("A key has no password. Rotate it with POST /api/accounts/keys/{key_id}/rotate.")
    await limits.windows.attempt(f"password:{user_id}", limit=PASSWORDS_PER_MINUTE, window_s=60)
    user = await users.get(principal.tenant, user_id)
    await users.authenticate(user.email, body.current.get_secret_value())
    change = UserChange(password=body.new.get_secret_value())
    await users.change(principal.id, principal.tenant, user_id, change)


@router.get("/api/accounts/sessions", response_model=SessionList, summary="List sessions", responses=problems(404))
async def list_sessions(principal: Admitted, tenant: ActingTenant, sessions: SessionsDep) -> SessionList:
    """The sessions that run: all of the tenant for those who manage it, one's own for others."""
    found = await _visible(sessions, principal, tenant)
    return SessionList(sessions=[SessionOut.model_validate(each) for each in found])


@router.delete(
    "/api/accounts/sessions/{session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="End a session",
    responses=problems(404),
)
async def end_session(session_id: PathId, principal: Admitted, tenant: ActingTenant, sessions: SessionsDep) -> None:
    """End a session, effective within a second, also on streams that run."""
    if session_id not in {each.id for each in await _visible(sessions, principal, tenant)}:
        raise NotFound(f"There is no session {session_id}. List them with GET /api/accounts/sessions.")
    await sessions.end(principal.id, tenant, session_id)


async def _visible(sessions: Sessions, principal: Principal, tenant: str) -> list[Session]:
    if principal.may(Permission.MANAGE):
        return await sessions.all(tenant)
    user_id = principal.user_id
    return await sessions.all(tenant, user_id) if user_id else []


ROUTERS: tuple[APIRouter, ...] = (login_router, router)
