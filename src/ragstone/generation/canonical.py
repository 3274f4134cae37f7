"""Canonical text for comparing: one spelling for what is written in several ways.

A statement and its source may write the same figure as `1,500,000` or `1.5 million`, break a line between a
figure and its unit, or say `isn't` for `is not`. `canonical` gives both one spelling. It is for comparing only:
what a reader sees, and what offsets refer to, stays as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

_SUPERSCRIPT = re.compile("(?<=[0-9])[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]")
_FRACTION = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e])")
_NARROW_THOUSANDS = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u0060\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""),
        "\u2044": "/",
    }
)
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
_SPACES = re.compile(r"\s+")

# Quantifiers are bounded wherever a run may be long, so that the time stays linear in the text.
_PLAIN_CONTRACTIONS = (
    (re.compile(r"\b([Cc])an(?:'t|not)\b"), r"\1an not"),
    (re.compile(r"\b([Ww])on't\b"), r"\1ill not"),
    (re.compile(r"\b([Ss])han't\b"), r"\1hall not"),
    (re.compile(r"(?<=[a-z])n't\b"), " not"),
    (re.compile(r"(?<=[a-z])'re\b"), " are"),
    (re.compile(r"(?<=[a-z])'ve\b"), " have"),
    (re.compile(r"(?<=[a-z])'ll\b"), " will"),
    (re.compile(r"\bI'm\b"), "I am"),
    (re.compile(r"\b([Ii]t|[Hh]e|[Ss]he|[Tt]hat|[Tt]here|[Ww]hat|[Ww]ho|[Hh]ere)'s\b"), r"\1 is"),
    (re.compile(r"\b([Ll])et's\b"), r"\1et us"),
    (re.compile(r"(?<=\b[0-9]{3}0)'s\b"), "s"),
)
_NAMES = (
    (re.compile(r"\bU\. ?S\. ?A\.|\bU\. ?S\.(?![A-Za-z])|\bUSA\b|\bUnited States(?: of America)?\b"), "US"),
    (re.compile(r"\bU\. ?K\.(?![A-Za-z])|\bUnited Kingdom\b"), "UK"),
    (re.compile(r"\bU\. ?N\.(?![A-Za-z])|\bUnited Nations\b"), "UN"),
    (re.compile(r"\bE\. ?U\.(?![A-Za-z])|\bEuropean Union\b"), "EU"),
    (re.compile(r"&(?=\s)"), "and"),
)

_CARDINAL_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_ORDINAL_WORDS = """
    zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
    fifteenth sixteenth seventeenth eighteenth nineteenth
"""
_TENS = "twen thir for fif six seven eigh nine"
_VALUES = {word: value for value, word in enumerate(_CARDINAL_WORDS.split())}
_ORDINALS = {word: value for value, word in enumerate(_ORDINAL_WORDS.split())}
for _value, _stem in enumerate(_TENS.split(), start=2):
    _VALUES[f"{_stem}ty"] = _ORDINALS[f"{_stem}tieth"] = 10 * _value
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
"""Powers of ten."""
_WORD = "|".join((*_VALUES, *_ORDINALS, *_SCALES, "hundred"))
_NUMBER_WORDS = re.compile(
    rf"(?<![\w.-])(?:a (?=hundred|thousand|million|billion))?(?:{_WORD})(?:(?:-| | and )(?:{_WORD}))*(?!\w)",
    re.IGNORECASE,
)
_COUNTED_SECOND = re.compile(r"(?:\d|\b(?:per|every|each|one|a|half|split|next))[ -]$", re.IGNORECASE)
_NO_ORDINAL = re.compile(r"(?:\b(?:at|one|two|a)|\d)[ -]$", re.IGNORECASE)
_REACH = 8
"""Characters before a word that decide whether "second" is a place in a row or a time."""

_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,]*\d)")
_SCALED = re.compile(r"(?<![\w.,])(\d{1,15})(?:\.(\d{1,15}))?[ -](thousand|million|billion|trillion)\b", re.IGNORECASE)
_PERCENT = re.compile(r"(?<=\d) ?(?:%|per ?cent\b|pct\b)", re.IGNORECASE)

_MONTH = (
    "(January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)(?=[. ]))\.?"
)
_MONTH_NAMES = "January February March April May June July August September October November December"
_MONTHS = _MONTH_NAMES.split()
_MONTH_FIRST = re.compile(rf"\b{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?(?!\d|[.:]\d|-\d)(?:,? (?=[12]\d{{3}}\b))?")
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?{_MONTH}(?![a-z])(?:,? (?=[12]\d{{3}}\b))?")
_ISO_DATE = re.compile(r"(?<![\w-])([12]\d{3})-(0[1-9]|1[0-2])-([0-3]\d)(?![\w-])")


def canonical(text: str) -> str:
    """`text` in the spelling that comparisons use; in linear time.

    - Unicode NFKC, plain quotes and dashes, ASCII digits; a superscript digit after a digit becomes `^2`;
    - each run of white space becomes one space, none at the ends;
    - number words from two on become digits, ordinals `1st`, `2nd` ("one" alone is mostly no figure and stays);
      `1,500,000` and `1.5 million` become `1500000`; `5 per cent` becomes `5%`;
    - English dates become `5 March 2010`; contractions are written out; US, UK, UN and EU have one spelling.

    Digits behind a decimal point stay: `3.10` is not `3.1`. Letters keep their case.
    """
    text = _plain(text)
    for pattern, spelt in (*_PLAIN_CONTRACTIONS, *_NAMES):
        text = pattern.sub(spelt, text)
    text = _THOUSANDS.sub(lambda found: found[1].replace(",", ""), text)
    text = _NUMBER_WORDS.sub(_digits, text)
    text = _SCALED.sub(lambda found: _scaled(found[1], found[2] or "", found[3]), text)
    text = _PERCENT.sub("%", text)
    return _with_dates(text)


def _plain(text: str) -> str:
    """The characters in one form, and white space folded."""
    text = _SUPERSCRIPT.sub(lambda found: f"^{found[0]}", text)
    text = _FRACTION.sub(" ", _NARROW_THOUSANDS.sub("", text))
    text = unicodedata.normalize("NFKC", text).translate(_PUNCTUATION)
    text = _OTHER_DIGIT.sub(lambda found: str(unicodedata.digit(found[0])), text)
    return _SPACES.sub(" ", text).strip()


def _with_dates(text: str) -> str:
    text = _ISO_DATE.sub(lambda found: f"{int(found[3])} {_MONTHS[int(found[2]) - 1]} {found[1]}", text)
    text = _MONTH_FIRST.sub(lambda found: _date(found[2], found[1], found[0]), text)
    return _DAY_FIRST.sub(lambda found: _date(found[1], found[2], found[0]), text)


def _date(day: str, month: str, written: str) -> str:
    name = next(name for name in _MONTHS if name.startswith(month[:3]))
    return f"{int(day)} {name}{' ' if written.endswith(' ') else ''}"


def _scaled(whole: str, decimals: str, scale: str) -> str:
    """`1`, `5` and `million` as `1500000`."""
    power = _SCALES[scale.lower()]
    shifted, rest = decimals[:power].ljust(power, "0"), decimals[power:]
    figure = (whole + shifted).lstrip("0") or "0"
    return f"{figure}.{rest}" if rest else figure


def _digits(found: re.Match[str]) -> str:
    """A run of number words in digits; words that make no number together are written one by one."""
    words = found[0].lower().replace("-", " ").split()
    before = found.string[max(0, found.start() - _REACH) : found.start()]
    if len(words) == 1:
        is_part = found.string.startswith("-", found.end())
        return _single(words[0], before, is_part=is_part) or found[0]
    if words[0] == "a":
        words[0] = "one"
    return " ".join(_figures(words))


def _single(word: str, before: str, *, is_part: bool) -> str:
    """One number word in digits, or nothing where it may mean something else, as in "first-rate" (`is_part`)."""
    if word in _VALUES and word != "one":
        return str(_VALUES[word])
    if word in _ORDINALS and not is_part and not (_COUNTED_SECOND if word == "second" else _NO_ORDINAL).search(before):
        return ordinal(_ORDINALS[word])
    return ""


def _figures(words: Sequence[str]) -> Iterator[str]:
    """The figures of a run of number words, as English counts: `one hundred and five` is 105, `two three` is 2 3."""
    number = _Number()
    for word, following in pairwise((*words, "")):
        if word == "and" and number.takes_and(following):
            continue
        if not number.takes(word):
            yield from number.written()
            number = _Number()
        if number.takes(word):
            number.add(word)
        else:
            yield word
    yield from number.written()


class _Number:
    """A number that grows word by word."""

    def __init__(self) -> None:
        self._total = 0  # the closed groups: 3000000 of "three million two"
        self._group = 0  # the open group, below 1000
        self._smallest = 10**15  # a further scale must be smaller
        self._last = ""

    def takes(self, word: str) -> bool:
        """Whether the word continues this number."""
        if word == "hundred":
            return 0 < self._group < 20
        if word in _SCALES:
            return self._group > 0 and 10 ** _SCALES[word] < self._smallest
        value = _VALUES.get(word, _ORDINALS.get(word))
        if value is None or self._last in _ORDINALS:
            return False
        return self._last in ("", "hundred", *_SCALES) or (value < 10 and _VALUES.get(self._last, 0) >= 20)

    def takes_and(self, following: str) -> bool:
        """Whether an "and" before `following` belongs to this number."""
        return self._last in ("hundred", *_SCALES) and following in (_VALUES | _ORDINALS)

    def add(self, word: str) -> None:
        """Continue the number by a word that it takes."""
        if word == "hundred":
            self._group *= 100
        elif word in _SCALES:
            self._smallest = 10 ** _SCALES[word]
            self._total, self._group = self._total + self._group * self._smallest, 0
        else:
            self._group += _VALUES.get(word, _ORDINALS.get(word, 0))
        self._last = word

    def written(self) -> Iterator[str]:
        """The number in digits; nothing if it has no word yet."""
        if self._last in _ORDINALS:
            yield ordinal(self._total + self._group)
        elif self._last:
            yield str(self._total + self._group)


def ordinal(value: int) -> str:
    """The ordinal in digits: `1st`, `2nd`, `3rd`, `11th`."""
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"
