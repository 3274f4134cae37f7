"""Routes of the users of a tenant."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, status
from pydantic import ConfigDict, Field, SecretStr

from ragstone.api.bodies import USER_ID, NextPage, Out, Request, request_for, response_for, shown
from ragstone.http.capabilities import UsersDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, PathId, admitted_router
from ragstone.identity.users import MAX_PASSWORD_CHARS, NewUser, User, UserChange
from ragstone.principals import Permission

MAX_PAGE = 500

router = admitted_router(tag="accounts", needs=Permission.MANAGE)

Password = Annotated[SecretStr, Field(max_length=MAX_PASSWORD_CHARS)]

USER: dict[str, Any] = {
    "id": USER_ID,
    "tenant": "acme",
    "email": "ada@acme.example",
    "name": "Ada",
    "role": "owner",
    "state": "active",
    "created_at": "2026-11-21T10:00:00Z",
}


@request_for(NewUser)
class UserBody(Request):
    """A new user."""

    model_config = ConfigDict(
        json_schema_extra=shown({"email": "bob@acme.example", "password": "a long sentence", "role": "editor"})
    )

    password: Password = Field(description="12 to 1,024 characters; tell the user to change it.")


@request_for(UserChange)
class UserChangeBody(Request):
    """Changes of a user; a field that is left out stays. A new role, state or password ends the user's sessions."""

    model_config = ConfigDict(json_schema_extra=shown({"role": "viewer"}))

    password: Password | None = None


@response_for(User)
class UserOut(Out):
    """A user of a tenant."""

    model_config = ConfigDict(json_schema_extra=shown(USER))


class UserList(Out):
    """Users, ordered by e-mail address."""

    model_config = ConfigDict(json_schema_extra=shown({"users": [USER], "next": None}))

    users: list[UserOut]
    next: NextPage


@router.get("/api/accounts/users", response_model=UserList, summary="List users", responses=problems(404))
async def list_users(
    tenant: ActingTenant,
    users: UsersDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Users on this page, at most.")] = 100,
    after: Annotated[str, Query(max_length=254, description="`next` of the page before.")] = "",
) -> UserList:
    """The users of the tenant, ordered by e-mail address."""
    found = await users.all(tenant, limit=limit + 1, after=after)
    page = [UserOut.model_validate(user) for user in found[:limit]]
    return UserList(users=page, next=found[limit - 1].email if len(found) > limit else None)


@router.post(
    "/api/accounts/users",
    status_code=status.HTTP_201_CREATED,
    response_model=UserOut,
    summary="Add a user",
    responses=problems(400, 404, 409),
)
async def add_user(body: UserBody, principal: Admitted, tenant: ActingTenant, users: UsersDep) -> User:
    """Create a user of the tenant. The role may have no permission that you have not."""
    return await users.create(principal, tenant, NewUser(**body.values()))


@router.get("/api/accounts/users/{user_id}", response_model=UserOut, summary="Show a user", responses=problems(404))
async def show_user(user_id: PathId, tenant: ActingTenant, users: UsersDep) -> User:
    """One user of the tenant."""
    return await users.get(tenant, user_id)


@router.patch(
    "/api/accounts/users/{user_id}", response_model=UserOut, summary="Change a user", responses=problems(400, 404, 409)
)
async def change_user(
    user_id: PathId, body: UserChangeBody, principal: Admitted, tenant: ActingTenant, users: UsersDep
) -> User:
    """Change name, role, state or password. Your own role and state cannot be changed; the last owner stays one."""
    return await users.change(principal, tenant, user_id, UserChange(**body.values()))


@router.delete(
    "/api/accounts/users/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a user",
    responses=problems(404, 409),
)
async def remove_user(user_id: PathId, principal: Admitted, tenant: ActingTenant, users: UsersDep) -> None:
    """Remove a user with all sessions. The last owner stays."""
    await users.remove(principal, tenant, user_id)


ROUTERS: tuple[APIRouter, ...] = (router,)
