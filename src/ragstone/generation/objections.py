"""Objections: what in a claim contradicts the sentences that it is compared with, found by rules without a model.

A rule objects to what cannot both be so: another figure, unit, month or name; a negation that one of them lacks; the
opposite word; another quantifier, bound or degree of certainty; words that have changed places. The rules read
canonical text. They are written to leave true sentences alone, and see only some of the false ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import pairwise

from ragstone.generation.facts import Facts, content_terms, opposed

NEAR_COPY = 0.8
"""Two texts that share this many terms say the same of the same, or one of them is altered."""

MAX_WORDS = 160
"""Longer texts are not aligned: the time grows with the square."""

MAX_REPLACED = 4
"""Words that replace others, at most, for a rule to compare the two."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PRONOUNS = _set("it he she they this these")
_NO_ORDER = _set(
    "a an the and or of is are was were be been has have had it its he she they his her their also that which who"
)


_SPOKEN = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_JOINT = re.compile(
    r"[;,:()\u2013\u2014]|\b(?:and|but|or|which|who|that|while|where|when|because|though|although|also)\b"
)
_REFERRING = _set("it he she they this these his her its their that those such there then here both")
MIN_SUBJECT = 2
"""Content words of a subject, at least, that are of another sentence."""

FIRST_WORDS = 8
"""Words of a sentence among which a pronoun may be its subject."""

_TURNED = frozenset(
    frozenset(pair.split())
    for pair in (
        "by for",
        "from to",
        "with without",
        "for against",
        "before after",
        "until since",
        "over under",
        "into from",
    )
)
"""Prepositions that turn a sentence round where one replaces the other."""


class Objection(StrEnum):
    """What a rule found."""

    FIGURE = "figure"
    UNIT = "unit"
    MONTH = "month"
    NAME = "name"
    NEGATION = "negation"
    OPPOSITE = "opposite"
    QUANTIFIER = "quantifier"
    CERTAINTY = "certainty"
    BOUND = "bound"
    ONLY = "only"
    CLASS = "class"
    ORDER = "order"
    CELL = "cell"
    CONDITION = "condition"
    """The sentence states it under a condition, or as another's word, and the claim does not: no contradiction."""
    ELSEWHERE = "elsewhere"
    """A figure, month or name stands near the sentence, but not in it: no contradiction, but no support either."""

    SUBJECT = "subject"
    """The claim's subject is of another sentence than what is said of it: no contradiction, but no support either."""


SOFT = frozenset((Objection.CONDITION, Objection.ELSEWHERE, Objection.SUBJECT))
"""Objections that make a claim doubtful, and never contradicted."""


def objections(claim: Facts, span: Facts, near: Facts, context: Facts) -> Iterator[Objection]:
    """What contradicts between a claim and the span.

    `context` are title and headings, which name the subject; `near` are span, neighbours and context.
    """
    yield from _by_figures(claim, span, near, context)
    if _negation_differs(claim, span):
        yield Objection.NEGATION
    if opposed(claim.terms, span.terms) or _opposed_within(claim.terms, span.terms):
        yield Objection.OPPOSITE
    if _bounds_differ(claim.words, span.words):
        yield Objection.BOUND
    copied = len(claim.terms & span.terms) >= NEAR_COPY * len(claim.terms)
    yield from _by_names(claim, span, near, context, copied=copied)
    if copied and (_rearranged(claim.words, span.words) or _owner_differs(claim.words, span.words)):
        yield Objection.ORDER
    if copied:
        yield from _by_alignment(claim.words[:MAX_WORDS], span.words[:MAX_WORDS])
    if copied and _drops_a_condition(claim.words, span.words):
        yield Objection.CONDITION
    yield from _by_words(frozenset(claim.words), frozenset(span.words), copied=copied)


def _by_words(mine: frozenset[str], theirs: frozenset[str], *, copied: bool) -> Iterator[Objection]:
    """Objections that follow from single words."""
    if _exclusive(mine, theirs):
        yield Objection.CLASS
    if _quantity_differs(mine, theirs):
        yield Objection.QUANTIFIER
    if mine & _ONLY and not theirs & _ONLY:
        yield Objection.ONLY
    if _certainty_differs(mine, theirs, copied=copied):
        yield Objection.CERTAINTY


def has_subject_of_another(claim: str, sentence: Facts, context: Facts) -> bool:
    """Whether `claim` begins with words that neither the sentence has, which the rest is of, nor title and headings.

    A sentence that speaks of "he" or "it" may mean the subject of the sentence before. What a conjunction or a mark
    joins are two statements, each with a subject of its own.
    """
    words = [(found, content_terms(found[0])) for found in _SPOKEN.finditer(claim)]
    words = [(found, terms) for found, terms in words if terms]
    known = sentence.terms | context.terms
    here = [bool(terms & known) for _, terms in words]
    subject = here.index(True) if True in here else 0
    if subject < MIN_SUBJECT or not all(here[subject:]) or len(here) - subject <= MIN_SUBJECT:
        return False
    between = claim[words[subject - 1][0].end() : words[subject + 1][0].start()]
    return not _JOINT.search(between) and _REFERRING.isdisjoint(sentence.words[:FIRST_WORDS])


def _by_figures(claim: Facts, span: Facts, near: Facts, context: Facts) -> Iterator[Objection]:
    absent = [figure for figure, units in claim.numbers.items() if _units_of(figure, units, span) is None]
    missing = [figure for figure in absent if figure not in context.numbers]
    spare = span.numbers.keys() - claim.numbers.keys()
    if any(_units_of(figure, claim.numbers[figure], near) is None for figure in missing) or (missing and spare):
        yield Objection.FIGURE
    elif missing:
        yield Objection.ELSEWHERE
    if spare and not missing and "one" in claim.words and "one" not in span.words:
        yield Objection.FIGURE
    if any(_units_differ(units, _units_of(figure, units, span)) for figure, units in claim.numbers.items()):
        yield Objection.UNIT
    if claim.months - near.months or (claim.months - span.months and span.months - claim.months):
        yield Objection.MONTH
    elif claim.months - span.months:
        yield Objection.ELSEWHERE


def _units_of(figure: str, units: frozenset[str], text: Facts) -> frozenset[str] | None:
    """The units that the text has with this figure, or with the same value in other decimals.

    A figure without unit may be a version, where 3.10 is not 3.1.
    """
    if figure in text.numbers:
        return text.numbers[figure]
    for other, known in text.numbers.items():
        if units & known - {""} and "." in figure + other and _shortest(figure) == _shortest(other):
            return known
    return None


def _units_differ(mine: frozenset[str], theirs: frozenset[str] | None) -> bool:
    mine, theirs = mine - {""}, (theirs or frozenset()) - {""}
    return bool(mine and theirs and not mine & theirs)


def _shortest(figure: str) -> str:
    return figure.rstrip("0").rstrip(".") if figure.count(".") == 1 else figure


def _by_names(claim: Facts, span: Facts, near: Facts, context: Facts, *, copied: bool) -> Iterator[Objection]:
    """A name that is not near, or one of the neighbourhood in the place of another of the span."""
    names, here = set(claim.names), set(span.names) | set(span.words) | span.terms
    missing = names - here - set(context.names) - set(context.words)
    spare = set(span.names) - names - set(claim.words) - claim.terms
    if (
        _names_a_pronoun(claim, span, near)
        or missing - set(near.names) - near.terms - set(near.words)
        or (copied and spare and missing - set(claim.names[:1]))
    ):
        yield Objection.NAME
    elif missing and spare:
        yield Objection.ELSEWHERE


def _names_a_pronoun(claim: Facts, span: Facts, near: Facts) -> bool:
    """The claim begins with a word that is nowhere near where the sentence begins with a pronoun."""
    if span.words[:1] and span.words[0] in _PRONOUNS and claim.words:
        first = content_terms(claim.words[0])
        return bool(first) and not first & near.terms
    return False


def _negation_differs(claim: Facts, span: Facts) -> bool:
    """One negates a term that the other states. Where both negate, the words in reach may follow from their order."""
    if claim.negates and not span.negates:
        return True
    shared = claim.terms & span.terms
    return not claim.negated & span.negated and bool((claim.negated ^ span.negated) & shared)


def _table(text: str) -> dict[str, str]:
    """Word to class: classes are separated by `/`."""
    return {word: group for group in text.split("/") for word in group.split()}


_EXCLUSIVE = tuple(
    _table(text)
    for text in (
        "monday/tuesday/wednesday/thursday/friday/saturday/sunday",
        "winter/summer/autumn/spring",
        "north northern/south southern/east eastern/west western",
        "red/green/blue/yellow/black/white/grey gray/brown/purple/orange/pink",
        "asia asian/africa african/europe european/america american/australia australian",
        "tens/dozens/hundreds/thousands/millions/billions/trillions",
        "half/third/quarter",
        "single/twice double doubled/triple tripled thrice/quadruple",
        "pair/trio/dozen",
        "second seconds/minute minutes/hour hours/day days/week weeks/month months/year years/decade decades",
        "bit bits/byte bytes/kilobyte kilobytes kb/megabyte megabytes mb/gigabyte gigabytes gb/terabyte terabytes tb",
        "father/mother/son/daughter/brother/sister/husband/wife/uncle/aunt/nephew/niece",
        "gold/silver/bronze/copper/iron",
        "bachelor/master/doctorate",
        "spades/hearts/clubs/diamonds",
        "english/french/german/spanish/italian/chinese/japanese/russian/dutch/portuguese/arabic",
        "catholic/protestant/orthodox/muslim/jewish/hindu/buddhist",
    )
)


def _exclusive(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    """A word of a class in the place of another word of that class."""
    return any(
        _classes(mine, table) - _classes(theirs, table) and _classes(theirs, table) - _classes(mine, table)
        for table in _EXCLUSIVE
    )


def _classes(words: frozenset[str], table: dict[str, str]) -> set[str]:
    return {table[word] for word in words & table.keys()}


_RANKS = {
    word: rank
    for rank, words in (
        (0, "none neither never"),
        (1, "few rarely seldom minority scarcely"),
        (2, "some sometimes partly partially certain occasionally"),
        (3, "many often frequently several numerous"),
        (4, "most mostly mainly largely usually majority generally primarily"),
        (6, "all every each both always entirely fully completely exclusively wholly everyone everything"),
    )
    for word in words.split()
}
"""How much of a whole a word speaks of; neighbours are said of the same, but for "all"."""


def _quantity_differs(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    claimed = {_RANKS[word] for word in (mine - theirs) & _RANKS.keys()}
    stated = {_RANKS[word] for word in (theirs - mine) & _RANKS.keys()}
    return any(min((abs(one - other) for other in stated), default=0) >= 2 for one in claimed)


_ONLY = _set("only solely exclusively merely always")
_POSSIBLE = _set("may might could possibly perhaps can optional optionally")
_NEEDED = _set("must shall should required mandatory")
_HEDGED = _set(
    "may might could possible possibly perhaps probably likely reportedly allegedly suggest suggests suggested "
    "indicate indicates indicated believed claimed planned proposed expected attempted tried hypothesized "
    "thought"
)
_DENYING = _set("not never hardly barely refused refuses refuse declined failed fails unable longer nowhere nothing")
_CONDITIONS = _set("if unless provided wenn falls si sauf")
_SAYING = _set(
    "suggest suggests suggested claim claims claimed believe believes believed argue argues argued allege alleged "
    "think thought say says said hypothesize hypothesized propose proposed hope hoped fear feared report reported "
    "assume assumed"
)
_OPPOSED_WORDS = """
    增加/减少 上升/下降 之前/之后 以前/以后 必须/可以 总是/从不 所有/部分 全部/部分 所有/某些
    大于/小于 最大/最小 最多/最少 最高/最低 至少/至多 至少/最多 开始/结束 打开/关闭 成功/失败
    允许/禁止 启用/禁用 正确/错误 公有/私有 支持/反对 可选/必需 可选/必须 第一/第二 第二/第三
    更多/更少 更大/更小 更快/更慢 提高/降低 增长/下降 南部/北部 东部/西部 内部/外部 输入/输出
    同步/异步 相同/不同 容易/困难 简单/复杂 安全/危险 增大/减小 早期/晚期 男性/女性 父亲/母亲
    胜利/失败 购买/出售 真的/假的 旧的/新的
"""
_OPPOSED_PAIRS = tuple((pair[:2], pair[3:]) for pair in _OPPOSED_WORDS.split())
"""In scripts without spaces a term is a pair of letters, as these words are."""
_CERTAIN = _set(
    "prove proves proved proven certain certainly definitely confirmed managed completed known undoubtedly did"
)
_UNSURE = _set("might possibly perhaps probably reportedly allegedly")


def _certainty_differs(mine: frozenset[str], theirs: frozenset[str], *, copied: bool) -> bool:
    """A need in the place of a possibility, a fact in the place of a guess, or a guess without its "perhaps"."""
    new, lost = mine - theirs, theirs - mine
    if (new & _NEEDED and lost & _POSSIBLE) or (new & _POSSIBLE and lost & _NEEDED):
        return True
    if new & _CERTAIN and lost & _HEDGED:
        return True
    return copied and bool(lost & _UNSURE) and not mine & _HEDGED


_BOUNDS = {
    ("at", "least"): 1,
    ("more", "than"): 1,
    ("less", "than"): -1,
    ("fewer", "than"): -1,
    ("at", "most"): -1,
    ("up", "to"): -1,
    ("over",): 1,
    ("above",): 1,
    ("exceeding",): 1,
    ("under",): -1,
    ("below",): -1,
    ("nearly",): -1,
    ("almost",): -1,
}


def _bounds_differ(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """A figure that is the least of something in one text, and the most in the other."""
    claimed, stated = _bounds(mine), _bounds(theirs)
    return any(stated.get(figure, side) != side for figure, side in claimed.items())


def _bounds(words: Sequence[str]) -> dict[str, int]:
    found = {}
    for place, word in enumerate(words):
        if word[0].isdigit():
            for phrase, side in _BOUNDS.items():
                before = tuple(words[max(0, place - len(phrase)) : place])
                if before == phrase:
                    denied = words[max(0, place - len(phrase) - 1) : place - len(phrase)] in (["no"], ("no",), ("not",))
                    found[word] = -side if denied else side
    return found


def _rearranged(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether words have changed places, other than by one move of a part, or between active and passive."""
    if max(len(mine), len(theirs)) > MAX_WORDS or mine.count("by") != theirs.count("by"):
        return False
    places = _single_places(theirs)
    order = [places[word] for word in _single_places(mine) if word in places]
    descents = [place for place, (left, right) in enumerate(pairwise(order)) if left > right]
    if len(descents) != 1:
        return bool(descents)
    first, second = order[: descents[0] + 1], order[descents[0] + 1 :]
    moved_back = [place for place in second if place < first[-1]]
    moved_on = [place for place in first if place > second[0]]
    return max(moved_back) > min(moved_on)


def _owner_differs(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether owner and owned have changed places: "the crane's harbour" for "the crane of the harbour"."""
    claimed, stated = _owned(mine), _owned(theirs)
    return any((what, who) in stated - claimed and (who, what) not in stated for who, what in claimed)


def _owned(words: Sequence[str]) -> set[tuple[str, str]]:
    """Owner and owned of each possessive and of each "of" between two nouns."""
    found = set()
    for place, word in enumerate(words):
        if word.endswith(("'s", "\u2019s")):
            found |= {(word[:-2], what) for what in words[place + 1 : place + 3]}
        elif word == "of" and place:
            owners = [who for who in words[place + 1 : place + 4] if who not in _NO_ORDER][:2]
            found |= {(who, words[place - 1]) for who in owners}
    return found


def _by_alignment(mine: Sequence[str], theirs: Sequence[str]) -> Iterator[Objection]:
    """Objections to words of what is otherwise a copy: each is compared with the words that it replaces."""
    matcher = SequenceMatcher(None, mine, theirs, autojunk=False)
    changed = [
        (mine[start:end], theirs[there:until], start, end)
        for kind, start, end, there, until in matcher.get_opcodes()
        if kind != "equal" and max(end - start, until - there) <= MAX_REPLACED
    ]
    if any(_DENYING.isdisjoint(new) is not _DENYING.isdisjoint(old) for new, old, _, _ in changed):
        yield Objection.NEGATION
    replaced = [one for one in changed if one[0] and one[1]]
    for new, old, _, _ in replaced:
        yield from _by_words(frozenset(new), frozenset(old), copied=True)
        if frozenset((*new, *old)) in _TURNED:
            yield Objection.OPPOSITE
        if opposed(content_terms(" ".join(new)), content_terms(" ".join(old))):
            yield Objection.OPPOSITE
    by_words = {new: (old, end) for new, old, _, end in replaced}
    for new, old, start, _ in replaced:
        back, end = by_words.get(old, ((), 0))
        if (
            back == new
            and end < start
            and not set(mine[end:start]) <= {"and", "or"}
            and mine.count("by") == theirs.count("by")
        ):
            yield Objection.ORDER


def _drops_a_condition(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether the claim leaves out an "if", or who says so."""
    if _CONDITIONS & set(theirs) and not _CONDITIONS & set(mine):
        return True
    return bool(_attributions(theirs)) and not _attributions(mine) and not _HEDGED & set(mine)


def _attributions(words: Sequence[str]) -> list[str]:
    said = [left for left, right in pairwise(words) if right == "that" and left in _SAYING]
    return said + ["according" for couple in pairwise(words) if couple == ("according", "to")]


def _opposed_within(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether one has the opposite of a word of the other, in scripts without spaces."""
    new, lost = mine - theirs, theirs - mine
    return any((one in new and other in lost) or (other in new and one in lost) for one, other in _OPPOSED_PAIRS)


def _single_places(words: Sequence[str]) -> dict[str, int]:
    """Place of each word that occurs once, in order; words that may stand anywhere are left out."""
    counts = Counter(words)
    return {word: place for place, word in enumerate(words) if counts[word] == 1 and word not in _NO_ORDER}
