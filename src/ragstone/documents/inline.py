"""Inline Markdown: a sentence or paragraph as plain text, and as Markdown that loads nothing.

Both are made by a CommonMark parser. `plain_text` is for comparing, and for places that show no Markdown;
`cut` is for answers: code spans, figures, signs and escapes stay as they were written, while images, HTML tags and
the targets of links go.

Marks that authors of technical text do not mean as emphasis stay: `2*3*4`, `**/*.md`, `__init__`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_PARSED_CHARS = 8_000
"""A longer text stays as it is: for 8,000 opening brackets the parser needs half a second, for twice as many four times
that. Sentences are shorter."""

_PERHAPS_MARKED = re.compile(r"[*_`~\\\[<&]")
_QUOTE_MARK = re.compile(r"\n[ \t]*(?:>[ \t]?)+(?![ \t]*[\d=])")
_LITERAL = re.compile(
    r"(?<=[A-Za-z0-9)])\*(?=[A-Za-z0-9(])"  # 2*3*4
    r"|(?<=[0-9])\*\*(?=\w)|(?<=\w)\*\*(?=[0-9])"  # 2**10
    r"|(?<=/)\*+|\*+(?=[/\\]|\.\w)"  # **/*.md
    r"|(?<!\w)__[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__(?!\w)"  # __init__
)
_MAX_LABEL_CHARS = 200
_MARKER = re.compile(r"[\[【](\s?\d{1,3}(?:\s?[,;]\s?\d{1,3})*\s?)[\]】]")
_BLOCK_MARK = re.compile(r"[-+>#](?=[\s#>]|$)|>(?=.)|\d{1,9}(?=[.)](?:\s|$))")
_TAG_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)")
_RAISED = re.compile(r"[-+\u2212]?\d")
_TAG_NAMES = """
    a abbr acronym address area article aside audio b base bdi bdo big blockquote body br button canvas caption
    center cite code col colgroup data datalist dd del details dfn dialog div dl dt em embed fieldset figcaption
    figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins kbd label legend li link
    main map mark menu meta meter nav noscript object ol optgroup option output p param picture pre progress q rp
    rt ruby s samp script section select small source span strike strong style sub summary sup svg table tbody td
    template textarea tfoot th thead time title tr track tt u ul var video wbr
"""
TAGS = frozenset(_TAG_NAMES.split())
"""The elements of HTML. A tag of another name, such as `<file>` or `Vec<T>`, is text."""
_PLACES = "\u2004\u2005\u2006\u2008\u2000\u2001"
"""Spaces of which one marks where a text is cut: to Markdown it is white space, as the cut is."""


@lru_cache(maxsize=1 << 12)
def plain_text(text: str) -> str:
    """What a reader of the rendered `text` sees, in one line; a link keeps its text, an image has none."""
    if len(text) > MAX_PARSED_CHARS:
        return text
    if not _PERHAPS_MARKED.search(text):
        return " ".join(line.strip(" \t") for line in _QUOTE_MARK.sub("\n", text).split("\n"))
    return "".join(_plain(_tokens(text)))


def cut(text: str, cuts: Sequence[int] = (), *, emphasis: bool = True) -> list[str]:
    """The parts of a paragraph between `cuts` (ascending offsets in `text`) as Markdown, each in one line.

    Emphasis that spans a cut is closed before it and opened again after it. A number in brackets is escaped, so that
    it is no citation marker. Without `emphasis` its marks go. A part is trimmed, and may be blank. One that begins a
    line needs `guarded`.
    """
    space = next((space for space in _PLACES if space not in text), "")
    if len(text) > MAX_PARSED_CHARS or not space:
        return [text[start:end].strip() for start, end in pairwise((0, *cuts, len(text)))]
    pieces = [text[start:end] for start, end in pairwise((0, *cuts, len(text)))]
    parts = _Parts(space, emphasis=emphasis).of(_tokens(space.join(pieces)))
    if len(parts) != len(pieces):  # a cut within a tag or a target
        return [part for piece in pieces for part in cut(piece, emphasis=emphasis)]
    return [part.strip() for part in parts]


def guarded(part: str) -> str:
    """A part that begins with a mark of blocks, such as `> 16 bar`, with that mark escaped."""
    found = _BLOCK_MARK.match(part)
    if not found:
        return part
    place = found.end() if found[0].isdigit() else 0
    return f"{part[:place]}\\{part[place:]}"


def _reference(state: StateInline, silent: bool) -> bool:
    """`[text][name]` is a link, wherever its target is defined; `[1][2]` is none."""
    begin = state.pos + (state.src[state.pos] == "!")
    if state.src[begin : begin + 1] != "[" or (begin == state.pos and state.src[begin - 1 : begin].isalnum()):
        return False
    close = state.md.helpers.parseLinkLabel(state, begin, begin == state.pos)
    if close < 0 or state.src[close + 1 : close + 2] != "[" or _MARKER.fullmatch(state.src, begin, close + 1):
        return False
    end = state.src.find("]", close + 2, min(state.posMax, close + 2 + _MAX_LABEL_CHARS))
    if end < 0:
        return False
    if not silent and begin == state.pos:
        limit, state.pos, state.posMax = state.posMax, begin + 1, close
        state.push("link_open", "a", 1)
        state.md.inline.tokenize(state)
        state.push("link_close", "a", -1)
        state.posMax = limit
    state.pos = end + 1
    return True


def _literal(state: StateInline, silent: bool) -> bool:
    """Marks that are text, though CommonMark may take them for emphasis."""
    if state.src[state.pos] not in "*_" or not (found := _LITERAL.match(state.src, state.pos)):
        return False
    if not silent:
        state.pending += found[0]
    state.pos = found.end()
    return True


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("strikethrough")
    parser.inline.ruler.before("strikethrough", "literal", _literal)
    parser.inline.ruler.after("image", "named_reference", _reference)
    return parser


_PARSER = _parser()


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    return _PARSER.inline.parse(_QUOTE_MARK.sub("\n", text).strip(" \t\n"), _PARSER, {}, tokens)


def _plain(tokens: Sequence[Token]) -> Iterator[str]:
    for token, following in zip(tokens, (*tokens[1:], None), strict=False):
        match token.type:
            case "text" | "text_special" | "code_inline":
                yield token.content
            case "softbreak" | "hardbreak":
                yield " "
            case "html_inline":
                yield _tag(token.content, following)


def _tag(tag: str, following: Token | None) -> str:
    """What a reader sees of an HTML tag: nothing, if it is one; a raised figure after `^`."""
    name = _TAG_NAME.match(tag)
    if not name:
        return ""
    if name[1].lower() not in TAGS:
        return tag
    if name[1].lower() == "sup" and tag[1] != "/" and following and _RAISED.match(following.content):
        return "^"
    return " " if name[1].lower() == "br" else ""


class _Parts:
    """Writes tokens as Markdown again, in parts that are cut at a mark."""

    def __init__(self, space: str, *, emphasis: bool) -> None:
        self._space = space
        self._emphasis = emphasis
        self._open: list[tuple[str, int]] = []  # marks of emphasis, each with the place in the part that follows it
        self._parts = [""]

    def of(self, tokens: Sequence[Token]) -> list[str]:
        """The parts; as many as there are marks, and one more."""
        for token, following in zip(tokens, (*tokens[1:], None), strict=False):
            self._write(token, following)
        return self._parts

    def _write(self, token: Token, following: Token | None) -> None:
        match token.type:
            case "text":
                self._add(_MARKER.sub(r"\\[\1\\]", token.content))
            case "text_special":
                self._add(_special(token))
            case "code_inline":
                cuts = token.content.count(self._space)
                self._add(_code(token.markup, token.content.replace(self._space, "")) + self._space * cuts)
            case "softbreak" | "hardbreak":
                self._add(" ")
            case "html_inline":
                self._add(_tag(token.content, following))
            case "em_open" | "strong_open" | "s_open":
                self._begin(token.markup * self._emphasis)
            case "em_close" | "strong_close" | "s_close":
                self._end(*self._open.pop())

    def _add(self, text: str) -> None:
        first, *others = text.split(self._space)
        self._parts[-1] += first
        for other in others:
            marks, self._open = self._open, []
            for mark, place in reversed(marks):
                self._end(mark, place)
            self._parts.append("")
            for mark, _ in marks:
                self._begin(mark)
            self._parts[-1] += other.lstrip()

    def _begin(self, mark: str) -> None:
        self._parts[-1] += mark
        self._open.append((mark, len(self._parts[-1])))

    def _end(self, mark: str, place: int) -> None:
        """Close emphasis behind the last word; take it back where it holds nothing."""
        part = self._parts[-1].rstrip()
        self._parts[-1] = part + mark if len(part) > place else part[: place - len(mark)]


def _special(token: Token) -> str:
    """An escape as it was written, an entity as its character; escaped where that is a mark."""
    if not token.markup.startswith("&"):
        return token.markup
    return "\\" + token.content if token.content in set("<*_`[]\\~") else token.content


def _code(ticks: str, content: str) -> str:
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{pad}{content}{pad}{ticks}"
