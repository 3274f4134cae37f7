"""Held-out kinds of false sentences: building the check and training its model never look at this module.

The kinds measure what the check does with errors that it was not written for. So no rule, threshold, weight or training
example may come from here, from `held_out_words` or from `held_out_true`, and builders see totals over the kinds only.

Each maker takes a sentence and changes one thing so that the passage no longer bears the sentence out; it returns None
where the sentence has no such thing. Tables and languages other than English have makers of their own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.verification import held_out_true
from benchmarks.verification.cases import Case, Source
from benchmarks.verification.held_out_tables import table_cases
from benchmarks.verification.held_out_words import (
    ANTONYMS,
    BOUNDS,
    CURRENCIES,
    DATES,
    FREQUENCIES,
    HEDGES,
    IMPLICIT_NEGATION,
    MEMBERS,
    MIDDLES,
    NUMBER_WORDS,
    ORDER_OF_TIME,
    ORDINALS,
    PAST_TO_BASE,
    PLACES,
    REASONS,
    RELATIONS,
    SIBLINGS,
    SPEAKERS,
    TIME_UNITS,
    TIMES,
    WHOLES,
)
from benchmarks.verification.sentences_of import capitalised, decapitalised, exchanged, spots

_WORD = r"(?!(?:from|of|in|by|and|or|to|with|for|that|which|is|was|are|were|on|at|as)\b)[a-z-]{3,}"
Maker = Callable[["Spot", random.Random], str | None]

NOUNS = rf"(?:the|a|an|its|their|these|this|each) (?:{_WORD} ){{0,1}}{_WORD}"
"""A determiner and one or two lower-case words: a short noun phrase, read without a parser."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A sentence of a passage, and the other sentences of it."""

    claim: str
    others: tuple[str, ...]
    text: str


def pairs(passages: Sequence[Source], random_: random.Random) -> Iterator[Case]:
    """Cases of all held-out kinds, at most one of a kind from a passage."""
    for place, source in enumerate(passages):
        yield from _edited(source, random_)
        yield from held_out_true.pairs_of(source, random_)
        yield from table_cases(source, place, random_)


def _edited(source: Source, random_: random.Random) -> Iterator[Case]:
    found = spots(source)
    random_.shuffle(found)
    for kind, make in MAKERS[source.language].items():
        for claim in found:
            made = make(Spot(claim, tuple(one for one in found if one != claim), source.text), random_)
            if made and made != claim and made not in source.text:
                yield Case(kind, False, made, source.text, source.title, source.language)
                break


def of_table(table: Mapping[str, str], *, fold: bool = True) -> Maker:
    """A maker that exchanges one word or phrase of `table`."""
    return lambda spot, random_: exchanged(spot.claim, table, random_, fold=fold)


def of_groups(groups: Sequence[tuple[str, ...]]) -> Maker:
    """A maker that exchanges one word for a sibling that the sentence does not hold yet."""

    def make(spot: Spot, random_: random.Random) -> str | None:
        held = set(re.findall(r"[\w-]+", spot.claim))
        table = {
            word: random_.choice(rest)
            for group in groups
            for word in group
            if word in held and (rest := [other for other in group if other not in held])
        }
        return exchanged(spot.claim, table, random_, fold=False)

    return make


def implicit_negation(spot: Spot, random_: random.Random) -> str | None:
    """`Rome became` to `Rome failed to become`; `has a` to `lacks a`."""
    past, governed = "|".join(PAST_TO_BASE), "(?:by|in|to|on|at|for|from|with|as|and|or|of)"
    auxiliary = r"(?:was|were|is|are|been|be|being|has|have|had|by|not|and|or|a|an|the|to|in|of|when)"
    found = list(re.finditer(rf"(?<= )(?P<before>[\w)]+) (?P<verb>{past}) (?!{governed}\b)", spot.claim))
    found = [one for one in found if not re.fullmatch(auxiliary, one["before"]) and not one["before"].endswith("ly")]
    if found:
        verb = random_.choice(found)
        negator = random_.choice(("failed to", "declined to", "refused to", "was too late to"))
        start, end = verb.span("verb")
        return f"{spot.claim[:start]}{negator} {PAST_TO_BASE[verb['verb']]}{spot.claim[end:]}"
    return exchanged(spot.claim, IMPLICIT_NEGATION, random_)


def number_word(spot: Spot, random_: random.Random) -> str | None:
    place = re.search(rf"\b({'|'.join(NUMBER_WORDS)})\b(?! of the\b)", spot.claim)
    return place and _put(spot.claim, place, _other(NUMBER_WORDS, place[0], random_))


def ordinal(spot: Spot, random_: random.Random) -> str | None:
    found = re.search(rf"(?<=\bthe )({'|'.join(ORDINALS)})(?= [a-z])", spot.claim)
    if found:
        return _put(spot.claim, found, _other(ORDINALS[:8], found[0], random_))
    found = re.search(r"\b(\d{1,2})(?:st|nd|rd|th)\b(?! centur)", spot.claim)
    return found and _put(spot.claim, found, _with_ending(max(1, int(found[1]) + random_.choice((-2, -1, 1, 2, 3)))))


def decade(spot: Spot, random_: random.Random) -> str | None:
    if found := re.search(r"\b(1\d|20)(\d)0(?='?s\b)", spot.claim):
        return _put(spot.claim, found, f"{found[1]}{(int(found[2]) + random_.randint(1, 8)) % 10}0")
    if found := re.search(r"\b(\d{1,2})(?:st|nd|rd|th)(?=[ -]centur)", spot.claim):
        return _put(spot.claim, found, _with_ending(max(1, int(found[1]) - random_.choice((1, 2, 3)))))
    found = re.search(rf"\b({'|'.join(ORDINALS[3:])})(?=[ -]centur)", spot.claim)
    return found and _put(spot.claim, found, _other(ORDINALS[3:], found[0], random_))


def roles(spot: Spot, random_: random.Random) -> str | None:
    """`The pilot was rescued by a nurse` to `A nurse was rescued by the pilot`."""
    link = r"(?:(?:was|were|is|are|been|being) [a-z]+(?:ed|en|own|ght) by|contains|follows|replaces|causes|calls|owns"
    link += r"|owned|caused|followed|replaced|controlled|controls|attacked|defeated|borrows|returns|inhibits|activates)"
    found = re.search(rf"\b(?P<left>{NOUNS}) (?P<link>{link}) (?P<right>{NOUNS})\b", spot.claim, re.IGNORECASE)
    if not found:
        return None
    left, right = found["left"], found["right"]
    turned = f"{decapitalised(right)} {found['link']} {decapitalised(left)}"
    return _put(spot.claim, found, capitalised(turned) if left[0].isupper() else turned)


def from_to(spot: Spot, random_: random.Random) -> str | None:
    side = r"(?:the |an? |its |their )?[\w.,$£€%-]*\w(?: (?:[A-Z]\w+|million|billion|percent|[AB][CD]))*"
    found = re.search(rf"\bfrom (?P<left>{side}(?: [a-z]+)?) (?P<to>to|into) (?P<right>{side})", spot.claim)
    return found and _put(spot.claim, found, f"from {found['right']} {found['to']} {found['left']}")


def cause(spot: Spot, random_: random.Random) -> str | None:
    """`A because B` to `B because A`; `A leads to B` to `B leads to A`."""
    found = re.match(r"(?P<left>[^,;]{12,120}?),? (?P<link>because|so that) (?P<right>[^,;]{12,120})\.$", spot.claim)
    verbs = r"leads? to|led to|results? in|resulted in|causes?|caused|produces?|triggers?|triggered|prevents?|prevented"
    sides = rf"(?P<left>(?:The|An?|This|[A-Z]\w+) [^,;]{{4,70}}?) (?P<link>{verbs}) (?P<right>[^,;]{{5,70}})\.$"
    found = found or re.match(sides, spot.claim)
    if not found or re.match(r"(?:of|by|was|were|is|are|in|for|and|that)\b", found["right"]):
        return None
    return f"{capitalised(found['right'])} {found['link']} {decapitalised(found['left'])}."


def invented_middle(spot: Spot, random_: random.Random) -> str | None:
    opening = r"(?!(?:Because|If|When|As|Although|But|And|So|While|Since|For|In|On|At|With|After|Before|That)\b)"
    verbs = r"(?= (?:is|was|are|were|has|had|have|can|will|may)\b)"
    after_noun = r"(?<!\bwe)(?<!\byou)(?<!\bthat)(?<!\bit)(?<!\bthey)"
    found = re.match(rf"{opening}[A-Z][^,;:()]{{3,80}}?{after_noun}{verbs}", spot.claim)
    return found and f"{found[0]}, {random_.choice(MIDDLES)},{spot.claim[found.end() :]}"


def tail_of(tails: Sequence[str]) -> Maker:
    """A maker that ends a sentence with an invention."""

    def make(spot: Spot, random_: random.Random) -> str | None:
        ends = re.search(r"(?<=[a-z]) ?\.$", spot.claim)
        return ends and f"{spot.claim[: ends.start()]} {random_.choice(tails)}{ends[0]}"

    return make


def exclusivity(spot: Spot, random_: random.Random) -> str | None:
    rules = (
        (r"\b(is|was) an? (?=[a-z])", r"\1 the only "),
        (r"\bcan (?=[a-z])(?!not\b|only\b)", "can only "),
        (
            r"\b(used|found|available|made|produced|known|seen|held|needed) (?=(?:in|by|to|for|as|from|at)\b)",
            r"\1 solely ",
        ),
        (r"\b(applies|belongs|refers|works|depends|relies) (?=[a-z])", r"\1 solely "),
    )
    return _first_rule(spot.claim, rules, random_)


def frequency(spot: Spot, random_: random.Random) -> str | None:
    if changed := exchanged(spot.claim, FREQUENCIES, random_):
        return changed
    word = random_.choice(("seldom", "hardly ever", "only once"))
    return _first_rule(spot.claim, ((r"\b(is|are|can be|be) (?=[a-z]+ed\b)", rf"\1 {word} "),), random_)


def share(spot: Spot, random_: random.Random) -> str | None:
    """Another fraction or percentage."""
    if found := re.search(r"\b(\d{1,3})((?:\.\d+)?)(?= ?(?:%|percent|per cent))", spot.claim):
        return _put(spot.claim, found, f"{(int(found[1]) + random_.randint(7, 60)) % 100}{found[2]}")
    fractions = ("half", "a third", "two thirds", "a quarter", "three quarters", "one-fifth", "a tenth")
    found = re.search(
        r"\b(?:half|one[- ]third|a third|two[- ]thirds|(?:a|one) quarter|three[- ]quarters)\b", spot.claim
    )
    return found and _put(spot.claim, found, _other(fractions, found[0], random_))


def bounds(spot: Spot, random_: random.Random) -> str | None:
    """One end of a range."""
    found = re.search(
        r"(?:\b(?:between|from) )?(?<![\w.,/-])(\d+)( ?[-–—] ?| to | and )(\d+)(?![\w.,/-]*\d)", spot.claim
    )
    if not found or (found[2] == " and " and not found[0].startswith("between")):
        return None
    low, high = found.span(1), found.span(3)
    start, end = random_.choice((low, high))
    old = int(spot.claim[start:end])
    new = old + (random_.randint(2, 9) if (start, end) == high else -random_.randint(1, max(1, min(9, old))))
    return f"{spot.claim[:start]}{new}{spot.claim[end:]}"


def condition_dropped(spot: Spot, random_: random.Random) -> str | None:
    opening = r"(?:If|Unless|As long as|Provided that|In case) (?!you\b|possible\b)"
    if found := re.match(rf"{opening}[^,]{{8,140}}, (?:then )?(.+)$", spot.claim):
        return capitalised(found[1])
    found = re.match(r"(.{25,}?),? (?:if|unless|provided that|as long as|except when) (?!possible)[^,]+\.$", spot.claim)
    if not found or found[1].rpartition(" ")[2] in ASKING:
        return None
    return f"{found[1]}."


def attribution(spot: Spot, random_: random.Random) -> str | None:
    speaker = random_.choice(SPEAKERS)
    if found := re.search(r"\b([Aa])ccording to (?:the |a )?[\w.'’-]+(?: (?:[A-Z]\w+|of|et|al\.))*", spot.claim):
        return _put(spot.claim, found, f"{found[1]}ccording to {speaker}")
    verbs = r"argued|claimed|said|stated|wrote|believed|reported|suggested|noted|found|argues|showed|show|report|says"
    found = re.match(rf"(?:In contrast, |Here,? )?[A-Z][^,;.]{{0,40}}? (?P<verb>{verbs}) that ", spot.claim)
    verb = {"show": "showed", "report": "reported"}
    return found and f"{capitalised(speaker)} {verb.get(found['verb'], found['verb'])} that {spot.claim[found.end() :]}"


def rank(spot: Spot, random_: random.Random) -> str | None:
    rules = (
        (r"\bone of the (most [a-z]+|[a-z]+est)\b", r"by far the \1 of all"),
        (r"\bthe (?:second|third|fourth)[- ](largest|most|oldest|highest)\b", r"the \1"),
        (
            r"\bthe (largest|oldest|highest|longest|biggest|smallest|tallest|fastest|earliest|greatest|latest)\b",
            r"the third-\1",
        ),
        (r"\bthe (most|least) (?=[a-z]+\b)(?!of\b)", r"the fourth \1 "),
        (
            r"\ban? (?:major|large|important|popular|leading|prominent|common|great|famous) (?!number|amount|extent)",
            "the world's foremost ",
        ),
    )
    return _first_rule(spot.claim, rules, random_)


def planned(spot: Spot, random_: random.Random) -> str | None:
    rules = (
        (r"\b(was|were) (?=(?:[a-z]+ed|built|made|held|written|sold|sent|born|given|taken) )", r"\1 due to be "),
        (r"\bhas been\b", "is going to be"),
        (r"\bhave been\b", "are going to be"),
        (r"\bwill be\b", "has long been"),
        (r"\b(?:plans|intends|planned|intended) to\b", "has already begun to"),
        (
            r"\b(is|are) (?=(?:used|supported|included|provided|implemented|written|built|allowed) )",
            r"\1 planned to be ",
        ),
    )
    return _first_rule(spot.claim, rules, random_)


def half_true(spot: Spot, random_: random.Random) -> str | None:
    """The sentence, joined with another sentence of the passage that has one thing changed."""
    makers = (of_table(ANTONYMS), number_word, of_groups(SIBLINGS), implicit_negation, share)
    for other in spot.others:
        if len(spot.claim) + len(other) < 320:
            for make in makers:
                if changed := make(Spot(other, (), spot.text), random_):
                    return f"{spot.claim[:-1].rstrip()}, and {decapitalised(changed)}"
    return None


def member_added(spot: Spot, random_: random.Random) -> str | None:
    found = re.search(r"[^,;.()]{3,30}, (?:[^,;.()]{3,30}, )*[^,;.()]{3,30},? and (?=[^,;.()]{3,40}\.$)", spot.claim)
    return found and f"{spot.claim[: found.end()]}{random_.choice(MEMBERS)}, as well as {spot.claim[found.end() :]}"


def comparison(spot: Spot, random_: random.Random) -> str | None:
    """`A is larger than B` to `B is larger than A`; `A rather than B` to `B rather than A`."""
    more = r"[^,;.]{0,25}?(?:[a-z]+er|more [a-z]+|less [a-z]+)"
    found = re.match(
        rf"(?P<left>[^,;:]{{3,60}}?) (?P<is>(?:is|are|was|were) {more} than) (?P<right>[^,;:]{{3,60}})\.$", spot.claim
    )
    if found:
        return f"{capitalised(found['right'])} {found['is']} {decapitalised(found['left'])}."
    word = r"(?:`[^`]+`|(?!then\b|used\b)[A-Za-z-]{3,})"
    found = re.search(
        rf"(?<![\w`])(?P<left>{word}),? (?P<link>rather than|instead of) (?:an? |the )?(?P<right>{word})", spot.claim
    )
    return found and _put(spot.claim, found, f"{found['right']} {found['link']} {found['left']}")


def code_exchanged(spot: Spot, random_: random.Random) -> str | None:
    """A code span replaced by another one of the passage that the sentence does not name."""
    named = re.findall(r"`[^`\n]{2,40}`", spot.claim)
    rest = sorted({one for one in re.findall(r"`[^`\n]{2,40}`", " ".join(spot.others)) if one not in named})
    return spot.claim.replace(random_.choice(named), random_.choice(rest)) if named and rest else None


def scale_of_sizes(spot: Spot, random_: random.Random) -> str | None:
    """A thousand times more or less: mg for g, kB for MB, thousands for millions."""
    table = {
        "mg": "g",
        "kg": "g",
        "MB": "GB",
        "GB": "MB",
        "kB": "MB",
        "mm": "m",
        "million": "thousand",
        "billion": "million",
    }
    table |= {
        "thousand": "million",
        "thousands": "dozens",
        "hundreds": "millions",
        "millions": "hundreds",
        "μg": "mg",
        "mL": "L",
    }
    return exchanged(spot.claim, table, random_, fold=False)


def examples(spot: Spot, random_: random.Random) -> str | None:
    """Examples made a complete list."""
    table = {
        "such as": "limited to",
        "including": "consisting solely of",
        "includes": "is limited to",
        "e.g.": "that is, only",
    }
    table |= {"for example": "exclusively", "for instance": "exclusively", "among others": "and nothing else"}
    return exchanged(spot.claim, table, random_)


def alternatives(spot: Spot, random_: random.Random) -> str | None:
    """`A and B` to `either A or B`; `A or B` to `both A and B`."""
    thing = r"(?:`[^`]+`|(?!is\b|was\b|are\b|has\b|it\b|you\b|we\b|to\b)[\w-]{3,})"
    found = re.search(
        rf"\b(?:of|for|in|with|from|by|on|via|as|using|are|is) (?P<left>{thing}) (?P<link>and|or) "
        rf"(?P<right>{thing})(?= [a-z]|\.$)",
        spot.claim,
    )
    if not found or re.search(r"\b(?:either|both|between|neither)\b", spot.claim):
        return None
    pair = ("either", "or") if found["link"] == "and" else ("both", "and")
    start, end = found.start("left"), found.end("right")
    return f"{spot.claim[:start]}{pair[0]} {found['left']} {pair[1]} {found['right']}{spot.claim[end:]}"


def subsumption(spot: Spot, random_: random.Random) -> str | None:
    """`A ferry is a boat that …` to `A boat is a ferry that …`."""
    kind = r"[a-z][\w-]+(?: (?!of\b|in\b|to\b|for\b|and\b|or\b|by\b|on\b|the\b|a\b|is\b)[a-z][\w-]+)?|`[^`]+`"
    found = re.match(
        rf"(?P<one>An?|The|Each) (?P<left>{kind}) (?P<be>is|was) (?P<two>an?) (?P<right>{kind})\b", spot.claim
    )
    if not found:
        return None
    return _put(spot.claim, found, f"{capitalised(found['two'])} {found['right']} {found['be']} a {found['left']}")


def pronoun(spot: Spot, random_: random.Random) -> str | None:
    """He for she; `they` for `we` would be how an answer speaks of an author."""
    table = {"he": "she", "she": "he", "his": "her", "him": "her", "himself": "herself", "herself": "himself"}
    return exchanged(spot.claim, table, random_)


def respective(spot: Spot, random_: random.Random) -> str | None:
    """The values of a list that ends with "respectively" change places."""
    value = r"[^\s,;()]+(?: (?:percent|mg|km|years|days|months))?"
    found = re.search(rf"(?P<left>{value}) and (?P<right>{value}) ?, respectively", spot.claim)
    return found and _put(spot.claim, found, f"{found['right']} and {found['left']}, respectively")


def association(spot: Spot, random_: random.Random) -> str | None:
    """What goes together is made cause and effect."""
    table = {"associated with": "caused by", "correlated with": "the result of", "correlates with": "results from"}
    table |= {"linked to": "the cause of", "related to": "produced by", "a risk factor for": "the cause of"}
    table |= {"association between": "causal chain between", "correlation between": "causal chain between"}
    table |= {"predicts": "brings about", "predict": "bring about", "involved in": "solely responsible for"}
    return exchanged(spot.claim, table | {"accompanied by": "caused by", "coincided with": "was caused by"}, random_)


def no_longer(spot: Spot, random_: random.Random) -> str | None:
    """What is the case is said to have been the case once."""
    rules = (
        (r"\b(?:is|are) (?=(?:an?|the|also|used|known|based|located|available|called) )", "used to be "),
        (r"\bhas (?=an? )", "used to have "),
        (r"\b(?:contains|includes) ", "used to contain "),
        (r"\b(?:provides|offers) ", "used to offer "),
    )
    return _first_rule(spot.claim, rules, random_)


def figure(spot: Spot, random_: random.Random) -> str | None:
    found = re.search(r"(?<![\w.])\d+(?![\w]*\.\d)", spot.claim)
    return found and _put(spot.claim, found, str(int(found[0]) + random_.randint(1, 9)))


def spanish_negation(spot: Spot, random_: random.Random) -> str | None:
    verbs = "es|son|está|están|puede|puedes|tiene|tienes|funciona|necesitas|necesita|usa|devuelve|permite|debe|será|va"
    found = re.search(rf"(?<!no )(?<!se )(?<!lo )\b(?:{verbs})\b", spot.claim)
    return found and _put(spot.claim, found, f"no {found[0]}")


def chinese_negation(spot: Spot, random_: random.Random) -> str | None:
    found = re.search(r"(?<![不没只但若还总于就都再])(可以|需要|能够|会|使用|支持|包含|是)(?!否|不)", spot.claim)
    return found and _put(spot.claim, found, f"不{found[0]}")


def chinese_tail(spot: Spot, random_: random.Random) -> str | None:
    tail = random_.choice(("因为旧版本已经停止维护", "但只在周末有效", "这是由一家银行资助的", "所以必须另外付费"))
    return f"{spot.claim[:-1]}，{tail}。" if spot.claim.endswith("。") else None


def _put(claim: str, place: re.Match[str], words: str) -> str:
    return claim[: place.start()] + words + claim[place.end() :]


def _other(choices: Sequence[str], word: str, random_: random.Random) -> str:
    return random_.choice([one for one in choices if one != word])


def _with_ending(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _first_rule(claim: str, rules: Sequence[tuple[str, str]], random_: random.Random) -> str | None:
    """The claim after one of the rules that fit, at its first place."""
    fitting = [rule for rule in rules if re.search(rule[0], claim)]
    return re.sub(*random_.choice(fitting), claim, count=1) if fitting else None


SPANISH_ANTONYMS = {
    "opcional": "obligatorio", "opcionales": "obligatorios", "fácil": "difícil", "rápido": "lento",
    "siempre": "rara vez",
    "antes": "después", "después": "antes", "mismo": "contrario", "síncrono": "asíncrono", "automáticamente": "a mano",
    "primero": "por último", "grande": "pequeño", "válido": "inválido", "incluye": "excluye", "permite": "impide",
    "más": "menos", "con": "sin", "simple": "complicado", "mejor": "peor", "nunca": "a menudo",
}  # fmt: skip
CHINESE_ANTONYMS = {
    "可选": "必需", "必需": "可选", "简单": "复杂", "之前": "之后", "之后": "之前", "总是": "很少", "相同": "相反",
    "同步": "异步", "异步": "同步", "自动": "手动", "内部": "外部", "有效": "无效", "允许": "禁止", "包含": "排除",
    "增加": "减少", "默认": "例外", "容易": "困难", "所有": "少数", "必须": "不必",
}  # fmt: skip

_ASKING = "even as check see know only determine ask tell sure what test wonder that and or"
ASKING = frozenset(_ASKING.split())
"""Words before an `if` that states no condition."""

ENGLISH: dict[str, Maker] = {
    "antonym": of_table(ANTONYMS),
    "implicit negation": implicit_negation,
    "number word": number_word,
    "ordinal": ordinal,
    "decade or century": decade,
    "season, weekday or hour": of_groups(TIMES),
    "roles of common nouns": roles,
    "from and to exchanged": from_to,
    "order in time": of_table(ORDER_OF_TIME),
    "cause and effect exchanged": cause,
    "invented clause inside": invented_middle,
    "invented reason as tail": tail_of(REASONS),
    "invented place as tail": tail_of(PLACES),
    "invented time as tail": tail_of(DATES),
    "exclusivity inserted": exclusivity,
    "frequency": frequency,
    "fraction or percentage": share,
    "bound of a range": bounds,
    "condition dropped": condition_dropped,
    "attribution changed": attribution,
    "hedge dropped": of_table(HEDGES),
    "superlative or rank": rank,
    "sibling term": of_groups(SIBLINGS),
    "relation between people": of_groups(RELATIONS),
    "planned and completed": planned,
    "half-true conjunction": half_true,
    "at least and at most": of_table(BOUNDS),
    "unit of time": of_groups(TIME_UNITS),
    "currency": of_table(CURRENCIES, fold=False),
    "part and whole": of_table(WHOLES),
    "member added to a list": member_added,
    "sides of a comparison exchanged": comparison,
    "code span exchanged": code_exchanged,
    "scale of a size": scale_of_sizes,
    "examples made a complete list": examples,
    "and made or": alternatives,
    "kind and member exchanged": subsumption,
    "he and she exchanged": pronoun,
    "respective values exchanged": respective,
    "association made a cause": association,
    "no longer the case": no_longer,
}
SPANISH: dict[str, Maker] = {
    "negation (es)": spanish_negation,
    "figure (es)": figure,
    "antonym (es)": of_table(SPANISH_ANTONYMS),
    "invented tail (es)": tail_of(
        ("por culpa de una ley antigua", "en una oficina de Bogotá", "desde el verano de 1987")
    ),
}
CHINESE: dict[str, Maker] = {
    "negation (zh)": chinese_negation,
    "figure (zh)": figure,
    "antonym (zh)": lambda spot, random_: exchanged(spot.claim, CHINESE_ANTONYMS, random_, words=False),
    "invented tail (zh)": chinese_tail,
}
_NEW = (
    "invented clause inside, condition dropped, attribution changed, superlative or rank, sibling term, "
    "half-true conjunction, member added to a list, sides of a comparison exchanged, code span exchanged, "
    "cause and effect exchanged, table cell of another column, table cell of another row, "
    "examples made a complete list, and made or, kind and member exchanged, he and she exchanged, "
    "respective values exchanged, association made a cause, no longer the case, "
    "unit in another form, date in another order, possessive, item of a list dropped, abbreviation, "
    "spelling of another country, word divided at a line's end, Markdown marks left out, "
    "emphasis and link in the passage, list item with its lead, table cell as a statement, "
    "table cell named by its column"
)
NEW = frozenset(_NEW.split(", "))
"""Kinds of error, and ways of restating, of which the built kinds have no kin; the others have a built kin with other
words (antonyms, ordinals, tails) or in English alone. The report gives both."""

MAKERS = {"en": ENGLISH, "es": SPANISH, "zh": CHINESE}
