"""HTML reader: extracts the main content of a page as Markdown, without navigation and other boilerplate."""

from __future__ import annotations

import re

from html_to_markdown import ConversionOptions, convert
from selectolax.lexbor import LexborHTMLParser, LexborNode

from ragstone.documents.canonical import MarkdownDraft
from ragstone.documents.encodings import decode

MAIN_SHARE = 0.4  # a declared main element with a smaller share of the prose is a teaser, not the content
CHILD_SHARE = 0.9  # 0.8 has a better F1 in benchmarks/html_extraction.py, but loses more of other pages
MAX_DESCENT = 60  # levels; deeper nesting is an attack
MIN_LINK_BLOCK_CHARS = 25
MAX_LINK_SHARE = 0.75  # a list or box with a larger share of links is navigation

_NEVER_SHOWN = "script, style, template, [hidden]"
_NOT_CONTENT = """
    noscript, svg, canvas, iframe, object, embed, audio, video,
    nav, aside, form, button, select, textarea, input, dialog, menu,
    [aria-hidden=true], [role=navigation], [role=banner], [role=search], [role=contentinfo],
    [role=complementary], [role=dialog], [role=alertdialog], [role=menu], [role=menubar], [role=toolbar],
    [role=tooltip]
"""
_FURNITURE = "nav, aside, footer, form, iframe, script, [role=navigation], [class*=nav], [id*=nav], [id*=menu]"
_HIDING_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:\.0+)?(?![.\d])|font-size\s*:\s*0(?![.\d])",
    re.IGNORECASE,
)
# Words in class and id attributes, delimited by spaces, - and _.
_NOT_CONTENT_NAME = re.compile(
    r"""(?:^|[\s_-])(?:
    cookie[\w-]*|consent|gdpr|ccpa|nav|navbar|navi|navigation|menu|submenu|breadcrumbs?|sidebar\w*|widgets?|
    footer|foot|masthead|banner|ads?|advert\w*|adsense|sponsor\w*|promo\w*|newsletter|subscribe|subscription|signup|
    share|sharing|sharedaddy|social\w*|related|relatedposts|recommend\w*|comments?|commentlist|respond|disqus\w*|
    pagination|pager|paging|skip|toolbar|popup|modal|overlay|tags?|tagcloud|byline|meta|metadata|login|rating|
    printfriendly|jp-relatedposts|author-?box|teaser|mw-editsection|noprint|navbox|infobox-nav|toc
    )(?:$|[\s_-])""",
    re.IGNORECASE | re.VERBOSE,
)
_CONTAINERS = frozenset({"div", "section", "article", "main", "table", "tbody", "tr", "td", "center", "form", "font"})
_NAMED = "div, section, ul, ol, table, td, p, span, header, footer, dl, h2, h3, h4, h5, h6"


def content_of(page: LexborHTMLParser) -> LexborNode | None:
    """The element of `page` with the main content, cleaned in place; None if there is no body."""
    body = page.body
    if body is None:
        return None
    is_web_page = page.css_first(_FURNITURE) is not None
    _strip(body)
    if not is_web_page:
        return body
    main = _declared_main(body, _prose(body)) or body
    content = _descended(main)
    _drop_link_blocks(content)
    return content


def drop_hidden(body: LexborNode) -> None:
    """Remove elements that a browser never shows; their text could mislead a search or a model."""
    for node in body.css(_NEVER_SHOWN):
        node.decompose()
    for node in body.css("[style]"):
        if _HIDING_STYLE.search(node.attributes.get("style") or ""):
            node.decompose()


def _strip(body: LexborNode) -> None:
    for node in body.css(_NOT_CONTENT):
        if not _wraps_page(node):
            node.decompose()
    drop_hidden(body)
    for node in body.css("header, footer"):
        if not node.css_first("h1, h2"):
            node.decompose()
    whole = _prose(body)
    for node in body.css(_NAMED):
        names = f"{node.attributes.get('class') or ''} {node.attributes.get('id') or ''}"
        if _NOT_CONTENT_NAME.search(names) and _prose(node) < whole * MAIN_SHARE:
            node.decompose()


def _wraps_page(node: LexborNode) -> bool:
    """Whether a form wraps the page, as in old ASP.NET."""
    return node.tag == "form" and node.css_first("p, h1, article") is not None


def _declared_main(body: LexborNode, whole: int) -> LexborNode | None:
    for selector in ("main article", "article", "[itemprop=articleBody]", "main", "[role=main]"):
        best = max(body.css(selector), key=_prose, default=None)
        if best is not None and _prose(best) >= whole * MAIN_SHARE:
            return best
    return None


def _descended(node: LexborNode) -> LexborNode:
    for _ in range(MAX_DESCENT):
        prose = _prose(node)
        child = max((c for c in node.iter() if c.tag in _CONTAINERS), key=_prose, default=None)
        if child is None or _prose(child) < prose * CHILD_SHARE:
            return node
        node = child
    return node


def _drop_link_blocks(content: LexborNode) -> None:
    for node in content.css("ul, ol, table, div, section, p, dl"):
        text = _length(node)
        if text >= MIN_LINK_BLOCK_CHARS and _links(node) > text * MAX_LINK_SHARE and len(node.css("a")) > 1:
            node.decompose()


def _prose(node: LexborNode) -> int:
    return _length(node) - _links(node)


def _links(node: LexborNode) -> int:
    return sum(_length(link) for link in node.css("a"))


def _length(node: LexborNode) -> int:
    return len("".join(node.text(deep=True).split()))


_OPTIONS = ConversionOptions(
    bullets="-",
    compact_tables=True,
    extract_metadata=False,
    expand_abbreviations=False,
)
_OUTSIDE_LINKS = ("http://", "https://", "mailto:")  # other links do not work outside the page
_ANCHOR_SIGNS = frozenset("#¶§🔗")


def read_html(content: bytes) -> MarkdownDraft:
    """Read the content of a page; the title is that of the page, else the first heading."""
    decoded = decode(content)
    page = LexborHTMLParser(decoded.text)
    title = _title(page)
    body = content_of(page)
    markdown = to_markdown(body) if body is not None else ""
    if body is None or not markdown.strip():  # a page of links only, or one that fits no rule
        return MarkdownDraft((fragment_to_markdown(decoded.text),), title=title, warnings=decoded.warnings)
    heading = "" if body.css_first("h1") else _heading_elsewhere(page)
    return MarkdownDraft((heading, markdown), title=title, warnings=decoded.warnings)


def fragment_to_markdown(html: str) -> str:
    """Convert all visible content of an HTML fragment to Markdown; nothing is removed as boilerplate."""
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    drop_hidden(body)
    return to_markdown(body)


def to_markdown(node: LexborNode) -> str:
    """Convert an element to Markdown, without dead links and without pictures that have no description."""
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
    """Replace a picture by its description: its file is not indexed, so its address is of no use."""
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
    """The only `h1` of the page, if it is outside of the content."""
    headings = page.css("body h1")
    return to_markdown(headings[0]) if len(headings) == 1 else ""
