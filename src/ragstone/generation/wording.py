"""A claim in the wording of its evidence: its own units, spellings, abbreviations, possessives and synonyms.

Rules and judge compare words. Where a claim writes "kilometres" and its evidence "km", or "World Health Organization"
where the evidence has "WHO", `Wording.restated` puts the evidence's own form into the claim. The claim stays as it is
where the evidence has no form of the same thing. In a passage that is not English only units and initials count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ragstone.generation.abbreviations import PHRASES, abbreviated, declarations, with_initials
from ragstone.generation.canonical import canonical
from ragstone.generation.spelling import spelling_key
from ragstone.generation.synonyms import are_synonyms
from ragstone.generation.units import MONEY_SIGNS, UNITS, needs_figure, units_of

_ENGLISH_WORDS = "the and with that this from which these their when you have would than there its what they"
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
"""Words of English alone; two of them make a text English."""

_FIGURE_BEFORE = re.compile(r"\d[ -]?$")
_PIECE = re.compile(r"(?:[^\W\d_]\.){2,}|[^\W\d_]+(?:['-][^\W\d_]+)*\.?|\d+|[^\w\s]|[²³]")
_BEFORE = re.compile(r"[\s(\"',;:-]?$")
_BEHIND = re.compile(r"$|[\s)\"',;:!?-]|\.(?!\w)")
_PART = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"\w+(?:['-]\w+)*")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
MAX_FIGURE_CHARS = 24
_SIGN = rf"(?:(?<![A-Za-z])(?:US|AU|CA|HK|NZ|A|C)?[{MONEY_SIGNS}]|\b(?:USD|EUR|GBP|JPY|INR) )"
_SCALE = r"(?: ?(?:(?i:thousand|million|billion|trillion)|mn|bn|tn|m|k)\b)"
_NAME = r"(?:[ -]?(?:US |U\.S\. )?(?:dollars?|euros?|pounds?(?: sterling)?|yen|rupees?)\b| (?:USD|EUR|GBP|JPY|INR)\b)"
_SUM = re.compile(
    rf"(?P<sign>{_SIGN}) ?(?P<before>\d[\d,]*(?:\.\d+)?{_SCALE}?)"
    rf"|(?<![\w.,])(?P<after>\d[\d,]*(?:\.\d+)?{_SCALE}?)(?P<name>{_NAME})"
)
_SCALES = {"k": "thousand", "m": "million", "mn": "million", "bn": "billion", "tn": "trillion"}
_OWN = re.compile(r"(?P<the>\b[Tt]he )?\b(?P<who>[^\W\d_][\w-]*)(?:'s|(?<=s)') (?P<what>[^\W\d_][\w-]*)")
_MAX_NOUN_WORDS = 3
_ARTICLE = r"(?:the|an?)"


@dataclass(frozen=True, slots=True)
class _Form:
    """A unit, sum or abbreviation at its place; `same` names what it stands for.

    `figure` is what it is of, and `gap` what stands between the two.
    """

    start: int
    end: int
    text: str
    same: frozenset[str]
    figure: str = ""
    gap: str = ""


class Wording:
    """The wording of one passage."""

    def __init__(self, text: str) -> None:
        """`text` is the passage with its title, as a reader sees it."""
        self._text = text

    @cached_property
    def _is_english(self) -> bool:
        return len(_ENGLISH & {word[0].casefold() for word in _WORD.finditer(self._text)}) > 1

    @cached_property
    def _declared(self) -> list[tuple[str, str]]:
        return list(declarations(self._text))

    def restated(self, claim: str, evidence: str) -> str:
        """`claim` with the evidence's own forms; both as a reader sees them."""
        steps: list[Callable[[str, str], str]] = [_with_sums, self._with_forms, self._with_initials]
        if self._is_english:
            steps += [_with_possessives, _with_spellings, _with_synonyms]
        claim, evidence = _plain(claim), _plain(evidence)
        for step in steps:
            claim = step(claim, evidence)
        return claim

    def _with_initials(self, claim: str, evidence: str) -> str:
        return with_initials(claim, evidence, self._declared)

    def _with_forms(self, claim: str, evidence: str) -> str:
        known = _spaced(evidence)
        forms = _forms(claim, phrases=self._is_english)
        mine = [form for form in forms if form.figure or _spaced(form.text) not in known]
        theirs = list(_forms(evidence, phrases=self._is_english)) if mine else []
        for form in reversed(mine):
            fit = [one for one in theirs if one.same & form.same]
            fit.sort(key=lambda one: one.figure != form.figure)
            if fit and not _is_there(form, fit):
                gap = fit[0].gap if fit[0].figure else form.gap
                claim = _replaced(claim, form.start - len(form.gap), form.end, gap + fit[0].text)
        return claim


def _is_there(form: _Form, fit: list[_Form]) -> bool:
    """Whether the evidence has the very form, and not with this figure in another form."""
    same = [one.text.casefold() == form.text.casefold() and one.gap in (form.gap, "") for one in fit]
    return same[0] or (any(same) and (not form.figure or fit[0].figure != form.figure))


def _plain(text: str) -> str:
    return " ".join(text.replace("\u2019", "'").split())


def _spaced(text: str) -> str:
    """The words of `text`, folded, each between spaces."""
    return f" {' '.join(found[0].casefold() for found in _TOKEN.finditer(text))} "


def _replaced(text: str, start: int, end: int, new: str) -> str:
    """`text` with `new` in the place of a span; a sentence still begins with a capital, and keeps its full stop."""
    if not start and text[:1].isupper():
        new = new[:1].upper() + new[1:]
    elif start and re.match(rf"{_ARTICLE} ", new, re.IGNORECASE):
        new = new[0].lower() + new[1:]
    stop = "." if text[:end].endswith(".") and not text[end:].strip() and not new.endswith(".") else ""
    return text[:start] + new + stop + text[end:]


# Units and abbreviations ----------------------------------------------------------------------------------------


def _lengths() -> dict[str, int]:
    """The first piece of each form, and how many pieces the longest form has that begins so."""
    found: dict[str, int] = {}
    for form in (*UNITS, *PHRASES):
        pieces = _PIECE.findall(form)
        first = pieces[0].rstrip(".").casefold()
        found[first] = max(found.get(first, 0), len(pieces))
    return found


_LENGTHS = _lengths()


def _forms(text: str, *, phrases: bool) -> Iterator[_Form]:
    """Units and, if `phrases`, common abbreviations with what they stand for, in order."""
    pieces = [(found.start(), found.end()) for found in _PIECE.finditer(text)]
    place = 0
    while place < len(pieces):
        start = pieces[place][0]
        counted = bool(_FIGURE_BEFORE.search(text[max(0, start - 2) : start]))
        length = _LENGTHS.get(text[start : pieces[place][1]].rstrip(".").casefold(), 0)
        for last in range(min(place + length, len(pieces)) - 1, place - 1, -1):
            end = pieces[last][1]
            found = _form(text, start, end, counted=counted, phrases=phrases)
            if found:
                yield found
                place = last
                break
        place += 1


def _form(text: str, start: int, end: int, *, counted: bool, phrases: bool) -> _Form | None:
    for until in (end, end - 1) if text[end - 1] == "." else (end,):
        form = text[start:until]
        if not counted and not _stands_alone(text, start, until):
            continue
        same = frozenset[str]()
        if counted or not needs_figure(form):
            same = units_of(form)
        if phrases and not same:
            same = abbreviated(form)
        if same:
            figure, gap = _figure_before(text, start) if counted else ("", "")
            return _Form(start, until, form, same, figure, gap)
    return None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a span is words of prose, and no part of a path, an address or code."""
    return bool(_BEFORE.match(text[start - 1 : start]) and _BEHIND.match(text[end : end + 2]))


def _figure_before(text: str, start: int) -> tuple[str, str]:
    """The figure before a unit, and what stands between the two."""
    found = re.search(r"(\d[\d,.]*)([ -]?)$", text[max(0, start - MAX_FIGURE_CHARS) : start])
    return (found[1].replace(",", ""), found[2]) if found else ("", "")


def _with_sums(claim: str, evidence: str) -> str:
    mine = list(_sums(claim))
    theirs = list(_sums(evidence)) if mine else []
    for found in reversed(mine):
        fit = next((one for one in theirs if one.same & found.same and one.figure == found.figure), None)
        if fit and fit.text != found.text:
            claim = claim[: found.start] + fit.text + claim[found.end :]
    return claim


def _sums(text: str) -> Iterator[_Form]:
    for found in _SUM.finditer(text):
        named = (found["sign"] or found["name"]).strip()
        same = units_of(named[-1] if named[-1] in MONEY_SIGNS else named)
        figure = (found["before"] or found["after"]).strip()
        written = re.match(r"([\d,.]+) ?([A-Za-z]*)", figure)
        if written:
            scale = _SCALES.get(written[2].casefold(), written[2])
            yield _Form(found.start(), found.end(), found[0], same, canonical(f"{written[1]} {scale}".strip()))


# Possessives and spellings --------------------------------------------------------------------------------------


def _with_possessives(claim: str, evidence: str) -> str:
    """One form of "the harbour's crane" and "the crane of the harbour": that of the evidence."""
    for found in reversed(list(_OWN.finditer(claim))):
        if f"{found['who']}'s {found['what']}".casefold() not in evidence.casefold():
            claim = _as_of(claim, found, evidence)
    for found in _OWN.finditer(evidence):
        claim = _as_own(claim, found, evidence)
    return claim


def _as_of(claim: str, found: re.Match[str], evidence: str) -> str:
    """The possessive of the claim as the "of" of the evidence."""
    who, what = re.escape(found["who"]), re.escape(found["what"])
    phrase = re.search(
        rf"\b(?:{_ARTICLE} )?{what}(?P<more>(?: [\w-]+){{0,{_MAX_NOUN_WORDS}}}) of (?:{_ARTICLE} )?"
        rf"(?P<first>(?:[\w-]+ ){{0,{_MAX_NOUN_WORDS}}}){who}\b",
        evidence,
        re.IGNORECASE,
    )
    if not phrase:
        return claim
    lead, more = phrase["first"], phrase["more"]
    head = claim[: found.start("who")]
    if lead and not head.casefold().endswith(lead.casefold()):
        return claim
    if more and not claim[found.end() :].casefold().startswith(more.casefold()):
        return claim
    start = len(head) - len(lead)
    if article := re.search(rf"\b{_ARTICLE} $", claim[:start], re.IGNORECASE):
        start = article.start()
    return _replaced(claim, start, found.end() + len(more), phrase[0])


def _as_own(claim: str, found: re.Match[str], evidence: str) -> str:
    """The "of" of the claim as the possessive of the evidence."""
    who, what = re.escape(found["who"]), re.escape(found["what"])
    phrase = re.search(
        rf"\b(?:{_ARTICLE} )?{what}(?P<more>(?: [\w-]+){{0,{_MAX_NOUN_WORDS}}}?) of (?:{_ARTICLE} )?"
        rf"(?P<first>(?:[\w-]+ ){{0,{_MAX_NOUN_WORDS}}}?){who}\b",
        claim,
        re.IGNORECASE,
    )
    if not phrase:
        return claim
    head, tail = evidence[: found.start("who")], evidence[found.end() :]
    if not head.casefold().endswith(phrase["first"].casefold()):
        return claim
    if not tail.casefold().startswith(phrase["more"].casefold()):
        return claim
    start = len(head) - len(phrase["first"])
    if article := re.search(rf"\b{_ARTICLE} $", evidence[:start], re.IGNORECASE):
        start = article.start()
    own = evidence[start : found.end() + len(phrase["more"])]
    return _replaced(claim, *phrase.span(), own)


def _with_spellings(claim: str, evidence: str) -> str:
    """The evidence's spelling of whole words, and then of the parts of compounds."""
    for pattern in (_WORD, _PART):
        claim = _with_spelt(pattern, claim, evidence)
    return claim


def _with_spelt(pattern: re.Pattern[str], claim: str, evidence: str) -> str:
    theirs = {found[0].casefold() for found in pattern.finditer(evidence)}
    new = [found for found in pattern.finditer(claim) if found[0].casefold() not in theirs]
    if not new:
        return claim
    keys = {spelling_key(word): word for word in theirs}
    for found in reversed(new):
        if instead := keys.get(spelling_key(found[0].casefold())):
            cased = instead.capitalize() if found[0][0].isupper() else instead
            claim = _replaced(claim, *found.span(), cased)
    return claim


def _with_synonyms(claim: str, evidence: str) -> str:
    """A synonym for each word that the evidence lacks, if it stands there before or behind the same word."""
    mine, theirs = list(_TOKEN.finditer(claim)), list(_TOKEN.finditer(evidence))
    known, spoken = ({_folded(found[0]) for found in side} for side in (theirs, mine))
    for place in range(len(mine) - 1, -1, -1):
        word = mine[place][0].casefold()
        if word in known or not word.isalpha():
            continue
        for there, found in enumerate(theirs):
            other = found[0].casefold()
            if other not in spoken and are_synonyms(word, other) and _stand_alike(mine, place, theirs, there):
                start, end = mine[place].span()
                if place and there and _folded(mine[place - 1][0]) == "a" == _folded(theirs[there - 1][0]):
                    start, other = mine[place - 1].start(), f"{theirs[there - 1][0]} {other}"
                claim = _replaced(claim, start, end, other)
                break
    return claim


def _stand_alike(mine: Sequence[re.Match[str]], place: int, theirs: Sequence[re.Match[str]], there: int) -> bool:
    """Whether the words at both places have the same word before or behind them."""
    return any(
        0 <= place + step < len(mine)
        and 0 <= there + step < len(theirs)
        and _folded(mine[place + step][0]) == _folded(theirs[there + step][0])
        for step in (-1, 1)
    )


def _folded(word: str) -> str:
    return "a" if word.casefold() == "an" else word.casefold()
