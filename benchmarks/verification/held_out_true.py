"""Held-out kinds of true sentences: building the check and training its model never look at this module.

See `held_out`. Each maker says the same in another form, or leaves something out that does not limit the rest; some
change the passage instead of the claim (line breaks, quotation marks).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from textwrap import wrap

from benchmarks.verification.cases import Case, Source
from benchmarks.verification.held_out_words import ABBREVIATIONS, OPENINGS, ORDINALS, SPELLINGS, SYNONYMS
from benchmarks.verification.sentences_of import capitalised, decapitalised, exchanged, spots

Restating = Callable[[str, random.Random], str | None]
Rewriting = Callable[[str, str], tuple[str, str] | None]
"""Claim and passage to claim and passage."""

PAGE_WIDTH = 58
"""Characters of a line of a two-column page."""

_NAMES = "January February March April May June July August September October November December"
MONTHS = tuple(_NAMES.split())
_MONTH = rf"(?P<month>{'|'.join(MONTHS)})"
UNITS = {
    "km": "kilometres",
    "kilometres": "km",
    "kilometers": "km",
    "kg": "kilograms",
    "kilograms": "kg",
    "mg": "milligrams",
    "cm": "centimetres",
    "mm": "millimetres",
    "metres": "m",
    "meters": "m",
    "miles": "mi",
    "feet": "ft",
    "ft": "feet",
    "hectares": "ha",
    "tonnes": "t",
    "ms": "milliseconds",
    "milliseconds": "ms",
    "seconds": "s",
    "minutes": "min",
    "min": "minutes",
    "hours": "h",
    "mL": "millilitres",
    "MB": "megabytes",
    "GB": "gigabytes",
    "bytes": "B",
    "kDa": "kilodaltons",
}
_OWNED = (
    "capital president king queen government history population economy coast army constitution leader parliament "
    "death work theory reign life author founder culture climate independence throne wife son daughter role effect "
    "effects function structure size value behavior type body length mass motion speed activity expression course "
    "mouth source output purpose name signature definition lifetime pathogenesis development severity presence people"
)
OWNED = tuple(_OWNED.split())


def pairs_of(source: Source, random_: random.Random) -> Iterator[Case]:
    """The true cases of one passage, at most one of a kind."""
    found = spots(source)
    random_.shuffle(found)
    for kind, restate in RESTATING[source.language].items():
        for claim in found:
            made = restate(claim, random_)
            if made and made != claim:
                yield Case(kind, True, made, source.text, source.title, source.language)
                break
    for kind, rewrite in REWRITING.items():
        for claim in found:
            if rewritten := rewrite(claim, source.text):
                yield Case(_named(kind, source), True, *rewritten, source.title, source.language)
                break
    yield from _list_items(source, random_)


def _named(kind: str, source: Source) -> str:
    return kind if source.language == "en" else f"{kind} ({source.language})"


def ordinal_form(claim: str, random_: random.Random) -> str | None:
    """`19th` to `nineteenth`, `the first edition` to `the 1st edition`."""
    if found := re.search(r"\b(\d{1,2})(?:st|nd|rd|th)\b", claim):
        return _put(claim, found, ORDINALS[int(found[1]) - 1]) if 1 <= int(found[1]) <= len(ORDINALS) else None
    found = re.search(rf"(?<=\bthe )({'|'.join(ORDINALS)})(?= [a-z])", claim)
    if not found:
        return None
    place = ORDINALS.index(found[0]) + 1
    return _put(claim, found, f"{place}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(place, 'th') }")


def percent_form(claim: str, random_: random.Random) -> str | None:
    if found := re.search(r"(?<=\d)(?: percent| per cent)\b", claim):
        return _put(claim, found, "%")
    found = re.search(r"(?<=\d) ?%", claim)
    return found and _put(claim, found, " percent")


def unit_form(claim: str, random_: random.Random) -> str | None:
    found = re.search(rf"(?<=\d)[ -]?({'|'.join(UNITS)})\b(?![/^²³-])", claim)
    return found and _put(claim, found, f" {UNITS[found[1]]}")


def date_form(claim: str, random_: random.Random) -> str | None:
    """`January 18, 1974` to `18 January 1974` or `1974-01-18`, and the reverse."""
    american = re.search(rf"\b{_MONTH} (?P<day>\d{{1,2}}) ?, (?P<year>\d{{4}})", claim)
    british = re.search(rf"\b(?P<day>\d{{1,2}}) {_MONTH} (?P<year>\d{{4}})", claim)
    found = american or british
    if not found:
        return None
    day, month, year = found["day"], found["month"], found["year"]
    other = f"{day} {month} {year}" if american else f"{month} {day}, {year}"
    written = f"{year}-{MONTHS.index(month) + 1:02d}-{int(day):02d}"
    return _put(claim, found, random_.choice((other, written)))


def active(claim: str, random_: random.Random) -> str | None:
    """`The law was passed by the senate in 1990` to `The senate passed the law in 1990`."""
    found = re.match(
        r"(?P<what>(?:The|A|An|This|These|[A-Z]\w+) [^,;:]{2,90}?) "
        r"(?P<be>was|were|is|are|has been|have been) (?:first )?"
        r"(?P<verb>[a-z]{3,}ed|built|made|found|held|led|won|sold|taught) "
        r"by (?P<who>(?:the |a |an )?[^,;:()]{3,60}?)"
        r"(?P<when> ?,? (?:in|on|during) (?:the )?[\w ]{3,30})? ?\.$",
        claim,
    )
    if not found or re.search(r"\b(?:that|which|who|in|on|at|for|with|from|to|using|means)\b", found["who"]):
        return None
    if re.search(r"\b(?:that|which|who|we|was|were|is|are|and)\b", found["what"]):
        return None
    verb = _present(found["verb"], found["who"]) if found["be"] in ("is", "are") else found["verb"]
    aspect = "have " if found["be"].endswith("been") else ""
    what = decapitalised(found["what"])
    return verb and f"{capitalised(found['who'])} {aspect}{verb} {what}{found['when'] or ''}."


def _present(participle: str, who: str) -> str | None:
    """`regulated` to `regulates` or `regulate`, for verbs whose base is sure to end with an e."""
    if not re.search(r"(?:ate|ize|ise|uce|ine|ibe|ose|ide|age|ire|ure|ude|olve)d$", participle):
        return None
    return participle[:-1] + ("" if re.search(r"[^s]s$", who) or " and " in who else "s")


def synonym(claim: str, random_: random.Random) -> str | None:
    """One or two words for synonyms."""
    once = exchanged(claim, SYNONYMS, random_)
    return (exchanged(once, SYNONYMS, random_) or once) if once and random_.random() < 0.3 else once


def appositive_dropped(claim: str, random_: random.Random) -> str | None:
    """`Oslo, the capital of Norway, is …` to `Oslo is …`."""
    apart = (
        "In On At By After Before During For From With When While As If Although Since To Under Among Despite Because "
        "Though However Thus Therefore Here Unlike Like Both Until Through"
    )
    found = re.match(
        rf"(?P<head>(?!(?:{apart.replace(' ', '|')})\b)[A-Z][^,;:()]{{1,60}}) ?, "
        r"(?:which|who|whose|a|an|the|also|formerly|born) [^,;:()]{4,90} ?,"
        r"(?= (?:is|was|are|were|has|had|have|can|will|[a-z]+ed|became|began|took|came|led)\b)",
        claim,
    )
    return found and found["head"].rstrip() + claim[found.end() :]


def connective_dropped(claim: str, random_: random.Random) -> str | None:
    found = re.match(rf"(?:{'|'.join(OPENINGS)}) ?, (?=[a-z])", claim)
    return found and capitalised(claim[found.end() :])


def clause_moved(claim: str, random_: random.Random) -> str | None:
    """`When A, B` to `B when A`."""
    found = re.match(
        r"(When|If|Because|Although|While|After|Before|Once|Unless) ([^,;:()]{8,110}) ?, (?:then )?([^;:()]{8,140})\.$",
        claim,
    )
    if not found or found[3].startswith(("and ", "or ", "but ")):
        return None
    return f"{capitalised(found[3]).rstrip()} {found[1].lower()} {found[2].rstrip()}."


def possessive(claim: str, random_: random.Random) -> str | None:
    """`the capital of France` to `France's capital`."""
    owner = r"(?P<owner>[A-Z]\w+(?: [A-Z]\w+)?|(?!an?\b|the\b)[a-z][\w-]+)"
    after = r"(?= (?:is|was|are|were|has|had|in|on|at|by|from|as|to|can|may|could|will)\b|[.;]$)"
    found = re.search(rf"\b[Tt]he (?P<owned>{'|'.join(OWNED)}) of {owner}{after}", claim)
    mark = "'" if found and found["owner"].endswith("s") else "'s"
    return found and _put(claim, found, f"{found['owner']}{mark} {found['owned']}")


def item_dropped(claim: str, random_: random.Random) -> str | None:
    """`such as A, B, and C` to `such as A and C`."""
    items = r"(?P<first>[^,;:.()]{2,30}) ?, [^,;:.()]{2,30} ?,? (?P<link>and|or) (?P<last>[^,;:.()]{2,40})(?=\.$)"
    found = re.search(rf"(?P<lead>\b(?:such as|including|includes|include|like) ){items}", claim)
    return found and _put(claim, found, f"{found['lead']}{found['first'].rstrip()} {found['link']} {found['last']}")


def brackets_dropped(claim: str, random_: random.Random) -> str | None:
    short = re.sub(r"\s?[（(][^()（）]*[)）]", "", claim)
    return short if len(short) >= len(claim) / 2 else None


def verbatim(claim: str, random_: random.Random) -> str | None:
    """The sentence, without its stop: equal but for the last character."""
    return claim.rstrip(".。")


def wrapped(claim: str, text: str) -> tuple[str, str]:
    """The passage in lines of a page, as a PDF has them; the claim in one line."""
    return claim, "\n".join(wrap(text, PAGE_WIDTH, break_on_hyphens=False, break_long_words=False))


def figure_broken_off(claim: str, text: str) -> tuple[str, str] | None:
    """A line break between a figure and its word, and one inside a name."""
    if claim.count("`") or not re.search(r"\b\d[\d,.]* (?=[A-Za-z])", claim):
        return None
    broken = re.sub(r"(\b\d[\d,.]*) (?=[A-Za-z])", r"\1\n", claim)
    broken = re.sub(r"(?<=[a-z] )([A-Z][a-z]+) (?=[A-Z][a-z])", r"\1\n", broken)
    return claim, text.replace(claim, broken)


def word_broken_off(claim: str, text: str) -> tuple[str, str] | None:
    """A long word divided by a hyphen at the end of a line."""
    found = re.search(r"\b[a-z]{5}(?=[a-z]{5,}\b)", claim)
    return found and (claim, text.replace(claim, f"{claim[: found.end()]}-\n{claim[found.end() :]}"))


def typographic(claim: str, text: str) -> tuple[str, str] | None:
    """Straight marks in the claim, typographic ones in the passage."""
    if "`" in claim or not re.search(r"['\"]|\d-\d|\w-\w", claim):
        return None
    fine = re.sub(r'"([^"\n]*)"', "“\\1”", claim)
    fine = re.sub(r"(?<=\w)'(?=\w)", "’", fine)
    fine = re.sub(r"(?<=\d)-(?=\d)", "–", fine)
    fine = re.sub(r"(?<=[a-z])-(?=[a-z])", "\u2010", fine)
    return (claim, text.replace(claim, fine)) if fine != claim else None


def unmarked(claim: str, text: str) -> tuple[str, str] | None:
    """The claim without the Markdown marks of the passage."""
    plain = re.sub(r"`([^`]*)`", r"\1", claim)
    plain = re.sub(r"\*\*([^*]+)\*\*", r"\1", plain)
    plain = re.sub(r"(?<!\w)[*_]([^*_]+)[*_](?!\w)", r"\1", plain)
    return (plain, text) if plain != claim else None


def marked(claim: str, text: str) -> tuple[str, str] | None:
    """The passage with an emphasised word and a link; the claim without."""
    words = re.findall(r"(?<= )[a-z]{6,}(?= )", claim)
    if len(words) < 2 or "`" in claim or "*" in claim:
        return None
    rich = claim.replace(f" {words[0]} ", f" **{words[0]}** ", 1)
    rich = rich.replace(f" {words[-1]} ", f" [{words[-1]}](../more.md#part) ", 1)
    return claim, text.replace(claim, rich)


def _list_items(source: Source, random_: random.Random) -> Iterator[Case]:
    """An item of a list with its lead, as one sentence."""
    found = re.search(
        r"(?m)^(?P<lead>[A-ZÁÉÍÓÚ¿\u4e00-\u9fff][^\n`*<>\[\]]{15,150})[:：]\n\n?"
        r"(?P<items>(?:[*-] [^\n]{5,160}\n?){2,})",
        source.text,
    )
    if not found:
        return
    items = [item[2:].strip() for item in found["items"].strip().split("\n")]
    clean = [item for item in items if not re.search(r"[\[\]<>{}:：]|https?|\*\*", item)]
    if clean:
        claim = f"{found['lead']}: {random_.choice(clean)}"
        claim = claim if claim.endswith((".", "。")) else f"{claim}."
        yield Case(_named("list item with its lead", source), True, claim, source.text, source.title, source.language)


def _put(claim: str, place: re.Match[str], words: str) -> str:
    changed = claim[: place.start()] + words + claim[place.end() :]
    return capitalised(changed) if not place.start() else changed


RESTATING: dict[str, dict[str, Restating]] = {
    "en": {
        "ordinal in another form": ordinal_form,
        "percent in another form": percent_form,
        "unit in another form": unit_form,
        "date in another order": date_form,
        "active for passive": active,
        "synonym": synonym,
        "appositive dropped": appositive_dropped,
        "connective dropped": connective_dropped,
        "clause moved": clause_moved,
        "possessive": possessive,
        "item of a list dropped": item_dropped,
        "abbreviation": lambda claim, random_: exchanged(claim, ABBREVIATIONS, random_, fold=False),
        "spelling of another country": lambda claim, random_: exchanged(claim, SPELLINGS, random_),
    },
    "es": {"verbatim (es)": verbatim, "shortened (es)": brackets_dropped},
    "zh": {"verbatim (zh)": verbatim, "shortened (zh)": brackets_dropped},
}
REWRITING: dict[str, Rewriting] = {
    "lines of a page": wrapped,
    "figure and word on two lines": figure_broken_off,
    "word divided at a line's end": word_broken_off,
    "typographic marks": typographic,
    "Markdown marks left out": unmarked,
    "emphasis and link in the passage": marked,
}
