"""A link to a source shows its passage in place, to each reader who has it, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest
import structlog

from ragstone.api.sources import (
    MAX_PASSAGE_CHARS,
    NEIGHBOURHOOD_CHARS,
    PAGE_HEADERS,
    PAGES_PER_MINUTE,
    excerpt,
    prefers_json,
)
from ragstone.identity.source_links import SourceLinks
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.ingestion.submit import Upload
from ragstone.ingestion.tenant_deletion import request_deletion
from ragstone.vocabulary import Scope
from tests.api.people import Installation
from tests.api.sites import tenants
from tests.clocks import Clock

PUBLIC = "https://rag.example.com"
SCOPE = Scope("acme", "books")
QUOTE = "Employees have 28 days of paid leave per year."
BEFORE, AFTER = ("word " * 800, "tail " * 800)
HANDBOOK = f"# Handbook\n\n{BEFORE}\n\n## Leave\n\n{QUOTE} {AFTER}\n"
XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</mark></div></main><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "<svg/onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "# <b onclick=alert(1)>heading</b>",
    "<!--><script>alert(1)</script-->",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u2028<iframe srcdoc='<script>alert(1)</script>'>",
]

ALLOWED_ATTRIBUTES = {
    *("autofocus", "charset", "class", "content", "dir", "href", "id", "lang", "name", "rel", "role", "tabindex"),
    "aria-label",
}


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Installation]:
    async with tenants(tmp_path, server={"public_url": PUBLIC}) as opened:
        yield opened


async def ingest(
    made: Installation, text: str = HANDBOOK, *, scope: Scope = SCOPE, title: str = "Handbook", source: str = ""
) -> str:
    """The id of a document of this text; the same source again is its next version."""
    platform = made.platform
    upload = Upload(source or f"upload:{scope.tenant}.md", title, text.encode(), "text/markdown", {})
    job = await platform.corpus.ingestion.submit(scope, [upload])
    await platform.corpus.ingestion.work(until_job=(scope, job.id))
    (document,) = await platform.storage.library.documents(scope)
    return document.id


async def link(made: Installation, document: str, quote: str = QUOTE, *, scope: Scope = SCOPE, version: int = 1) -> str:
    text = await made.platform.storage.library.text(scope, document)
    start = text.index(quote)
    made_link = made.platform.tenancy.source_links.link(
        scope.tenant, scope.collection, document, version, start, start + len(quote)
    )
    assert made_link
    return made_link.removeprefix(PUBLIC)


async def get(made: Installation, path: str, **headers: str) -> httpx2.Response:
    async with made.calling(**headers) as reader:
        return await reader.get(path)


class Page(HTMLParser):
    """The elements of a page, and the text of those that are asked for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag] = self.texts.get(tag, "") + data

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


async def test_a_reader_without_any_key_sees_the_passage_marked_in_its_place(made: Installation):
    path = await link(made, await ingest(made))
    response = await get(made, path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(response.text)
    assert page.texts["mark"] == QUOTE
    assert page.texts["h1"] == "Handbook"
    assert page.texts["li"] == "HandbookLeave"
    text = page.texts["div"]
    assert "… word word" in text
    assert text.rstrip().endswith("tail …")
    assert len(text) < len(QUOTE) + 2 * NEIGHBOURHOOD_CHARS + 20


async def test_a_page_can_be_found_one_s_way_in_without_seeing_it(made: Installation):
    page = Page((await get(made, await link(made, await ingest(made)))).text)
    assert {"header", "main", "footer", "nav", "h1", "mark"} <= page.tags()
    attributes = dict(page.elements)
    assert attributes["html"] == {"lang": "en"}
    assert attributes["mark"] == {"id": "passage", "tabindex": "-1", "autofocus": None}
    assert attributes["a"] == {"class": "skip", "href": "#passage"}
    assert attributes["nav"]["aria-label"]
    assert (attributes["div"]["lang"], attributes["div"]["dir"]) == ("", "auto")


async def test_the_headers_let_nothing_run_and_forbid_to_index_or_keep_it(made: Installation):
    headers = (await get(made, await link(made, await ingest(made)))).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "private, no-cache"
    assert headers["x-robots-tag"] == "noindex, nofollow"
    assert headers["x-content-type-options"] == "nosniff"


async def test_nothing_of_a_document_becomes_part_of_the_page(made: Installation):
    plain = Page((await get(made, await link(made, await ingest(made)))).text)
    for number, payload in enumerate(XSS):
        scope = Scope("rival", f"books-{number}")
        text = f"# {payload}\n\n{payload}\n\n{QUOTE} {payload}\n\n{payload}\n"
        hostile = await ingest(made, text, scope=scope, title=payload, source=f"https://example.com/{payload}")
        kept = await made.platform.storage.library.text(scope, hostile)
        response = await get(made, await link(made, hostile, kept[kept.index(QUOTE) :], scope=scope))
        assert response.status_code == 200
        page = Page(response.text)
        assert page.tags() <= plain.tags() | {"a"}, payload
        for tag, attributes in page.elements:
            assert attributes.keys() <= ALLOWED_ATTRIBUTES, (payload, tag, attributes)
            assert "javascript:" not in str(attributes.get("href", "")).partition("://")[0]
        assert QUOTE in page.texts["mark"]


async def test_only_a_page_of_the_web_is_linked_to_as_the_original(made: Installation):
    cases = {
        "https://example.com/a?b=1&c=<2>": True,
        "javascript:alert(1)": False,
        "file:///srv/secret/plan.md": False,
        "upload:plan.md": False,
        "https://user:password@example.com/": False,
        "https://[": False,
    }
    for number, (source, shown) in enumerate(cases.items()):
        scope = Scope("acme", f"books-{number}")
        html = (await get(made, await link(made, await ingest(made, scope=scope, source=source), scope=scope))).text
        links = [attributes for tag, attributes in Page(html).elements if tag == "a"][1:]
        assert links == ([{"href": source, "rel": "noopener noreferrer nofollow"}] if shown else [])
        assert shown or source not in html


async def test_a_document_that_changed_is_shown_as_it_is_now_and_says_so(made: Installation):
    document = await ingest(made)
    path = await link(made, document)
    await ingest(made, HANDBOOK.replace("28", "30"))
    response = await get(made, path)
    assert response.status_code == 200
    page = Page(response.text)
    assert "has changed since" in page.texts["p"]
    assert "30 days" in page.texts["div"]
    assert not {"mark", "nav"} & page.tags()


async def test_a_text_that_became_shorter_is_shown_to_its_end(made: Installation):
    path = await link(made, await ingest(made))
    await ingest(made, "# Handbook\n\nGone.\n")
    assert "Gone." in (await get(made, path)).text


@pytest.mark.parametrize("how", ["document", "tenant suspended", "tenant deleting", "tenant erased"])
async def test_what_was_removed_is_not_shown_and_the_page_says_so(made: Installation, how: str):
    document = await ingest(made)
    path = await link(made, document)
    platform = made.platform
    match how:
        case "document":
            await platform.corpus.ingestion.remove(SCOPE, document)
        case "tenant suspended":
            await platform.identity.tenants.change("test", "acme", TenantChange(state=TenantState.SUSPENDED))
        case _:
            await request_deletion(platform.storage.database, platform.identity.audit, "test", "acme")
            if how == "tenant erased":
                while await platform.corpus.tenant_deletion.work() == 0:
                    pass
    response = await get(made, path)
    assert response.status_code == 404
    assert "removed" in Page(response.text).texts["main"]
    assert "28 days" not in response.text
    assert response.headers["content-security-policy"] == PAGE_HEADERS["content-security-policy"]


async def test_a_link_that_is_over_says_so(made: Installation):
    document = await ingest(made)
    links = SourceLinks(made.platform.identity.secret, PUBLIC, clock=Clock(1_700_000_000.0))
    old = links.link("acme", "books", document, 1, 0, 5)
    assert old
    response = await get(made, old.removeprefix(PUBLIC))
    assert response.status_code == 404
    assert "expired on" in Page(response.text).texts["main"]


async def test_a_forged_token_shows_a_page_and_not_itself(made: Installation):
    for token in ("x", "%00", "%ff%fe", "A" * 4000, "..%2f..%2fetc", "<script>", "é", "a%2Fb", "%0d%0ax"):
        response = await get(made, f"/sources/{token}")
        assert response.status_code == 404, token
        assert "<script>" not in response.text


async def test_who_asks_for_json_gets_a_problem(made: Installation):
    response = await get(made, "/sources/nothing", accept="application/json, text/html;q=0.5")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("application/json", True),
        ("application/problem+json", True),
        ("application/json;q=0.2, text/html;q=0.8", False),
        ("text/html;q=0.2,application/json", True),
        ("application/json;q=x", False),
        (";;,,=;q", False),
    ],
)
def test_html_is_for_browsers_and_json_for_programs(accept: str, expected: bool):
    assert prefers_json(accept) is expected


async def test_a_link_of_one_tenant_shows_nothing_of_another_that_owns_the_same_words(made: Installation):
    rival = Scope("rival", "books")
    path = await link(made, await ingest(made))
    theirs = await ingest(made, HANDBOOK.replace("28", "99"), scope=rival)
    assert "99 days" not in (await get(made, path)).text
    mixed = made.platform.tenancy.source_links.link("acme", "books", theirs, 1, 0, 5)
    assert mixed
    response = await get(made, mixed.removeprefix(PUBLIC))
    assert response.status_code == 404
    assert "99 days" not in response.text


async def test_no_log_line_holds_a_token(made: Installation):
    path = await link(made, await ingest(made))
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        await get(made, path)
    assert [line["route"] for line in logs if line["event"] == "http.request"] == ["/sources/{token}"]
    assert path.rpartition("/")[2] not in str(logs)


async def test_a_link_that_everybody_shares_does_not_flood_the_server(made: Installation):
    document = await ingest(made)
    path = await link(made, document)
    limits = made.platform.billing.limits
    for _ in range(PAGES_PER_MINUTE):
        await limits.windows.attempt("sources:acme", limit=PAGES_PER_MINUTE, window_s=60)
    refused = await get(made, path)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "28 days" not in refused.text
    rival = Scope("rival", "books")
    others = await link(made, await ingest(made, scope=rival), scope=rival)
    assert (await get(made, others)).status_code == 200


async def test_a_reader_who_follows_a_link_from_another_site_is_let_in(made: Installation):
    path = await link(made, await ingest(made))
    navigation = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "referer": "https://chat.example/"}
    async with made.calling() as reader:
        assert (await reader.get(path, headers=navigation)).status_code == 200


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (0, 10), (5, 3), (4990, 5000), (5000, 5000), (9000, 9999), (0, 2**32 - 1)]
)
def test_an_excerpt_is_a_span_of_the_text_whatever_is_asked_for(start: int, end: int):
    text = "".join(f"{number:04} " for number in range(1000))
    found = excerpt(text, start, end)
    whole = found.before + found.passage + found.after
    assert whole in text
    assert found.begins == text.startswith(whole)
    assert found.ends == text.endswith(whole)
    assert len(found.passage) <= MAX_PASSAGE_CHARS


def test_an_excerpt_is_cut_between_words_where_there_are_any():
    text = "abcd " * 2000
    found = excerpt(text, 5000, 5004)
    assert re.fullmatch(r"(abcd )+", found.before)
    assert re.fullmatch(r"( abcd)+", found.after)
    assert len(excerpt("x" * 9000, 5000, 5004).before) == NEIGHBOURHOOD_CHARS
