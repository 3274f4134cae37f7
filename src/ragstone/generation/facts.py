"""The facts that a text states, read without a model: terms, figures, units, months, names and negations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ragstone.documents import inline
from ragstone.embedding.sparse import STOPWORDS, terms

NEGATION_REACH = 4
"""A negator turns around the content terms among this many words after it."""

_MARKER = re.compile(r"[\[【]\s*\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*[\]】]")
_NUMBER = re.compile(
    r"(?P<money>[$€£¥])?(?<![\w.])(?P<sign>[-−](?=\d))?(?P<digits>\d+(?:,\d{3})*(?:\.\d+)?)"
    r"(?:(?:st|nd|rd|th)\b)?[ \u00a0-]?(?P<unit>%|°[CF]?|[A-Za-zµ]+)?"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+")
_NOT = re.compile(r"(?:n['’]t|^not|^no|^never|^none|^nothing|^nobody|^neither|^nor|^cannot|^without|^unable|^hardly)$")

_SMALL = "zero - two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_SMALL.split()) if word != "-"}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "bn": 10**9}
_MONTHS = "january february march april may june july august september october november december"
MONTHS = {name: name[:3] for name in _MONTHS.split()} | {
    name[:3]: name[:3] for name in _MONTHS.split() if name != "may"
}
_UNIT_NAMES = (
    "%:percent,pct,percentage km:kilometer,kilometre,kilometers,kilometres m:meter,metre,meters,metres mi:mile,miles "
    "cm:centimeter,centimetre,centimeters,centimetres mm:millimeter,millimetre,millimeters,millimetres ft:foot,feet "
    "in:inch,inches kg:kilogram,kilograms,kilogramme g:gram,grams mg:milligram,milligrams lb:lbs,pound,pounds "
    "t:ton,tons,tonne,tonnes s:sec,secs,second,seconds min:mins,minute,minutes h:hr,hrs,hour,hours d:day,days "
    "wk:week,weeks mo:month,months y:yr,yrs,year,years "
    "ms:millisecond,milliseconds l:liter,litre,liters,litres ml:milliliter,millilitre,milliliters,millilitres "
    "b:byte,bytes kb:kilobyte,kilobytes mb:megabyte,megabytes gb:gigabyte,gigabytes tb:terabyte,terabytes "
    "$:dollar,dollars,usd €:euro,euros,eur £:gbp v:volt,volts w:watt,watts kw:kilowatt,kilowatts mw:megawatt,megawatts "
    "°c:celsius °f:fahrenheit hz:hertz acre:acres ha:hectare,hectares century:centuries decade:decades mph: kph:km/h"
)
_UNITS = {
    name: unit
    for unit, _, names in (entry.partition(":") for entry in _UNIT_NAMES.split())
    for name in (unit, *names.split(","))
}


_OPPOSED = (
    "increase decrease, rise fall, rose fell, high low, higher lower, more less, most least, first last, before "
    "after, begin end, began ended, start stop, open close, win lose, won lost, large small, larger smaller, "
    "largest smallest, north south, northern southern, east west, eastern western, early late, earlier later, above "
    "below, upper lower, left right, old new, older newer, oldest newest, long short, longer shorter, longest "
    "shortest, allow forbid, allowed forbidden, enable disable, accept reject, import export, positive negative, "
    "male female, maximum minimum, always never, all none, mutable immutable, public private, success failure, true "
    "false, activate inhibit, promote prevent, improve worsen, gain loss, stronger weaker, better worse, best "
    "worst, buy sell, inside outside, internal external, upregulate downregulate, with without, possible "
    "impossible, safe unsafe"
)
_PAIRS = [entry.split() for entry in _OPPOSED.split(",")]
OPPOSITES = {frozenset(terms(left)[:1]) | frozenset(terms(right)[:1]) for left, right in _PAIRS}


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one span of text.

    `numbers` maps a figure to the units it stands with (`""` for none). `names` are
    capitalised words in order, folded. `negated` holds the terms within reach of a
    negator; `negates` says whether there is one.
    """

    terms: frozenset[str]
    numbers: dict[str, frozenset[str]]
    months: frozenset[str]
    names: tuple[str, ...]
    negates: bool
    negated: frozenset[str]


@lru_cache(maxsize=1 << 12)
def facts(text: str) -> Facts:
    """Read the facts of `text` without its citation markers and Markdown marks.

    Cached: a sentence is read when it is picked, when it is cited and for the next question.
    """
    plain = plain_text(text)
    words = [found[0] for found in _WORD.finditer(plain)]
    lower = [word.casefold() for word in words]
    negators = [place for place, word in enumerate(lower) if _NOT.search(word)]
    reached = [word for place in negators for word in lower[place + 1 : place + 1 + NEGATION_REACH]]
    return Facts(
        terms=content_terms(plain),
        numbers=_numbers(plain, lower),
        months=frozenset(MONTHS[word] for word, spelt in zip(lower, words, strict=True) if _is_month(word, spelt)),
        names=tuple(_names(plain)),
        negates=bool(negators),
        negated=content_terms(" ".join(reached)),
    )


def merged(parts: Iterable[Facts]) -> Facts:
    """The facts of several spans together, in their order."""
    parts = tuple(parts)
    figures = {figure for part in parts for figure in part.numbers}
    return Facts(
        terms=frozenset().union(*(part.terms for part in parts)),
        numbers={
            figure: frozenset().union(*(part.numbers.get(figure, frozenset()) for part in parts)) for figure in figures
        },
        months=frozenset().union(*(part.months for part in parts)),
        names=tuple(name for part in parts for name in part.names),
        negates=any(part.negates for part in parts),
        negated=frozenset().union(*(part.negated for part in parts)),
    )


def opposed(claim: frozenset[str], span: frozenset[str]) -> bool:
    """Whether one text has the opposite of a word of the other, and not that word too."""
    mine, theirs = claim - span, span - claim
    return any(pair & mine and pair & theirs for pair in OPPOSITES)


def plain_text(text: str) -> str:
    """What a reader of the rendered `text` sees, without numbers in brackets: see `documents.inline`."""
    return _MARKER.sub("", inline.plain_text(text))


def content_terms(text: str) -> frozenset[str]:
    """Index terms that are neither stopwords nor negators."""
    return frozenset(term for term in terms(text) if term not in STOPWORDS and not _NOT.search(term))


def _is_month(word: str, spelt: str) -> bool:
    return word in MONTHS and spelt[0].isupper()


def _numbers(plain: str, lower: list[str]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for match in _NUMBER.finditer(plain):
        word = (match["unit"] or "").casefold()
        figure = match["digits"].replace(",", "")
        if word in _SCALES:
            figure, word = f"{float(figure) * _SCALES[word]:.10g}", ""
        elif "." in figure:
            figure = figure.rstrip("0").rstrip(".")
        unit = match["money"] or _UNITS.get(word, "")
        figure = ("-" if match["sign"] else "") + figure
        found[figure] = found.get(figure, frozenset()) | {unit}
    for place, word in enumerate(lower):
        if word in _NUMBER_WORDS:
            unit = _UNITS.get(lower[place + 1], "") if place + 1 < len(lower) else ""
            figure = _NUMBER_WORDS[word]
            found[figure] = found.get(figure, frozenset()) | {unit}
    return found


def _names(plain: str) -> Iterable[str]:
    """Capitalised words, but those that begin a sentence and could be common words."""
    begins = True
    for match in re.finditer(r"[^\W\d_][\w'’\-]*|[.!?:;•|\n\"“(]", plain):
        word = match[0]
        if not word[0].isalnum():
            begins = True
            continue
        inner = any(letter.isupper() for letter in word[1:])
        if (
            word[0].isupper()
            and (inner or not begins)
            and word.casefold() not in STOPWORDS
            and not _is_month(word.casefold(), word)
        ):
            yield re.sub(r"['’]s?$", "", word.casefold())
        begins = False
