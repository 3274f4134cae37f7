"""The blocks of a passage, and how an answer shows the sentences of one with what belongs to them.

A sentence belongs to a block: a paragraph, a list, a table, code. With a sentence, an answer shows what it introduces,
what its first pronoun stands for, the list's lead, the table's head, the code around it. All is Markdown as in the
source, without what would load or cite (see `documents.inline`), with the passage's marker at each sentence, item and
row.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from ragstone.documents.inline import cut, guarded
from ragstone.documents.languages import language_of_text
from ragstone.documents.sentences import Kind, Sentence, sentences
from ragstone.generation.facts import content_terms
from ragstone.generation.injection import instructs
from ragstone.generation.notices import FALLBACK, language_of, notice
from ragstone.vocabulary import Passage

MAX_ITEMS = 12
MAX_LIST_CHARS = 900
"""A longer list is shown by the items that were found, and those beside them."""
MAX_ROWS = 12
MAX_CODE_LINES = 30
MAX_BESIDE_LINES = 12
"""Lines of code in one of several sections."""
MAX_CAPTION_CHARS = 300

_BLANK_LINE = re.compile(r"\n[ \t>]*\n")
_FENCE_LINE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[^\n]*$", re.MULTILINE)
_ITEM_MARK = re.compile(r"[ \t>]*\S{1,6}[ \t]+")
_INDENT = re.compile(r"[ \t]{2,}")
_COLUMN = re.compile(r"(?<!\\)\|")
_INTRODUCES = (":", "：")
_STOPS = (".", "!", "?", "。", "！", "？", "।", "؟", "۔")
_CLOSED = re.compile(r"[.!?。！？।؟۔:：][\"'”’»)\]*_]*$")
_POINTS_BACK = {
    "en": r"(?!it (?:is|was|may be|can be|seems) (?:\w+ ){0,2}?(?:to|that)\b)"
    r"(?!th(?:is|ese) (?:page|section|chapter|guide)s?\b)(?:it|its|they|their|he|his|she|her|this|these|those)",
    "de": r"(?!es (?:gibt|empfiehlt|handelt|ist \w+,? (?:zu|dass))\b|sie (?:\w+en|sind)\b)"
    r"(?:es|er|sie|dies|diese[rmns]?|seine?)",
    "es": r"(?:él|ella|ellos|ellas|ello|esto|este|esta|estos|estas|eso)",
    "fr": r"(?!il (?:faut|y a|est \w+ (?:de|que)|s['’]agit)\b)"
    r"(?:il|elle|ils|elles|cela|ceci|celui-ci|celle-ci|cette|ces)",
    "zh": r"(?:[它他她]们?|这|那|该|其|此)",
}
"""What begins a sentence that is not understood without the one before; not "it is possible to", no polite "Sie"."""
_BEGINS = {
    language: re.compile(r"[\W_]*" + words + ("" if language == "zh" else r"(?!\w)"), re.IGNORECASE)
    for language, words in _POINTS_BACK.items()
}
MAX_STEPS_BACK = 2
"""So many sentences before it are shown at most."""
_NO_WORD = re.compile(r"[\W_]*$")


@dataclass(frozen=True, slots=True)
class Part:
    """A paragraph, list, table, code or heading of a passage: its sentences, at `places` among all of the passage."""

    kind: Kind
    first: int
    sentences: tuple[Sentence, ...]

    @property
    def places(self) -> range:
        """The places of its sentences."""
        return range(self.first, self.first + len(self.sentences))


def parts(text: str, found: Sequence[Sentence]) -> list[Part]:
    """The parts of a text in reading order; `found` are its sentences."""
    made: list[list[Sentence]] = []
    for one in found:
        if made and _joins(text, made[-1], one):
            made[-1].append(one)
        else:
            made.append([one])
    first, listed = 0, []
    for group in made:
        listed.append(Part(group[0].kind, first, tuple(group)))
        first += len(group)
    return listed


def _joins(text: str, group: Sequence[Sentence], one: Sentence) -> bool:
    """Whether a sentence belongs to the part that the sentences before it make."""
    between = text[group[-1].end : one.start]
    match group[0].kind, one.kind:
        case "prose", "prose":
            return not _BLANK_LINE.search(between)
        case "row", "row":
            return not one.header and not _BLANK_LINE.search(between)
        case "code", "code":
            return not _FENCE_LINE.search(between)
        case "item", "item":
            return True
        case "item", "prose" | "code":
            return _INDENT.match(text, _line_start(text, one.start)) is not None
    return False


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, place) + 1


@dataclass(slots=True)
class PassageBlocks:
    """Writes sentences of one passage as an answer shows them; `number` is the passage's marker.

    `bold` are places of sentences to set in bold type. Of the chosen rows of a table, or of all where none was chosen,
    those are shown that hold most of the terms `asked`. What is left out is counted in `language`.
    """

    passage: Passage
    number: int
    bold: Collection[int] = ()
    asked: frozenset[str] = frozenset()
    language: str = FALLBACK
    text: str = field(init=False)
    parts: list[Part] = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.passage.chunk.text
        self.parts = parts(self.text, sentences(self.text))

    def find(self, start: int) -> tuple[int, int]:
        """The index of the part that holds the sentence from `start` on, and the place of that sentence."""
        return next(
            (index, place)
            for index, part in enumerate(self.parts)
            for place, one in zip(part.places, part.sentences, strict=True)
            if one.end > start
        )

    def block(self, index: int, chosen: Collection[int]) -> str:
        """Part `index` with what belongs to its `chosen` sentences."""
        part = self.parts[index]
        match part.kind:
            case "item":
                return self._below_lead(index, self._list(part, chosen))
            case "row":
                return self._below_lead(index, self._table(part, chosen))
            case "code":
                return self._below_lead(index, self._code(part, chosen), named=True)
            case _:
                below = [place for place in chosen if place > part.places[-1]]
                said = self._prose(part, (*chosen, part.places[-1]) if below else chosen)
                return "\n\n".join((said, *self._introduced(index, chosen, below)))

    def run(self, first: int, last: int) -> str:
        """Parts `first` to `last` in full, but for long lists, tables and code, which are cut as in `block`."""
        return "\n\n".join(self._alone(part) for part in self.parts[first : last + 1])

    def _alone(self, part: Part) -> str:
        chosen = [place for place in part.places if place in self.bold]
        match part.kind:
            case "item":
                return self._list(part, chosen)
            case "row":
                return self._table(part, chosen)
            case "code":
                return self._code(part, chosen)
            case _:
                return self._prose(part, part.places)

    def _introduced(self, index: int, chosen: Collection[int], below: Collection[int]) -> Iterator[str]:
        """The list, table or code that the paragraph introduces, or that holds the chosen sentences `below` it."""
        part, following = self.parts[index], self.parts[index + 1 : index + 2]
        if not following or not (below or part.places[-1] in chosen):
            return
        introduces = bool(below) or self._said(part.sentences[-1]).rstrip("*_ ").endswith(_INTRODUCES)
        match following[0].kind:
            case "item" if introduces:
                yield self._list(following[0], below)
            case "row" if introduces:
                yield self._table(following[0], below)
            case "code" if introduces or len(following[0].sentences) <= MAX_ITEMS:
                yield self._code(following[0], below)

    def _below_lead(self, index: int, block: str, *, named: bool = False) -> str:
        """A block below the sentence that introduces it; code without one, below its heading (`named`)."""
        before = self.parts[index - 1] if index else None
        while named and before and before.kind == "code" and before.first:
            before = self.parts[self.parts.index(before) - 1]
        if before and before.kind == "prose":
            last = before.sentences[-1]
            if last.end - last.start <= MAX_CAPTION_CHARS:
                return f"{self._prose(before, (before.places[-1],))}\n\n{block}"
        path = self.passage.chunk.heading_path_at(self.passage.chunk.start + self.parts[index].sentences[0].start)
        return (
            f"{guarded(cut(path[-1] if path else self.passage.title)[0])} [{self.number}]\n\n{block}"
            if named
            else block
        )

    def _said(self, one: Sentence) -> str:
        return self.text[one.start : one.end]

    def _prose(self, part: Part, chosen: Collection[int]) -> str:
        pieces, chosen = self._pieces(part.sentences), {*chosen, *self._before(part, chosen)}
        said = [
            self._marked(piece, place, stop=True)
            for place, piece in zip(part.places, pieces, strict=True)
            if place in chosen and not _NO_WORD.match(piece)
        ]
        return guarded(" ".join(said))

    def _before(self, part: Part, chosen: Collection[int]) -> Iterator[int]:
        """The places of the sentences before chosen ones that begin with a pronoun; none that gives orders."""
        begins = _BEGINS.get(language_of_text(self.text) or "")
        if begins is None:
            return
        for place in (one for one in part.places if one in chosen):
            for back in range(place, max(part.first, place - MAX_STEPS_BACK), -1):
                said, before = (self._said(part.sentences[at - part.first]) for at in (back, back - 1))
                if not begins.match(said) or len(before) > MAX_CAPTION_CHARS or instructs(before):
                    break
                yield back - 1

    def _pieces(self, found: Sequence[Sentence]) -> list[str]:
        """Sentences of one paragraph or item, as Markdown."""
        start = found[0].start
        return cut(self.text[start : found[-1].end], [one.start - start for one in found[1:]])

    def _marked(self, piece: str, place: int, *, stop: bool = False) -> str:
        """A sentence with its marker before its full stop; `stop`: it gets one if it has none."""
        own = piece[-1] if piece.endswith(_STOPS) else ""
        body = piece[: len(piece) - len(own)].rstrip()
        if place in self.bold:
            body = f"**{cut(body, emphasis=False)[0]}**"
        return f"{body} [{self.number}]{own or '.' * (stop and not _CLOSED.search(piece))}"

    def _list(self, part: Part, chosen: Collection[int]) -> str:
        entries = self._entries(part)
        total = sum(entry[-1][1].end - entry[0][1].start for entry in entries)
        hit = [at for at, entry in enumerate(entries) if any(place in chosen for place, _ in entry)]
        if record := self._record(entries, hit):
            return record
        if len(entries) == 1:
            return self._entry(entries[0], mark="")
        kept = _kept(len(entries), hit, MAX_ITEMS if total <= MAX_LIST_CHARS or not hit else 1)
        return "\n".join((*(self._entry(entries[at]) for at in kept), *self._left_out(len(entries) - len(kept))))

    def _record(self, entries: Sequence[Sequence[tuple[int, Sentence]]], hit: Sequence[int]) -> str:
        """Fields of a record of JSON, each behind the record's name."""
        if "json" not in self.passage.media_type or not hit:
            return ""
        chunk = self.passage.chunk
        lines = []
        for at in hit:
            place, first = entries[at][0]
            path = chunk.heading_path_at(chunk.start + first.start)
            name = " › ".join(cut(part)[0] for part in dict.fromkeys((self.passage.title, *path)))
            lines.append(
                self._marked(f"{guarded(name)} — {cut(self.text[first.start : entries[at][-1][1].end])[0]}", place)
            )
        return "\n\n".join(lines)

    def _entries(self, part: Part) -> list[list[tuple[int, Sentence]]]:
        """The items of a list, each with the places of its sentences."""
        entries: list[list[tuple[int, Sentence]]] = []
        for place, one in zip(part.places, part.sentences, strict=True):
            begins = one.kind == "item" and _ITEM_MARK.fullmatch(
                self.text, _line_start(self.text, one.start), one.start
            )
            if begins or not entries:
                entries.append([])
            entries[-1].append((place, one))
        return entries

    def _entry(self, entry: Sequence[tuple[int, Sentence]], *, mark: str | None = None) -> str:
        """An item with its mark: its sentences, then code that stands in it."""
        first = entry[0][1]
        said = [(place, one) for place, one in entry if one.kind != "code"]
        pieces = self._pieces([one for _, one in said])
        text = " ".join(self._marked(piece, place) for (place, _), piece in zip(said, pieces, strict=True) if piece)
        code = [one for _, one in entry if one.kind == "code"]
        if mark is None:
            mark = self.text[_line_start(self.text, first.start) : first.start].replace(">", "")
            mark = mark if mark.strip() else "- "
        return "\n".join((mark + text, *([self._fence(code[0].start, code[-1].end)] if code else [])))

    def _table(self, part: Part, chosen: Collection[int]) -> str:
        """The head of a table, and its chosen rows; without a choice its first ones."""
        head = self._cells(self.text, part.sentences[0]) if part.sentences[0].header else self._head_above()
        rows = [(place, one) for place, one in zip(part.places, part.sentences, strict=True) if not one.header]
        hit = [at for at, (place, _) in enumerate(rows) if place in chosen] or range(len(rows))
        kept = [hit[at] for at in self._asked_for([rows[at][1] for at in hit])][:MAX_ROWS]
        lines = [_row(head), _row(["---"] * len(head))] if head else []
        for at in kept:
            place, one = rows[at]
            cells = self._cells(self.text, one, emphasis=place not in self.bold)
            if place in self.bold:
                cells = [f"**{cell}**" if cell else cell for cell in cells]
            cells[-1] = f"{cells[-1]} [{self.number}]".strip()
            lines.append(_row(cells))
        return "\n".join((*lines, *self._left_out(len(rows) - len(kept))))

    def _asked_for(self, rows: Sequence[Sentence]) -> Sequence[int]:
        """The places of the rows that hold most of the question's terms; all, if none holds any."""
        held = [len(self.asked & content_terms(self._said(one))) for one in rows]
        most = max(held, default=0)
        return [at for at, count in enumerate(held) if count == most]

    def _head_above(self) -> list[str]:
        """The head of a table that began in an earlier chunk."""
        above = self.passage.chunk.table_header
        return self._cells(above, sentences(above)[0]) if sentences(above) else []

    def _cells(self, text: str, row: Sentence, *, emphasis: bool = True) -> list[str]:
        line = text[row.start : row.end].strip(" \t>").removeprefix("|")
        line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
        return [cut(cell, emphasis=emphasis)[0] for cell in _COLUMN.split(line)]

    def _code(self, part: Part, chosen: Collection[int]) -> str:
        """Code in its fence; of long code the lines around the first chosen one."""
        lines = part.sentences
        hit = next((at for at, place in enumerate(part.places) if place in chosen), 0)
        most = MAX_BESIDE_LINES if self.bold else MAX_CODE_LINES
        start = max(0, min(hit - most // 3, len(lines) - most))
        shown = lines[start : start + most]
        fence = self._fence(shown[0].start, shown[-1].end)
        return "\n".join((fence, *self._left_out(len(lines) - len(shown))))

    def _left_out(self, count: int) -> list[str]:
        """The lines that say how many items, rows or lines of code are not shown."""
        return ["", notice("left_out", self.language, count=count)] if count > 0 else []

    def _fence(self, start: int, end: int) -> str:
        """Whole lines from `start` to `end` between fences like those around them."""
        begin = _line_start(self.text, start)
        opened = list(_FENCE_LINE.finditer(self.text, 0, begin))
        info = self.text[opened[-1].start() : opened[-1].end()] if len(opened) % 2 else "```"
        mark = _FENCE_LINE.match(info)
        indent = info[: len(info) - len(info.lstrip(" \t>"))].replace(">", "")
        return (
            f"{info.replace('>', '') if mark else '```'}\n{self.text[begin:end]}\n{indent}{mark[1] if mark else '```'}"
        )


def blocks(passages: Sequence[Passage], chosen: Sequence[tuple[int, int]], question: str = "") -> Iterator[str]:
    """The blocks of an answer, each a chosen sentence or more with what belongs to them, the first one first.

    A chosen sentence is the index of its passage, and its start in the passage's text.
    """
    asked, language = content_terms(question), language_of(question, passages)
    shown: dict[int, PassageBlocks] = {}
    found: dict[tuple[int, int], list[int]] = {}
    for passage, start in chosen:
        if passage not in shown:
            shown[passage] = PassageBlocks(passages[passage], passage + 1, asked=asked, language=language)
        part, place = shown[passage].find(start)
        found.setdefault((passage, part), []).append(place)
    for passage, part in list(found):
        lead = (passage, part - 1)
        if (
            lead in found
            and shown[passage].parts[part].kind != "prose"
            and shown[passage].parts[part - 1].kind == "prose"
        ):
            found[lead] += found.pop((passage, part))
    for (passage, part), places in found.items():
        yield shown[passage].block(part, places)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _kept(count: int, hit: Sequence[int], most: int) -> list[int]:
    """Which of `count` items are shown: all, or those that were found with up to `most` around them."""
    if count <= most or not hit:
        return list(range(min(count, MAX_ITEMS)))
    around = most // 2 if most > 1 else 1
    near = sorted({at for one in hit for at in range(max(0, one - around), min(count, one + around + 1))})
    return near[:MAX_ITEMS]
