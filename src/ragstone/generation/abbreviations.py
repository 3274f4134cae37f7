"""Abbreviations: the common ones, those that a text declares, and initials of adjoining words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

_SAME = """
    approximately: approx, approx., ca., circa, about
    for example: e.g., eg, for instance
    that is: i.e., ie
    and so on: etc., etc, et cetera, and so forth
    versus: vs, vs., v.
    also known as: a.k.a., aka
    doctor: dr, dr.
    professor: prof, prof.
    mister: mr, mr.
    general: gen.
    president: pres.
    senator: sen.
    governor: gov.
    representative: rep.
    captain: capt, capt.
    lieutenant: lt, lt.
    sergeant: sgt, sgt.
    colonel: col.
    reverend: rev.
    saint: st, st.
    street: st.
    avenue: ave, ave.
    road: rd, rd.
    mount: mt, mt.
    fort: ft.
    junior: jr, jr.
    senior: sr, sr.
    company: co.
    incorporated: inc, inc.
    corporation: corp, corp.
    limited: ltd, ltd.
    brothers: bros, bros.
    department: dept, dept.
    university: univ, univ., uni
    government: govt, govt., gov't
    association: assn, assn., assoc.
    international: intl, intl., int'l
    number: no.
    numbers: nos.
    volume: vol, vol.
    page: p.
    pages: pp.
    chapter: ch.
    figure: fig, fig.
    edition: ed., edn.
    section: sec.
    maximum: max, max.
    minimum: min, min.
    average: avg, avg.
    temperature: temp, temp.
    estimated: est.
    established: est.
    monday: mon.
    tuesday: tue., tues.
    wednesday: wed.
    thursday: thu., thurs.
    friday: fri.
    saturday: sat.
    sunday: sun.
    january: jan, jan.
    february: feb, feb.
    march: mar.
    april: apr, apr.
    august: aug, aug.
    september: sept, sept., sep.
    october: oct, oct.
    november: nov, nov.
    december: dec, dec.
    configuration: config
    configurations: configs
    application: app
    applications: apps
    repository: repo
    repositories: repos
    documentation: docs
    parameter: param
    parameters: params
    argument: arg
    arguments: args
    environment: env
    environments: envs
    directory: dir
    directories: dirs
    information: info
    specification: spec
    specifications: specs
    administrator: admin
    administrators: admins
    synchronization: sync
    authentication: auth
    development: dev
    developer: dev
    developers: devs
    database: db
    databases: dbs
    operating system: os
    operating systems: oses
    user interface: ui
    artificial intelligence: ai
    machine learning: ml
    virtual machine: vm
    virtual machines: vms
    television: tv
    laboratory: lab
    laboratories: labs
    photograph: photo
    photographs: photos
    telephone: phone
    telephones: phones
    refrigerator: fridge
    examination: exam
    examinations: exams
    mathematics: maths, math
    advertisement: ad
    advertisements: ads
    memorandum: memo
    gymnasium: gym
    statistics: stats
    vehicle identification number: vin
    doctor of philosophy: phd, ph.d.
    deoxyribonucleic acid: dna
    ribonucleic acid: rna
    human immunodeficiency virus: hiv
    second world war: world war ii, world war 2, world war two, wwii, ww2
    first world war: world war i, world war 1, world war one, wwi, ww1
    soviet union: ussr
    united arab emirates: uae
    new zealand: nz
    new york city: nyc
    los angeles: la
    washington, d.c.: washington, dc, washington dc
    great britain: gb
    prime minister: pm
    chief executive officer: ceo, chief executive
    member of parliament: mp
    members of parliament: mps
    north atlantic treaty organization: nato
    before christ: bc, b.c.
    anno domini: ad, a.d.
    before midday: am, a.m.
    because of: due to, owing to, on account of
    although: though, even though
    while: whereas, whilst
    in order to: so as to
    such as: for example, for instance
    several: a number of, numerous
    many: a large number of, a lot of, lots of
    most of: the majority of
    currently: at present, presently, at the moment, nowadays
    additionally: in addition, also, moreover, furthermore
    before: prior to
    after: subsequent to, following
    despite: in spite of, notwithstanding
    regarding: with regard to, concerning, with respect to
    took place: happened, occurred
    takes place: happens, occurs
    take place: happen, occur
    died: passed away
    carried out: performed, conducted
    carry out: perform, conduct
    set up: established, founded
    consists of: is made up of, is composed of, comprises
    consist of: are made up of, are composed of, comprise
    close to: near, nearby
    located in: situated in
    called: named, known as
    more than: over, in excess of
    less than: under, fewer than
    at least: no less than, no fewer than, a minimum of
    at most: no more than, a maximum of, up to
    nearly: almost
    about: around, approximately, roughly
    is able to: can
    are able to: can
    was able to: could
    has to: must
    have to: must
    needs to: must
    instead of: rather than, in place of
    as well as: and
    together with: along with
    in total: altogether
    at first: initially
    at last: finally, in the end, eventually
    as a result: consequently, therefore, thus
"""
"""Abbreviations that writers use undeclared, with what they stand for, and phrases that say the same.

An abbreviation with a stop is none without it."""

_SMALL = r"(?:of|the|and|for|in|on|to|de|&)"
_DECLARED = re.compile(r"\((?P<in>[^()]{2,80})\)")
_SHORT = re.compile(r"[A-Z][A-Za-z0-9.&/-]{1,9}")
_ACRONYM = re.compile(r"\b[A-Z](?:\.?[A-Z]){1,6}s?\b")
_LAST_WORD = re.compile(r"[^\W_]+(?=[^\w]*$)")
_WORD = re.compile(r"[^\W\d_]+")
_SMALL_WORD = re.compile(_SMALL)
MIN_WORD_CHARS = 3
"""Letters of a word that gives an initial, at least."""


def _phrases() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _SAME.strip().splitlines():
        name, _, forms = line.strip().partition(": ")
        for form in (name, *forms.split(", ")):
            found.setdefault(form, set()).add(f"={name}")
    return {form: frozenset(names) for form, names in found.items()}


PHRASES = _phrases()


def abbreviated(form: str) -> frozenset[str]:
    """What a common abbreviation, or the words that it stands for, may mean; empty if it is none."""
    return PHRASES.get(form.casefold(), frozenset())


def with_initials(claim: str, evidence: str, declared: Iterable[tuple[str, str]]) -> str:
    """`claim` with the short or the long form that its evidence has; `declared` are (short, long) of the passage."""
    for short, long in declared:
        claim = _exchanged(claim, evidence, short, long)
    for short in dict.fromkeys(found[0] for found in _ACRONYM.finditer(evidence)):
        if (long := _spelt_out(short, claim, evidence)) and not _holds(evidence, long):
            claim = re.sub(rf"\b{re.escape(long)}\b(?: \({re.escape(short)}\))?", short, claim)
    for short in dict.fromkeys(found[0] for found in _ACRONYM.finditer(claim)):
        if not _holds(evidence, short) and (long := _spelt_out(short, evidence, claim)):
            claim = re.sub(rf"\b{re.escape(short)}\b", lambda _, long=long: long, claim)  # type: ignore[misc]
    return claim


def _holds(text: str, word: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}\b", text))


def declarations(text: str) -> Iterator[tuple[str, str]]:
    """(short, long) of "Long Form (LF)" and "LF (Long Form)"."""
    for found in _DECLARED.finditer(text):
        before, within = text[max(0, found.start() - 120) : found.start()].rstrip(), found["in"].strip()
        if _SHORT.fullmatch(within):
            if long := _long_form(within, before):
                yield within, long
        elif (short := re.search(rf"{_SHORT.pattern}$", before)) and (long := _long_form(short[0], within)):
            yield short[0], long


def _long_form(short: str, before: str) -> str:
    """The shortest end of `before` that has the letters of `short` in order, the first at a word's beginning.

    The algorithm of Schwartz and Hearst, Pacific Symposium on Biocomputing 2003.
    """
    letters = [letter for letter in short.casefold() if letter.isalnum()]
    if letters and letters[-1] == "s" and short.endswith("s"):
        letters = letters[:-1]
    at = len(before)
    for place in range(len(letters) - 1, -1, -1):
        at -= 1
        while at >= 0 and (
            before[at].casefold() != letters[place] or (place == 0 and at > 0 and before[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return ""
    long = before[at:]
    return long if len(short) < len(long) and len(long.split()) <= min(len(short) + 5, 2 * len(short)) else ""


def _exchanged(claim: str, evidence: str, short: str, long: str) -> str:
    """The form of the evidence in the place of the other one."""
    first = re.compile(rf"\b{re.escape(long)}(?=s?\b)(?!s? \( ?{re.escape(short)})", re.IGNORECASE)
    second = re.compile(rf"(?<!\()(?<!\( )\b{re.escape(short)}(?=s?\b)")
    has_short, has_long = second.search(evidence), first.search(evidence)
    if has_short and not has_long:
        return first.sub(lambda _: short, claim)
    if has_long and not has_short:
        return second.sub(lambda _: has_long[0], claim)
    return claim


def _spelt_out(short: str, text: str, other: str) -> str:
    """The adjoining words of `text` with the initials of `short`, which stands in `other`, or nothing.

    Two letters may be the initials of any two words: they count only between the same words.
    """
    letters = short.removesuffix("s").replace(".", "")
    if letters.casefold() not in _initials(text):
        return ""
    words = [rf"(?!{_SMALL}\b){letter}[^\W\d_]{{2,}}" for letter in letters]
    for found in re.finditer(r"\b" + rf"(?:,? |-)(?:{_SMALL} ){{0,2}}".join(words) + r"\b", text, re.IGNORECASE):
        if len(letters) > 2 or _around(text, *found.span()) == _around(other, *_span_of(short, other)):
            return found[0]
    return ""


@lru_cache(maxsize=1 << 8)
def _initials(text: str) -> str:
    """The first letters of the words that count, folded."""
    words = [found[0].casefold() for found in _WORD.finditer(text)]
    return "".join(word[0] for word in words if len(word) >= MIN_WORD_CHARS and not _SMALL_WORD.fullmatch(word))


def _span_of(word: str, text: str) -> tuple[int, int]:
    found = re.search(rf"\b{re.escape(word)}\b", text)
    return found.span() if found else (0, 0)


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    """The words before and behind a span."""
    before, behind = _LAST_WORD.search(text[:start]), _WORD.search(text[end:])
    return (before[0].casefold() if before else "", behind[0].casefold() if behind else "")
