"""The people of a tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, status

from ragstone.api.account_models import UserBody, UserChangeBody, UserList, UserOut
from ragstone.errors import Forbidden
from ragstone.http.capabilities import UsersDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, PathId, admitted_router
from ragstone.identity.users import User, UserChange
from ragstone.principals import Permission, check_role

MAX_PAGE = 500

router = admitted_router(tag="accounts", needs=Permission.MANAGE)


@router.get("/api/accounts/users", response_model=UserList, summary="List users", responses=problems(404))
async def list_users(
    tenant: ActingTenant,
    users: UsersDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Users on this page, at most.")] = 100,
    after: Annotated[str, Query(max_length=254, description="`next` of the page before.")] = "",
) -> UserList:
    """The people of the tenant, ordered by e-mail address."""
    found = await users.all(tenant, limit=limit + 1, after=after)
    page = [UserOut.model_validate(user) for user in found[:limit]]
    return UserList(users=page, next=page[-1].email if len(found) > limit else None)


@router.post(
    "/api/accounts/users",
    status_code=status.HTTP_201_CREATED,
    response_model=UserOut,
    summary="Add a user",
    responses=problems(400, 404, 409),
)
async def add_user(body: UserBody, principal: Admitted, tenant: ActingTenant, users: UsersDep) -> User:
    """Make a person of the tenant, with a role that may do no more than whoever makes them."""
    check_role(principal, body.role)
    return await users.create(
        principal.id,
        tenant,
        email=body.email,
        password=body.password.get_secret_value(),
        role=body.role,
        name=body.name,
    )


@router.get("/api/accounts/users/{user_id}", response_model=UserOut, summary="Show a user", responses=problems(404))
async def show_user(user_id: PathId, tenant: ActingTenant, users: UsersDep) -> User:
    """One person of the tenant."""
    return await users.get(tenant, user_id)


@router.patch(
    "/api/accounts/users/{user_id}", response_model=UserOut, summary="Change a user", responses=problems(400, 404, 409)
)
async def change_user(
    user_id: PathId, body: UserChangeBody, principal: Admitted, tenant: ActingTenant, users: UsersDep
) -> User:
    """Change name, role, state or password. Nobody changes their own role or state; the last owner stays one."""
    user = await users.get(tenant, user_id)
    check_role(principal, user.role)
    if body.role is not None:
        check_role(principal, body.role)
    if user_id == principal.user_id and (body.role or body.state):
        raise Forbidden("Nobody changes their own role or state. Ask another owner.")
    password = body.password.get_secret_value() if body.password else None
    change = UserChange(name=body.name, role=body.role, state=body.state, password=password)
    return await users.change(principal.id, tenant, user_id, change)


@router.delete(
    "/api/accounts/users/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a user",
    responses=problems(404, 409),
)
async def remove_user(user_id: PathId, principal: Admitted, tenant: ActingTenant, users: UsersDep) -> None:
    """Remove a person with all their sessions. The last owner stays."""
    check_role(principal, (await users.get(tenant, user_id)).role)
    await users.remove(principal.id, tenant, user_id)


ROUTERS: tuple[APIRouter, ...] = (router,)
