"""Cited sources: what a signed link shows, to whoever has the link."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ragstone.accounts.source_links import SourceRef
from ragstone.accounts.tenants import TenantState
from ragstone.api.source_page import PAGE_HEADERS, SourcePage, excerpt, missing_html, source_html
from ragstone.errors import NotFound, RateLimited
from ragstone.http.auth import open_router
from ragstone.http.dependencies import OpenPlatform
from ragstone.http.errors import problems
from ragstone.http.rates import whole_seconds
from ragstone.wiring import Platform

PAGES_PER_MINUTE = 600  # of one tenant: far above what its readers look at, far below a flood
_GONE = "What was cited here has been removed, and is not kept. Ask the question again for what is there now."

router = open_router(tag="sources")


@router.get(
    "/sources/{token}",
    response_class=HTMLResponse,
    summary="Show a cited source",
    responses={
        200: {
            "description": "A page with the passage, marked within the text around it.",
            "content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>\n<html lang=…"}},
        },
        **problems(404),
    },
)
async def show_source(token: str, request: Request, platform: OpenPlatform) -> HTMLResponse:
    """The passage that an answer cites, to whoever has the link. Links are signed, and good for some days.

    A browser gets pages for errors too; who asks for JSON gets a problem.
    """
    try:
        page = await _page(platform, token)
    except (NotFound, RateLimited) as error:
        if prefers_json(request.headers.get("accept", "")):
            raise
        request.state.headers = PAGE_HEADERS
        return _refused(error)
    request.state.headers = PAGE_HEADERS
    return HTMLResponse(source_html(page))


def prefers_json(accept: str) -> bool:
    """Whether an Accept header ranks JSON above HTML; what names neither takes HTML."""
    ranks = {"application/json": 0.0, "application/problem+json": 0.0, "text/html": 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind in ranks:
            ranks[kind] = max(ranks[kind], _quality(parameters))
    html = ranks.pop("text/html")
    return max(ranks.values()) > html


def _quality(parameters: list[str]) -> float:
    given = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0


def _refused(error: NotFound | RateLimited) -> HTMLResponse:
    if isinstance(error, RateLimited):
        html = missing_html("Too many at once", error.message)
        return HTMLResponse(html, error.status, headers={"retry-after": whole_seconds(max(error.retry_after_s, 1))})
    return HTMLResponse(missing_html("Nothing to show", error.message), error.status)


async def _page(platform: Platform, token: str) -> SourcePage:
    """What the token shows.

    Raises:
        NotFound: it shows nothing, no longer, or nothing that is still there.
        RateLimited: the tenant's pages are looked at too often.
    """
    ref = platform.accounts.source_links.opened(token)
    await platform.accounts.limits.attempt(f"sources:{ref.scope.tenant}", limit=PAGES_PER_MINUTE, window_s=60)
    try:
        tenant = await platform.accounts.tenants.get(ref.scope.tenant)
        if tenant.state is TenantState.ACTIVE:
            return await _found(platform, ref)
    except NotFound as error:
        raise NotFound(_GONE) from error
    raise NotFound(_GONE)


async def _found(platform: Platform, ref: SourceRef) -> SourcePage:
    """The passage in the version that was cited; else what stands at its place in the present one."""
    document = await platform.library.document(ref.scope, ref.document_id)
    changed = document.active_version != ref.version
    text = await platform.library.text(ref.scope, ref.document_id, version=None if changed else ref.version)
    headings, page = ((), None) if changed else await _place(platform, ref)
    return SourcePage(
        title=document.title,
        source=document.source,
        headings=headings,
        page=page,
        excerpt=excerpt(text, ref.start, ref.end),
        until=ref.until,
        changed=changed,
    )


async def _place(platform: Platform, ref: SourceRef) -> tuple[tuple[str, ...], int | None]:
    """The headings above the passage, and its page."""
    for chunk in await platform.library.chunks(ref.scope, ref.document_id):
        if chunk.start <= ref.start < chunk.end:
            return chunk.heading_path_at(ref.start), chunk.page_at(ref.start)
    return (), None


ROUTERS: tuple[APIRouter, ...] = (router,)
