"""The facts that a text states, read without a model: terms, figures, units, months, names and negations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ragstone.documents import inline
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.canonical import canonical
from ragstone.generation.units import units_of

NEGATION_REACH = 4
"""A negator turns around the content terms among this many words after it."""

_MARKER = re.compile(r"[\[【]\s*\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*[\]】]")
_NUMBER = re.compile(
    r"(?P<money>[$€£¥])?(?<![A-Za-z0-9_.])(?P<sign>-(?=\d))?(?P<digits>\d{1,40}(?:,\d{3}){0,9}(?:\.\d{1,40}){0,9})"
    r"(?P<kind>(?:st|nd|rd|th|s)\b)?(?:[ -]?(?P<unit>%|°[CF]?|[A-Za-zµμ]{1,20}(?:/h)?(?![A-Za-z])))?"
)
_DECADE = re.compile(r"\d{2,3}0")
_ORDINAL = ("st", "nd", "rd", "th")
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+")
_NEGATORS = (
    "not no never none nothing nobody neither nor cannot without unable hardly barely scarcely "
    "nicht kein keine keinen keinem keiner keines nie niemals ohne niet geen ikke inte ei eivät "
    "pas jamais sans nunca sin ningún ninguna non não nem sem nie не нет ни никогда без "
    "لا لم لن ليس ليست غير بدون tidak bukan değil hapana"
)
_NOT = re.compile(f"(?:{'|'.join(_NEGATORS.split())})")
_NOT_WITHIN = re.compile(
    "不(?![同仅僅断斷过過但])|[没沒無]|无(?![论論])|未(?![来來])|非(?!常)|ไม่|नहीं|ない|なかった|ません|않|없"
)
"""Negation in scripts without spaces between words, or with vowel signs that are no letters to `_WORD`."""
_IMPLIED_NOT = re.compile(
    r"\b(?:(?:fail|refus|declin|neglect|ceas)(?:e|s|es|ed|ing)? to|failure to|stopped short of"
    r"|(?:am|is|are|was|were) far from|den(?:y|ies|ied|ying)(?: that)?|unlikely to)\b"
)

_MONTHS = "january february march april may june july august september october november december"
MONTHS = {name: name[:3] for name in _MONTHS.split()} | {
    name[:3]: name[:3] for name in _MONTHS.split() if name != "may"
}

_OPPOSED = (
    "increase decrease, rise fall, rose fell, high low, higher lower, more less, most least, first last, "
    "before after, begin end, began ended, start stop, open close, win lose, won lost, large small, "
    "larger smaller, largest smallest, north south, northern southern, east west, eastern western, "
    "early late, earlier later, above below, upper lower, left right, old new, older newer, oldest newest, "
    "long short, longer shorter, longest shortest, allow forbid, allowed forbidden, enable disable, "
    "accept reject, import export, positive negative, male female, maximum minimum, always never, all none, "
    "mutable immutable, public private, success failure, true false, activate inhibit, promote prevent, "
    "improve worsen, gain loss, stronger weaker, better worse, best worst, buy sell, inside outside, "
    "internal external, upregulate downregulate, with without, possible impossible, safe unsafe, hot cold, "
    "warm cold, day night, morning evening, rich poor, cheap expensive, fast slow, easy difficult, easy hard, "
    "simple complex, wide narrow, deep shallow, strong weak, heavy light, full empty, young old, "
    "modern ancient, major minor, majority minority, front back, top bottom, near far, wet dry, alive dead, "
    "include exclude, support oppose, create destroy, build demolish, appear disappear, arrive leave, "
    "arrive depart, agree disagree, expand shrink, grow shrink, attack defend, love hate, friend enemy, "
    "ally enemy, victory defeat, war peace, presence absence, present absent, legal illegal, same different, "
    "common rare, dangerous safe, successful unsuccessful, profit loss, birth death, born died, husband wife, "
    "father mother, brother sister, son daughter, king queen, boy girl, man woman, men women, "
    "teacher student, winner loser, former latter, primary secondary, odd even, input output, read write, "
    "encrypt decrypt, install uninstall, add remove, add subtract, multiply divide, upload download, "
    "lock unlock, push pull, send receive, ask answer, enter leave, join leave, marry divorce, raise lower, "
    "ascend descend, ancestor descendant, parent child, minimal maximal, permit prohibit, approve reject, "
    "confirm refute, despite because, although because, until since, for against, if unless, like unlike, "
    "during after, during before, required optional, voluntary mandatory, permanent temporary, "
    "active passive, guilty innocent, true untrue, known unknown, direct indirect, visible hidden, "
    "sweet bitter, vertical horizontal, urban rural, domestic foreign, national international, "
    "conservative liberal, surplus deficit, supply demand, acid alkaline, benign malignant, acute chronic, "
    "activation inhibition, promote inhibit, gain lose, gained lost, summer winter, spring autumn, dawn dusk, "
    "sunrise sunset, quiet loud, thick thin, tall short, broad narrow, sharp blunt, smooth rough, "
    "tight loose, clean dirty, clear vague, brave cowardly, wise foolish, beautiful ugly, honest dishonest, "
    "generous greedy, optimistic pessimistic, introduced abolished, founded dissolved, established abolished, "
    "hired fired, employed unemployed, elected defeated, single married, más menos, mayor menor, "
    "siempre nunca, todos algunos, todo nada, antes después, primero último, puede debe, mejor peor, "
    "aumenta disminuye, grande pequeño, alto bajo, abierto cerrado, verdadero falso, norte sur, "
    "público privado, obligatorio opcional, nuevo viejo, mehr weniger, größer kleiner, immer nie, "
    "alle einige, vor nach, erste letzte, kann muss, besser schlechter, steigt sinkt, groß klein, "
    "hoch niedrig, offen geschlossen, wahr falsch, neu alt, plus moins, toujours jamais, tous certains, "
    "avant après, premier dernier, peut doit, meilleur pire, augmente diminue, grand petit, haut bas, "
    "ouvert fermé, vrai faux, nouveau ancien"
)
_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non")
MIN_PREFIXED_CHARS = 6
_PAIRS = [entry.split() for entry in _OPPOSED.split(",")]
OPPOSITES = {frozenset(terms(left)[:1]) | frozenset(terms(right)[:1]) for left, right in _PAIRS}


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one span of text.

    `numbers` maps a figure to the units it stands with (`""` for none). `names` are
    capitalised words in order, folded. `negated` holds the terms within reach of a
    negator; `negates` says whether there is one. `words` are all words in order, folded.
    """

    terms: frozenset[str]
    numbers: dict[str, frozenset[str]]
    months: frozenset[str]
    names: tuple[str, ...]
    negates: bool
    negated: frozenset[str]
    words: tuple[str, ...] = ()


@lru_cache(maxsize=1 << 12)
def facts(text: str) -> Facts:
    """Read the facts of `text` without its citation markers and Markdown marks.

    Cached: a sentence is read when it is picked, when it is cited and for the next question.
    """
    plain = canonical(plain_text(text))
    words = [found[0] for found in _WORD.finditer(plain)]
    lower = [word.casefold() for word in words]
    negators = _negators(plain, lower)
    reached = [word for place in negators for word in lower[place + 1 : place + 1 + NEGATION_REACH]]
    within = [found.end() for found in _NOT_WITHIN.finditer(plain)]
    reached += [plain[end : end + NEGATION_REACH] for end in within]
    return Facts(
        terms=content_terms(plain),
        numbers=_numbers(plain),
        months=frozenset(MONTHS[word] for word, spelt in zip(lower, words, strict=True) if _is_month(word, spelt)),
        names=tuple(_names(plain)),
        negates=bool(negators or within),
        negated=content_terms(" ".join(reached)),
        words=tuple(lower),
    )


def _negators(plain: str, lower: list[str]) -> list[int]:
    """The places of the words that negate; of a phrase, such as "failed to", its last word."""
    found = [place for place, word in enumerate(lower) if _NOT.fullmatch(word)]
    ends = [phrase.end() for phrase in _IMPLIED_NOT.finditer(plain.casefold())]
    return found + [len(_WORD.findall(plain[:end])) - 1 for end in ends]


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
        words=tuple(word for part in parts for word in part.words),
    )


def opposed(claim: frozenset[str], span: frozenset[str]) -> bool:
    """Whether one text has the opposite of a word of the other, and not that word too."""
    mine, theirs = claim - span, span - claim
    return (
        any(pair & mine and pair & theirs for pair in OPPOSITES) or _prefixed(mine, theirs) or _prefixed(theirs, mine)
    )


def _prefixed(plain: frozenset[str], negative: frozenset[str]) -> bool:
    """Whether one word is another with a prefix that negates, such as "unknown"."""
    return any(
        term.startswith(_PREFIXES) and any(term == prefix + other for prefix in _PREFIXES for other in plain)
        for term in negative
        if len(term) >= MIN_PREFIXED_CHARS
    )


def plain_text(text: str) -> str:
    """What a reader of the rendered `text` sees, without numbers in brackets: see `documents.inline`."""
    return _MARKER.sub("", inline.plain_text(text))


def content_terms(text: str) -> frozenset[str]:
    """Index terms that are neither stopwords nor negators."""
    return frozenset(term for term in terms(text) if term not in STOPWORDS and not _NOT.fullmatch(term))


def _is_month(word: str, spelt: str) -> bool:
    return word in MONTHS and spelt[0].isupper()


def _numbers(plain: str) -> dict[str, frozenset[str]]:
    """Each figure with its units. Ordinals (`3rd`) and decades (`1980s`) are figures of their own."""
    found: dict[str, frozenset[str]] = {}
    for match in _NUMBER.finditer(plain):
        figure = match["digits"].replace(",", "")
        kind = match["kind"] or ""
        if kind == "s" and not _DECADE.fullmatch(figure):
            kind = ""
        units = frozenset(match["money"] or ()) or units_of(match["unit"] or "") if not kind else frozenset[str]()
        figure = f"{'-' if match['sign'] else ''}{figure}{'th' if kind in _ORDINAL else kind}"
        found[figure] = found.get(figure, frozenset()) | (units or {""})
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
