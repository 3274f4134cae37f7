"""Routes of widgets: the appearance of the chat on web sites, and its collection."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, status
from pydantic import AliasPath, ConfigDict, Field, StringConstraints

from ragstone.api.bodies import Collection, NextPage, Out, Request, shown
from ragstone.http.capabilities import WidgetsDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, PathId, admitted_router
from ragstone.identity.fields import PlainText
from ragstone.principals import Permission
from ragstone.tenants.widgets import Widget
from ragstone.vocabulary import DEFAULT_COLLECTION

MAX_PAGE = 200
MAX_SUGGESTIONS = 8  # more do not fit above the keyboard of a phone
WIDGET_ID = "b6f0d2a94c1e47d8935ab7e20f6c8d11"

router = admitted_router(tag="widgets", needs=Permission.MANAGE)

ShortText = Annotated[PlainText, StringConstraints(max_length=80)]
Suggestion = Annotated[PlainText, StringConstraints(min_length=1, max_length=200)]


class WidgetSettings(Request):
    """Appearance and texts of a widget. They are public."""

    title: ShortText = Field("Ask us", description="Heading of the chat.")
    greeting: PlainText = Field("How can we help?", max_length=500, description="Text shown before any question.")
    placeholder: ShortText = Field("Your question", description="Text of the empty input field.")
    suggested_questions: list[Suggestion] = Field(
        [], max_length=MAX_SUGGESTIONS, description="Questions to begin with."
    )
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")] = Field("#2563eb", description="Accent color.")
    position: Literal["bottom-right", "bottom-left"] = Field("bottom-right", description="Corner of the page.")
    theme: Literal["auto", "light", "dark"] = Field("auto", description="auto: the preference of the browser.")
    language: Annotated[str, StringConstraints(pattern=r"^(auto|[a-z]{2,3}(-[A-Z]{2})?)$")] = Field(
        "auto", description="Language of its texts, such as en or pt-BR; auto: that of the browser."
    )
    show_sources: bool = Field(True, description="Whether answers show their sources.")
    ask_feedback: bool = Field(True, description="Whether visitors can rate answers.")


class WidgetBody(Request):
    """Name, collection and settings of a widget."""

    model_config = ConfigDict(
        json_schema_extra=shown({"name": "Shop", "collection": "default", "settings": {"title": "Ask the shop"}})
    )

    name: Annotated[PlainText, StringConstraints(min_length=1, max_length=100)] = Field(
        description="Internal name; visitors do not see it."
    )
    collection: Collection = DEFAULT_COLLECTION
    settings: WidgetSettings = WidgetSettings()


_WIDGET = {
    "id": WIDGET_ID,
    "name": "Shop",
    "collection": "default",
    "settings": WidgetSettings(title="Ask the shop").model_dump(),
    "created_at": "2026-11-21T10:00:00Z",
    "updated_at": "2026-11-21T10:00:00Z",
}


class WidgetOut(Out):
    """One widget."""

    model_config = ConfigDict(json_schema_extra=shown(_WIDGET))

    id: str
    name: str
    collection: str = Field(validation_alias=AliasPath("scope", "collection"))
    settings: WidgetSettings
    created_at: datetime
    updated_at: datetime


class WidgetPage(Out):
    """Some widgets, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"widgets": [_WIDGET], "next": None}))

    widgets: list[WidgetOut]
    next: NextPage

    @classmethod
    def of(cls, found: list[Widget], *, limit: int) -> Self:
        """The first `limit` of `found`, which has one more if another page follows."""
        page = [WidgetOut.model_validate(each) for each in found[:limit]]
        return cls(widgets=page, next=page[-1].id if len(found) > limit else None)


@router.get("/api/widgets", response_model=WidgetPage, summary="List widgets", responses=problems(404))
async def list_widgets(
    principal: Admitted,
    widgets: WidgetsDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Widgets on this page, at most.")] = 100,
    after: Annotated[PathId | None, Query(description="`next` of the page before.")] = None,
) -> WidgetPage:
    """The widgets of the tenant, newest first."""
    found = await widgets.all(principal.tenant, collections=principal.collections, limit=limit + 1, after=after)
    return WidgetPage.of(found, limit=limit)


@router.post(
    "/api/widgets",
    status_code=status.HTTP_201_CREATED,
    response_model=WidgetOut,
    summary="Make a widget",
    responses=problems(404, 409),
)
async def make_widget(body: WidgetBody, principal: Admitted, widgets: WidgetsDep) -> Widget:
    """Create a widget. Pages show it with a publishable key and the id of the widget."""
    scope = principal.scope(body.collection)
    settings = body.settings.model_dump()
    return await widgets.create(principal.id, scope, name=body.name, settings=settings)


@router.get("/api/widgets/{widget_id}", response_model=WidgetOut, summary="Show a widget", responses=problems(404))
async def show_widget(widget_id: PathId, principal: Admitted, widgets: WidgetsDep) -> Widget:
    """One widget with its settings."""
    return await widgets.get(principal.tenant, widget_id, collections=principal.collections)


@router.put("/api/widgets/{widget_id}", response_model=WidgetOut, summary="Change a widget", responses=problems(404))
async def change_widget(widget_id: PathId, body: WidgetBody, principal: Admitted, widgets: WidgetsDep) -> Widget:
    """Replace name, collection and settings of a widget; a field that is left out gets its default."""
    return await widgets.change(
        principal.id,
        principal.scope(body.collection),
        widget_id,
        name=body.name,
        settings=body.settings.model_dump(),
        collections=principal.collections,
    )


@router.delete(
    "/api/widgets/{widget_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a widget",
    responses=problems(404),
)
async def remove_widget(widget_id: PathId, principal: Admitted, widgets: WidgetsDep) -> None:
    """Remove a widget; pages that show it lose their chat."""
    await widgets.remove(principal.id, principal.tenant, widget_id, collections=principal.collections)


ROUTERS: tuple[APIRouter, ...] = (router,)
