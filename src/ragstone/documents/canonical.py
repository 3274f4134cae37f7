r"""Canonical text: the normalised form that offsets, chunks, embeddings and citations refer to.

Kept: every visible character, tab and `\n`. Changed: composed to NFC, all line ends to
`\n`, all no-break and typographic spaces to a plain space, lone surrogates to U+FFFD.
Dropped: characters that a reader cannot see but a language model or search engine would read:
control characters, zero-width spaces, soft hyphens, direction overrides, the tag block
that can hide whole sentences, variation selectors that select nothing.

Two invisible characters can carry meaning and are then kept: the zero-width joiner and
non-joiner after a letter of a script that joins (Arabic and Persian, Indic scripts,
Mongolian, ...), and the joiner between two emoji. One variation selector stays where there
are variants: after ideographs and Mongolian letters, and the two for text and emoji style.
Flags of regions (England) lose their tag letters and become a black flag: the tag block is
the best known place to hide text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ragstone.documents.base import ParsedDocument, ParserLimits, limit_reached
from ragstone.errors import EmptyDocument
from ragstone.vocabulary import PageSpan

MAX_TITLE_CHARS = 300  # a longer title is a paragraph that was styled as a title

_LINE_END = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SPACE = re.compile("[\u00a0\u2000-\u200a\u202f\u205f]")
_SURROGATE = re.compile("[\ud800-\udfff]")

# Scripts whose shaping depends on joiners: Arabic to Mandaic, the Indic blocks with
# Sinhala, Tibetan, Myanmar, Khmer, Mongolian, and their extensions.
_JOINING = "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ua840-\ua87f\ua8e0-\ua8ff\ufb50-\ufdff\ufe70-\ufefc"
_EMOJI = "\u00a9\u00ae\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_VARIATION = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_IDEOGRAPH = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e00ff"
    "\U000e01f0-\U000e0fff]"
    f"|(?<![{_JOINING}])\u200c"
    f"|(?<![{_JOINING}{_EMOJI}])\u200d"
    f"|(?<=[{_EMOJI}])(?<![{_JOINING}])\u200d(?![{_EMOJI}])"
    "|(?<![\u1820-\u18af])[\u180b-\u180d\u180f]"
    f"|(?<![{_IDEOGRAPH}])[\ufe00-\ufe0d\U000e0100-\U000e01ef]"
    f"|(?:(?<=[{_VARIATION}\\s])|^)[{_VARIATION}]+"
)


_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n(?:---|\.\.\.)\s*\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title\s*:\s*(.+)$", re.MULTILINE)
_FIRST_HEADING = re.compile(r"^#\s+(.+?)\s*#*$|^(\S[^\n]*)\n=+\s*$", re.MULTILINE)
_TITLE_WITHIN_CHARS = 20_000  # a heading further down is not the document's title


@dataclass(frozen=True, slots=True)
class MarkdownDraft:
    """Result of a format's reader: Markdown that is not canonical yet.

    `parts` are the pages in order if the format has pages (`paged`), else consecutive
    pieces of the text; they are joined by blank lines.
    """

    parts: tuple[str, ...]
    paged: bool = False
    title: str | None = None
    warnings: tuple[str, ...] = ()


def canonical_text(text: str) -> str:
    """Canonical form of `text`, without blank lines at its ends; may be empty. Idempotent."""
    text = _SPACE.sub(" ", _LINE_END.sub("\n", _SURROGATE.sub("\ufffd", text)))
    visible = _INVISIBLE.sub("", text)
    while visible != text:  # two characters may compose once one between them is dropped
        text, visible = visible, _INVISIBLE.sub("", visible)
    return _without_outer_blank_lines(unicodedata.normalize("NFC", visible))


def finish(draft: MarkdownDraft, *, media_type: str, limits: ParserLimits) -> ParsedDocument:
    """Join the parts of a draft, with the span of each page.

    Raises:
        EmptyDocument: no part holds a visible character.
        ParserLimit: the text is longer than `max_text_chars`.
    """
    text, pages = _joined(draft, limits)
    if not text:
        raise EmptyDocument("The document contains no text; nothing was indexed. Check that it is the right file.")
    return ParsedDocument(
        text=text,
        media_type=media_type,
        title=_title(draft.title),
        pages=pages,
        warnings=draft.warnings,
    )


def _joined(draft: MarkdownDraft, limits: ParserLimits) -> tuple[str, tuple[PageSpan, ...]]:
    pieces: list[str] = []
    pages: list[PageSpan] = []
    position = 0
    for number, part in enumerate(draft.parts, start=1):
        piece = canonical_text(part)
        if not piece:
            continue
        position += 2 if pieces else 0
        pages.append(PageSpan(number=number, start=position, end=position + len(piece)))
        pieces.append(piece)
        position += len(piece)
        if position > limits.max_text_chars:
            raise limit_reached(limits, "max_text_chars")
    return "\n\n".join(pieces), tuple(pages) if draft.paged else ()


def _without_outer_blank_lines(text: str) -> str:
    """`text` without blank lines at its ends; the first line keeps its indentation, which may mean code."""
    stripped = text.rstrip()
    start = len(stripped) - len(stripped.lstrip())
    return stripped[stripped.rfind("\n", 0, start) + 1 :]


def _title(title: str | None) -> str | None:
    shown = " ".join(canonical_text(title or "").split())
    return shown[:MAX_TITLE_CHARS] or None


def fenced(code: str, language: str) -> str:
    """Code block with a fence that is longer than any run of backticks in the code."""
    longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code.strip(chr(10))}\n{fence}"


def markdown_title(text: str) -> str | None:
    """Title of a Markdown text from its own markup, without that markup."""
    start = text[:_TITLE_WITHIN_CHARS].replace("\r\n", "\n").lstrip("\ufeff")
    front = _FRONT_MATTER.match(start)
    if front and (title := _FRONT_TITLE.search(front[1])):
        return title[1].strip().strip("\"'")
    heading = _FIRST_HEADING.search(start, front.end() if front else 0)
    return re.sub(r"[*_`]|\{#.*\}$|\[(.*?)\]\(.*?\)", r"\1", heading[1] or heading[2]) if heading else None
