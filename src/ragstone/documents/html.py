"""HTML to Markdown: the article without the page around it."""

from __future__ import annotations

from html_to_markdown import ConversionOptions, convert
from selectolax.lexbor import LexborHTMLParser, LexborNode

from ragstone.documents.boilerplate import content_of, drop_hidden
from ragstone.documents.canonical import Draft
from ragstone.documents.encodings import decode

_OPTIONS = ConversionOptions(
    bullets="-",
    compact_tables=True,
    extract_metadata=False,
    expand_abbreviations=False,
)
_OUTSIDE_LINKS = ("http://", "https://", "mailto:")  # others lead nowhere once the page is text
_ANCHOR_SIGNS = frozenset("#¶§🔗")


def read_html(content: bytes) -> Draft:
    """The content of a page; its title is that of the page, else its first heading."""
    decoded = decode(content)
    page = LexborHTMLParser(decoded.text)
    title = _title(page)
    body = content_of(page)
    markdown = to_markdown(body) if body is not None else ""
    if body is None or not markdown.strip():  # a page of links, or one that fits no rule
        return Draft((fragment_to_markdown(decoded.text),), title=title, warnings=decoded.warnings)
    heading = "" if body.css_first("h1") else _heading_elsewhere(page)
    return Draft((heading, markdown), title=title, warnings=decoded.warnings)


def fragment_to_markdown(html: str) -> str:
    """All that is shown of an HTML fragment as Markdown; nothing is taken for boilerplate."""
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    drop_hidden(body)
    return to_markdown(body)


def to_markdown(node: LexborNode) -> str:
    """An element as Markdown, links that lead nowhere and pictures without a description left out."""
    for link in node.css("a"):
        _keep_or_unwrap(link)
    for image in node.css("img"):
        _describe(image)
    return convert(node.html or "", _OPTIONS).content or ""


def _keep_or_unwrap(link: LexborNode) -> None:
    if link.text(deep=True).strip() in _ANCHOR_SIGNS:
        link.decompose()
    elif not (link.attributes.get("href") or "").strip().lower().startswith(_OUTSIDE_LINKS):
        link.unwrap()


def _describe(image: LexborNode) -> None:
    """A picture is its description: the file is not indexed, so its address says nothing."""
    description = " ".join((image.attributes.get("alt") or "").split())
    if description:
        image.replace_with(f"[{description}]")
    else:
        image.decompose()


def _title(page: LexborHTMLParser) -> str | None:
    named = page.css_first("meta[property='og:title']")
    if named is not None and named.attributes.get("content"):
        return named.attributes["content"]
    for selector in ("head > title", "title", "h1"):
        node = page.css_first(selector)
        if node is not None and node.text(deep=True).strip():
            return node.text(deep=True)
    return None


def _heading_elsewhere(page: LexborHTMLParser) -> str:
    """The page's only `h1`, where it stands outside of the content."""
    headings = page.css("body h1")
    return to_markdown(headings[0]) if len(headings) == 1 else ""
