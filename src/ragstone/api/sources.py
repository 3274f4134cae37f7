"""Route of cited sources: the page that a signed link shows. The link needs no login."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from ragstone.billing.rate_limits import RateLimits
from ragstone.errors import NotFound, RateLimited
from ragstone.http.capabilities import LibraryDep, RateLimitsDep, SourceLinksDep, TenantsDep
from ragstone.http.context import context_of
from ragstone.http.error_handlers import problems
from ragstone.http.rate_limit_headers import whole_seconds
from ragstone.http.routing import open_router
from ragstone.identity.source_links import SourceLinks, SourceRef
from ragstone.identity.tenants import Tenants, TenantState
from ragstone.storage.library import Library

NEIGHBOURHOOD_CHARS = 1500  # about a screen before the passage, and one after it
MAX_PASSAGE_CHARS = 20_000  # far above any chunk
WORD_CHARS = 80  # how far a cut may move to lie between two words
MAX_TITLE_CHARS = 300
_WRAPPED = re.compile(r"^([^\s#|>`][^\n]{59,})\n(?=[^\s#|>*+`-])(?!\d+[.)]\s)", re.MULTILINE)
"""A long line of a paragraph that an editor has broken; the page breaks lines itself."""
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`before + passage + after` is a span of a text; `begins` and `ends`: it starts or ends with the text."""

    before: str
    passage: str
    after: str
    begins: bool
    ends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePage:
    """The content of a page. With `changed`, the excerpt is from a later version than the cited one."""

    title: str
    source: str
    headings: tuple[str, ...]
    page: int | None
    excerpt: Excerpt
    until: datetime
    changed: bool = False


def excerpt(text: str, start: int, end: int) -> Excerpt:
    """The span with its surroundings, cut between words; a span outside the text is moved into it."""
    start = min(start, len(text))
    end = min(max(start, end), len(text), start + MAX_PASSAGE_CHARS)
    first = _later_word(text, max(start - NEIGHBOURHOOD_CHARS, 0), start)
    last = _earlier_word(text, min(end + NEIGHBOURHOOD_CHARS, len(text)), end)
    return Excerpt(text[first:start], text[start:end], text[end:last], first == 0, last == len(text))


def source_html(page: SourcePage) -> str:
    """The page of a source."""
    title = escape(_title(page.title))
    notice = _CHANGED if page.changed else ""
    skip = "" if page.changed else '<a class="skip" href="#passage">Skip to the cited passage</a>\n'
    body = (
        f'{skip}<header>\n<p class="kind">Cited source</p>\n'
        f'<h1 lang="" dir="auto">{title}</h1>\n{_path(page.headings)}{_place(page)}</header>\n'
        f'<main>\n{notice}<div class="text" lang="" dir="auto">{_marked(page)}</div>\n</main>\n'
        f"<footer><p>This link shows only this passage, and expires on {page.until:%d %B %Y} (UTC).</p></footer>\n"
    )
    return _document(title, body)


def missing_html(heading: str, sentence: str) -> str:
    """The page of a source that cannot be shown."""
    body = f"<main>\n<h1>{escape(heading)}</h1>\n<p>{escape(sentence)}</p>\n</main>\n"
    return _document(escape(heading), body)


def _later_word(text: str, cut: int, most: int) -> int:
    """The first place after white space from `cut` on, not far away; `cut` itself at the text's beginning."""
    if cut == 0:
        return 0
    found = re.compile(r"\s+").search(text, cut, min(cut + WORD_CHARS, most))
    return found.end() if found else cut


def _earlier_word(text: str, cut: int, least: int) -> int:
    """The last place before white space up to `cut`, not far away; `cut` itself at the text's end."""
    if cut == len(text):
        return cut
    window = max(cut - WORD_CHARS, least)
    blanks = [found.start() for found in re.finditer(r"\s+", text[window:cut])]
    return window + blanks[-1] if blanks else cut


def _title(title: str) -> str:
    line = " ".join(title.split()) or "Untitled"
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1] + "…"


def _path(headings: tuple[str, ...]) -> str:
    if not headings:
        return ""
    items = "".join(f'<li lang="" dir="auto">{escape(_title(heading))}</li>' for heading in headings)
    return f'<nav aria-label="Place in the document"><ol>{items}</ol></nav>\n'


def _place(page: SourcePage) -> str:
    parts = [f"Page {page.page}"] if page.page is not None else []
    if _is_public(page.source):
        address = escape(page.source)
        parts.append(f'<a href="{address}" rel="noopener noreferrer nofollow">Original</a>')
    return f'<p class="place">{" · ".join(parts)}</p>\n' if parts else ""


def _is_public(source: str) -> bool:
    """Whether the source is a web page, and not a file."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None


def _marked(page: SourcePage) -> str:
    found = page.excerpt
    before = ("" if found.begins else "… ") + _text(found.before)
    after = _text(found.after) + ("" if found.ends else " …")
    passage = _text(found.passage)
    if page.changed:
        return f"{before}{passage}{after}"
    # With `autofocus` a browser begins at the passage, which may lie a screen below the page's top.
    return f'{before}<mark id="passage" tabindex="-1" autofocus>{passage}</mark>{after}'


def _text(text: str) -> str:
    """The text for reading: bold headings, lines that an editor has broken joined again."""
    return _HEADING.sub(r"<b>\1</b>", escape(_WRAPPED.sub(r"\1 ", text)))


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex, nofollow">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title} – cited source</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


_CHANGED = (
    '<p class="notice" role="note"><strong>The document has changed since it was cited.</strong> '
    "This is the text at the same position now; it may differ.</p>\n"
)
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #57606a; --page: #fbfaf8; --line: #d8d4cc;
  --mark: #fff0b3; --edge: #c78a00; --link: #0b57a4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e8; --soft: #a3abb3; --page: #16191d; --line: #373d44; --mark: #4a3c10; --edge: #e0b341;
    --link: #8ec2ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 44rem; background: var(--page); color: var(--ink);
  font: 1.0625rem/1.65 Charter, "Bitstream Charter", "Source Serif 4", Georgia, serif; }
header { border-bottom: 1px solid var(--line); margin-bottom: 1.75rem; padding-bottom: 1rem; }
.kind, nav, .place, .notice, footer { font-family: system-ui, "Segoe UI", Roboto, sans-serif; font-size: 0.875rem;
  color: var(--soft); margin: 0; }
.kind { letter-spacing: 0.04em; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.25rem 0 0.5rem; overflow-wrap: anywhere; }
nav ol { list-style: none; margin: 0; padding: 0; }
nav li { display: inline; overflow-wrap: anywhere; }
nav li + li::before { content: " › "; }
a { color: var(--link); }
.text { white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
mark { background: var(--mark); color: inherit; padding: 0.1em 0.15em; margin: 0 -0.15em; scroll-margin: 30vh;
  box-shadow: 0 2px 0 var(--edge); -webkit-box-decoration-break: clone; box-decoration-break: clone; }
mark::before, mark::after { content: " [cited passage begins] "; position: absolute; width: 1px; height: 1px;
  overflow: hidden; clip-path: inset(100%); white-space: nowrap; }
mark::after { content: " [cited passage ends] "; }
.notice { color: var(--ink); border: 1px solid var(--line); border-inline-start: 4px solid var(--edge);
  padding: 0.75rem 1rem; margin-bottom: 1.5rem; border-radius: 4px; }
footer { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1rem; }
.skip { position: absolute; inset-inline-start: 1rem; top: -4rem; background: var(--page); padding: 0.5rem 0.75rem;
  border: 2px solid currentcolor; border-radius: 4px; font: 0.875rem system-ui, sans-serif; }
.skip:focus { top: 0.5rem; }
mark:focus { outline: none; }
:focus-visible { outline: 3px solid var(--edge); outline-offset: 2px; }
@media print { .skip, footer { display: none; } body { max-width: none; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
PAGE_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cache-control": "private, no-cache",  # a removed document is not shown from a cache
    "x-robots-tag": "noindex, nofollow",
    "vary": "accept",
}


PAGES_PER_MINUTE = 600  # of one tenant: far above the need of its readers, far below a flood
_GONE = "The cited document was removed. Ask the question again for the present sources."

router = open_router(tag="sources")


@dataclass(frozen=True, slots=True)
class SourcePages:
    """Finds the page of a signed link."""

    links: SourceLinks
    limits: RateLimits
    tenants: Tenants
    library: Library

    async def page(self, token: str) -> SourcePage:
        """The page of a link's token.

        Raises:
            NotFound: the token is not valid or has expired, or the document was removed.
            RateLimited: the pages of this tenant are requested too often.
        """
        ref = self.links.verify(token)
        key = f"sources:{ref.scope.tenant}"
        await self.limits.windows.attempt(key, limit=PAGES_PER_MINUTE, window_s=60)
        try:
            tenant = await self.tenants.get(ref.scope.tenant)
            if tenant.state is TenantState.ACTIVE:
                return await self._found(ref)
        except NotFound as error:
            raise NotFound(_GONE) from error
        raise NotFound(_GONE)

    async def _found(self, ref: SourceRef) -> SourcePage:
        """The passage in the cited version; else the text at the same position of the present version."""
        document = await self.library.document(ref.scope, ref.document_id)
        changed = document.active_version != ref.version
        text = await self.library.text(ref.scope, ref.document_id, version=None if changed else ref.version)
        headings, page = ((), None) if changed else await self._place_in_text(ref)
        return SourcePage(
            title=document.title,
            source=document.source,
            headings=headings,
            page=page,
            excerpt=excerpt(text, ref.start, ref.end),
            until=ref.until,
            changed=changed,
        )

    async def _place_in_text(self, ref: SourceRef) -> tuple[tuple[str, ...], int | None]:
        """The headings above the passage, and its page."""
        for chunk in await self.library.chunks(ref.scope, ref.document_id):
            if chunk.start <= ref.start < chunk.end:
                return chunk.heading_path_at(ref.start), chunk.page_at(ref.start)
        return (), None


async def _source_pages(
    links: SourceLinksDep, limits: RateLimitsDep, tenants: TenantsDep, library: LibraryDep
) -> SourcePages:
    return SourcePages(links, limits, tenants, library)


CitedPages = Annotated[SourcePages, Depends(_source_pages)]


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
async def show_source(token: str, request: Request, pages: CitedPages) -> HTMLResponse:
    """The passage that an answer cites. Links are signed and expire after some days.

    Errors are pages for browsers, and problems for clients that accept JSON.
    """
    try:
        page = await pages.page(token)
    except (NotFound, RateLimited) as error:
        if prefers_json(request.headers.get("accept", "")):
            raise
        context_of(request).headers.update(PAGE_HEADERS)
        return _refused(error)
    context_of(request).headers.update(PAGE_HEADERS)
    return HTMLResponse(source_html(page))


def prefers_json(accept: str) -> bool:
    """Whether an Accept header ranks JSON above HTML; without either it is HTML."""
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


ROUTERS: tuple[APIRouter, ...] = (router,)
