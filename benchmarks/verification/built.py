"""Built kinds of sentences: false ones made by an edit, true ones made by a rewrite; the judge is trained on them.

Each kind is a function of a `Spot`: a sentence of a passage, the passage's other sentences, and a pool of words and
sentences of other texts. It returns the new sentence, or nothing where the edit does not fit. A false kind edits, with
`REWRITTEN` probability, a sentence that a true kind rewrote before, so that a rewrite is no sign of falsehood.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.verification.cases import Case, Source
from ragstone.documents.sentences import sentences

REWRITTEN = 0.4
MIN_WORDS, MAX_WORDS = 5, 45
"""Words of a sentence that is edited; others say too little, or are lists and tables."""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_COMMON = re.compile(r"\b[a-z]{5,}\b")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w’'-]+(?: (?:of |the |de )?[A-Z][\w’'-]+){0,3}")
_FIGURE = re.compile(r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w-]|[.,]\d)")
_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
_MARKS = re.compile(r"[*`#|]+|\[(?P<text>[^\]\n]*)\]\([^)\n]*\)")


@dataclass(frozen=True, slots=True)
class Pool:
    """Material of other texts: names, lower-case words, sentences."""

    names: Sequence[str]
    words: Sequence[str]
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True)
class Spot:
    """A sentence (`text`, the sentence `place` of its passage) that a kind edits."""

    text: str
    place: int
    around: Sequence[str]
    title: str
    pool: Pool
    random: random.Random

    def swapped(self, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str | None]) -> str | None:
        """The sentence with one random match of `pattern` replaced by what `new` makes of it."""
        found = list(pattern.finditer(self.text))
        if not found:
            return None
        match = self.random.choice(found)
        text = new(match)
        if not text or text.casefold() == match[0].casefold():
            return None
        return self.text[: match.start()] + text + self.text[match.end() :]

    def other(self) -> str | None:
        """Another sentence of the passage."""
        rest = [one for place, one in enumerate(self.around) if place != self.place and len(one.split()) >= MIN_WORDS]
        return self.random.choice(rest) if rest else None

    def foreign(self) -> str:
        """A sentence of another text."""
        return self.random.choice(self.pool.sentences)


Kind = Callable[[Spot], str | None]


def _table(pairs: str, *, both: bool = True) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of all words, and what each is exchanged for."""
    exchange = dict(one.strip().split("/") for one in pairs.split(","))
    exchange |= {right: left for left, right in exchange.items() if both}
    words = sorted(map(re.escape, exchange), key=len, reverse=True)
    pattern = re.compile(rf"\b(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)
    return pattern, {word.lower(): instead for word, instead in exchange.items()}


def by_table(pairs: str, *, both: bool = True) -> Kind:
    """A kind that exchanges one word by a table, "left/right, …"; `both` ways."""
    pattern, table = _table(pairs, both=both)
    return lambda spot: spot.swapped(pattern, lambda found: _cased(found[0], table[found[0].lower()]))


def _cased(like: str, word: str) -> str:
    return word[0].upper() + word[1:] if like[0].isupper() else word


def figure(spot: Spot) -> str | None:
    """Another figure of like size."""

    def changed(found: re.Match[str]) -> str | None:
        digits = found[0]
        if _YEAR.fullmatch(digits):
            return None
        place = spot.random.choice([at for at, one in enumerate(digits) if one.isdigit()])
        new = digits[:place] + str(spot.random.randrange(1, 10)) + digits[place + 1 :]
        return spot.random.choice([new, new, digits + "0", str(spot.random.randrange(2, 99))])

    return spot.swapped(_FIGURE, changed)


def year(spot: Spot) -> str | None:
    """Another year."""
    by = spot.random.choice([-1, 1]) * spot.random.choice([1, 2, 3, 10, 27, 100])
    return spot.swapped(_YEAR, lambda found: str(int(found[0]) + by))


_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"


def month(spot: Spot) -> str | None:
    """Another month."""
    return spot.swapped(re.compile(rf"\b(?:{_MONTHS})\b"), lambda _: spot.random.choice(_MONTHS.split("|")))


def name_foreign(spot: Spot) -> str | None:
    """A name of another text."""
    return spot.swapped(_NAME, lambda _: spot.random.choice(spot.pool.names))


def name_same_passage(spot: Spot) -> str | None:
    """Another name of the passage."""
    names = [name for one in spot.around for name in _NAME.findall(one) if name not in spot.text]
    return spot.swapped(_NAME, lambda _: spot.random.choice(names)) if names else None


def figure_same_passage(spot: Spot) -> str | None:
    """Another figure of the passage."""
    figures = [found for one in spot.around for found in _FIGURE.findall(one) if found not in spot.text]
    return spot.swapped(_FIGURE, lambda _: spot.random.choice(figures)) if figures else None


def _exchanged(spot: Spot, pattern: re.Pattern[str]) -> str | None:
    found = list(pattern.finditer(spot.text))
    if len(found) < 2:
        return None
    first, second = sorted(spot.random.sample(found, 2), key=lambda match: match.start())
    if first[0].casefold()[:4] == second[0].casefold()[:4]:
        return None
    between = spot.text[first.end() : second.start()]
    if between.strip() in {"and", "or", ",", ", and"}:
        return None
    return f"{spot.text[: first.start()]}{second[0]}{between}{first[0]}{spot.text[second.end() :]}"


def names_swapped(spot: Spot) -> str | None:
    """Two names of the sentence change places."""
    return _exchanged(spot, _NAME)


def words_exchanged(spot: Spot) -> str | None:
    """Two words of the sentence change places."""
    return _exchanged(spot, _COMMON)


def figures_exchanged(spot: Spot) -> str | None:
    """Two figures of the sentence change places."""
    return _exchanged(spot, _FIGURE)


_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|can|could|will|would|should|may|has|have|had|does|do|did|must)\b(?! not)"
)


def negation_added(spot: Spot) -> str | None:
    """A "not", "never" or "no longer" more."""
    words = ["not", "not", "never", "no longer", "hardly"]
    return spot.swapped(_AUXILIARY, lambda found: f"{found[0]} {spot.random.choice(words)}")


_NEGATION = re.compile(r"(?<=\w) (?:not|never)\b|n't\b|\bwithout\b|\bno (?=[a-z])")


def negation_removed(spot: Spot) -> str | None:
    """A negation less."""
    found = _NEGATION.search(spot.text)
    if not found:
        return None
    instead = "with" if found[0] == "without" else ""
    return spot.text[: found.start()] + instead + spot.text[found.end() :]


def implicit_negation(spot: Spot) -> str | None:
    """What was done was refused, avoided or not managed."""
    ways = ["refused to", "declined to", "stopped short of plans to", "was unable to"]
    pattern = re.compile(r"(?<=[a-z] )(?:to|will|can|could|would) (?=[a-z]+\b)")
    return spot.swapped(pattern, lambda _: f"{spot.random.choice(ways)} ")


antonym = by_table(
    "increase/decrease, increased/decreased, increases/decreases, increasing/decreasing, high/low, higher/lower, "
    "large/small, larger/smaller, largest/smallest, more/less, most/least, early/late, earlier/later, first/last, "
    "before/after, above/below, inside/outside, north/south, northern/southern, east/west, eastern/western, "
    "begin/end, began/ended, begins/ends, open/closed, win/lose, won/lost, success/failure, successful/unsuccessful, "
    "old/new, older/younger, long/short, longer/shorter, strong/weak, stronger/weaker, positive/negative, rise/fall, "
    "rose/fell, public/private, enable/disable, enabled/disabled, allow/prevent, allows/prevents, allowed/forbidden, "
    "accept/reject, accepted/rejected, same/different, possible/impossible, good/bad, better/worse, best/worst, "
    "male/female, rich/poor, safe/dangerous, common/rare, easy/difficult, mutable/immutable, valid/invalid, "
    "internal/external, upper/lower, front/back, left/right, day/night, hot/cold, light/dark, support/oppose, "
    "supported/opposed, include/exclude, included/excluded, includes/excludes, import/export, gain/loss, "
    "gained/lost, appeared/disappeared, arrive/leave, arrived/left, create/destroy, created/destroyed, "
    "built/demolished, buy/sell, bought/sold, love/hate, friend/enemy, true/false, major/minor, wide/narrow, "
    "simple/complex, modern/ancient, legal/illegal, formal/informal, direct/indirect, known/unknown, "
    "promote/inhibit, promotes/inhibits, activates/inhibits, activation/inhibition, improve/worsen, "
    "improved/worsened, presence/absence, father/mother, son/daughter, brother/sister, husband/wife, "
    "winter/summer, spring/autumn, morning/evening, victory/defeat, defeated/lost to, married/divorced, "
    "deep/shallow, expand/shrink, expanded/shrank, entered/left, joined/left, agree/disagree, agreed/disagreed"
)
quantifier = by_table(
    "some/all, many/few, most/few, several/all, all/some, few/many, every/no, both/neither, often/rarely, "
    "sometimes/always, usually/never, always/sometimes, never/always, rarely/often, mainly/exclusively, "
    "mostly/entirely, partly/fully, largely/solely, part of/all of, a number of/none of, only/not only, "
    "nearly/more than, almost/well over, each/none, any/no, majority/minority, partially/completely",
    both=False,
)
modality = by_table(
    "may/must, might/will, can/cannot, could/did, should/need not, must/may, will/may, would/did, may be/is, "
    "suggest/prove, suggests/proves, suggested/proved, indicate/prove, indicates/proves, possible/certain, "
    "likely/certain, probably/certainly, required/optional, believed/known, reported/denied, claimed/denied, "
    "said/denied, planned/completed, proposed/carried out, expected/failed, attempted/managed, tried/managed, "
    "recommended/forbidden, optional/required, need/need not, have to/need not",
    both=False,
)
comparison = by_table(
    "more than/less than, at least/at most, higher than/lower than, larger than/smaller than, better than/worse than, "
    "over/under, up to/more than, fewer than/more than, greater than/less than, longer than/shorter than, "
    "as well as/instead of, in addition to/instead of, until/since, from/until, because of/in spite of, "
    "because/although, due to/despite, along with/without, after/before, during/before, while/after, if/unless, "
    "with/without, for/against, and/but not, like/unlike, to/from, by/for, exactly/roughly"
)
unit = by_table(
    "km/miles, kilometers/miles, kilometres/miles, meters/feet, metres/feet, miles/yards, kg/g, tons/pounds, "
    "hours/days, minutes/hours, seconds/minutes, days/weeks, weeks/months, months/years, years/decades, "
    "century/decade, centuries/decades, percent/percentage points, degrees/minutes, dollars/euros, bytes/bits, "
    "megabytes/gigabytes, ms/seconds, mg/kg, ml/litres, acres/square miles, inches/feet, people/families, times/years"
)
scale = by_table(
    "million/billion, thousand/million, hundred/thousand, billion/trillion, hundreds/thousands, thousands/millions, "
    "millions/billions, dozens/hundreds, tens/hundreds, half/a quarter, twice/three times, double/triple, "
    "a third/half, quarter/half"
)
ordinal = by_table(
    "first/second, second/third, third/fourth, fourth/fifth, fifth/sixth, sixth/seventh, seventh/eighth, "
    "eighth/ninth, ninth/tenth, 19th/18th, 20th/19th, 21st/20th, 18th/17th, 17th/16th, primary/secondary, former/latter"
)
number_word = by_table(
    "one/two, two/three, three/four, four/five, five/six, six/seven, seven/eight, eight/nine, nine/ten, ten/twelve, "
    "twelve/twenty, twenty/thirty, thirty/forty, fifty/sixty, single/double, pair/trio, dozen/score"
)


def common_word_foreign(spot: Spot) -> str | None:
    """A common word of another text."""
    return spot.swapped(_COMMON, lambda found: _like(found[0], spot.pool.words, spot.random))


def common_word_same_passage(spot: Spot) -> str | None:
    """A common word of the passage."""
    there = [word for one in spot.around for word in _COMMON.findall(one) if word not in spot.text]
    return spot.swapped(_COMMON, lambda found: _like(found[0], there, spot.random)) if there else None


def _like(word: str, words: Sequence[str], chance: random.Random) -> str | None:
    """A word with the same ending, so that the sentence still reads as one."""
    tries = [chance.choice(words) for _ in range(60)]
    return next((one for one in tries if one[-2:] == word[-2:] and one[:4] != word[:4]), None)


_JOINT = re.compile(
    r",? (?=(?:and|but|which|who|that|because|although|while|when|where|after|before|by|for|in|with|from|to|as|at|on) )"
    r"|, "
)


def _parted(text: str, chance: random.Random, *, least: float = 0.25, most: float = 0.8) -> tuple[str, str] | None:
    places = [found.start() for found in _JOINT.finditer(text) if least < found.start() / len(text) < most]
    if not places:
        return None
    place = chance.choice(places)
    return text[:place], text[place:]


def _spliced(spot: Spot, other: str | None, *, tail: bool) -> str | None:
    mine, theirs = _parted(spot.text, spot.random), _parted(other, spot.random) if other else None
    if not mine or not theirs:
        return None
    return mine[0] + theirs[1] if tail else theirs[0] + mine[1]


def tail_foreign(spot: Spot) -> str | None:
    """The end of a sentence of another text."""
    return _spliced(spot, spot.foreign(), tail=True)


def tail_same_passage(spot: Spot) -> str | None:
    """The end of another sentence of the passage: a mixture of two sentences."""
    return _spliced(spot, spot.other(), tail=True)


def head_foreign(spot: Spot) -> str | None:
    """The beginning of a sentence of another text."""
    return _spliced(spot, spot.foreign(), tail=False)


def head_same_passage(spot: Spot) -> str | None:
    """The beginning of another sentence of the passage."""
    return _spliced(spot, spot.other(), tail=False)


def tail_invented(spot: Spot) -> str | None:
    """A clause of another text behind the sentence."""
    theirs = _parted(spot.foreign(), spot.random)
    if not theirs:
        return None
    clause = theirs[1].strip(" ,.")
    return f"{spot.text.rstrip('.')}{', and' if clause[:3] not in ('and', 'but', 'whi') else ','} {clause}."


_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|can|will|may|became|made|won|began|led)\b")


def subject_replaced(spot: Spot) -> str | None:
    """The subject of another sentence of the passage."""
    mine, other = _VERB.search(spot.text), spot.other()
    theirs = _VERB.search(other) if other else None
    if not mine or not other or not theirs or not 0 < theirs.start() < 60 or not 0 < mine.start() < 80:
        return None
    if other[: theirs.start()].casefold().strip() in {"it", "he", "she", "they", "this", "these"}:
        return None
    return other[: theirs.start()] + spot.text[mine.start() :]


_FROM_TO = re.compile(r"\b(from|between) ([\w’'-]+) (to|and) ([\w’'-]+)")


def from_to(spot: Spot) -> str | None:
    """From and to change places."""
    return spot.swapped(_FROM_TO, lambda found: f"{found[1]} {found[4]} {found[3]} {found[2]}")


_PASSIVE = re.compile(
    r"^(?P<who>[^,;]{3,60}?) (?:was|were|is|are) (?P<verb>[a-z]+ed) by (?P<by>[^,;.]{3,60})(?P<rest>[,;.].*|$)"
)


def roles_reversed(spot: Spot) -> str | None:
    """Who did it and who suffered it change places."""
    found = _PASSIVE.match(spot.text)
    return f"{_up(found['by'])} was {found['verb']} by {found['who']}{found['rest']}" if found else None


def only_added(spot: Spot) -> str | None:
    """An "only", "all" or "always" that the passage does not state."""
    words = ["only", "always", "exclusively", "first"]
    return spot.swapped(_AUXILIARY, lambda found: f"{found[0]} {spot.random.choice(words)}")


def title_exchanged(spot: Spot) -> str | None:
    """The pronoun at the beginning is resolved by a foreign name."""
    return _resolved(spot, spot.random.choice(spot.pool.names))


def _up(text: str) -> str:
    return text[:1].upper() + text[1:]


def verbatim(spot: Spot) -> str | None:
    """The sentence as it stands."""
    return spot.text


def shortened(spot: Spot) -> str | None:
    """Without a bracket, or without what follows a comma."""
    bare = re.sub(r" ?\([^()]{1,80}\)", "", spot.text)
    if bare != spot.text and spot.random.random() < 0.6:
        return bare
    places = [found.start() for found in re.finditer(r", (?=which|who|where|when|while|and|including|with|as)", bare)]
    places = [place for place in places if place > 30]
    return f"{bare[: spot.random.choice(places)]}." if places else None


def joined(spot: Spot) -> str | None:
    """Two neighbouring sentences as one."""
    if spot.place + 1 >= len(spot.around):
        return None
    following = spot.around[spot.place + 1]
    if len(spot.text.split()) + len(following.split()) > MAX_WORDS or len(following.split()) < 3:
        return None
    link = spot.random.choice(["; ", ", and ", " – ", "; also, "])
    return spot.text.rstrip(".") + link + following[0].lower() + following[1:]


def number_format(spot: Spot) -> str | None:
    """Thousands with and without commas, millions in words and digits."""

    def changed(found: re.Match[str]) -> str | None:
        digits = found[0].replace(",", "")
        if "," in found[0] and digits.endswith("00000") and len(digits) > 6:
            return f"{int(digits) / 1e6:g} million"
        if "," in found[0]:
            return digits
        return f"{int(digits):,}" if digits.isdigit() and len(digits) > 4 else None

    def spelt(found: re.Match[str]) -> str | None:
        return f"{round(float(found[1]) * 10**6):,}"

    return spot.swapped(re.compile(r"\b(\d{1,3}(?:\.\d{1,4})?) million\b"), spelt) or spot.swapped(_FIGURE, changed)


number_words = by_table(
    "two/2, three/3, four/4, five/5, six/6, seven/7, eight/8, nine/9, ten/10, eleven/11, twelve/12, thirteen/13, "
    "twenty/20, thirty/30, forty/40, fifty/50, percent/%, first/1st, second/2nd, third/3rd, fourth/4th, "
    "nineteenth/19th, twentieth/20th, one hundred/100"
)
contractions = by_table(
    "is not/isn't, are not/aren't, was not/wasn't, were not/weren't, do not/don't, does not/doesn't, did not/didn't, "
    "cannot/can't, can not/can't, will not/won't, would not/wouldn't, could not/couldn't, should not/shouldn't, "
    "has not/hasn't, have not/haven't, had not/hadn't, it is/it's, that is/that's, there is/there's, you are/you're, "
    "we are/we're, they are/they're, you will/you'll"
)
synonym = by_table(
    "began/started, begin/start, approximately/about, around/about, large/big, however/but, near/close to, "
    "also/additionally, received/got, many/numerous, located/situated, although/though, called/named, "
    "known as/called, assist/help, purchased/bought, nearly/almost, often/frequently, important/significant, "
    "used/employed, create/make, creates/makes, show/demonstrate, showed/demonstrated, shows/demonstrates, "
    "obtain/get, require/need, requires/needs, allows/permits, allow/permit, ended/finished, attempt/try, "
    "such as/like, for example/for instance, because/since, while/whereas, main/principal, entire/whole, "
    "rapidly/quickly, primarily/mainly, due to/because of, in order to/to, constructed/built, established/founded, "
    "died/passed away, physicians/doctors, children/kids, currently/at present, several/a number of, "
    "difficult/hard, famous/well known, wrote/authored, film/movie, film/motion picture, function/method"
)


_COUNTRIES = {"United States": "US", "United Kingdom": "UK", "United Nations": "UN", "European Union": "EU"}


def country(spot: Spot) -> str | None:
    """The name of a country or union and its letters."""
    exchange = _COUNTRIES | {short: name for name, short in _COUNTRIES.items()}
    return spot.swapped(re.compile(rf"\b(?:{'|'.join(exchange)})\b"), lambda found: exchange[found[0]])


def adverb_dropped(spot: Spot) -> str | None:
    """Without an adverb that changes nothing."""
    return spot.swapped(
        re.compile(r" (?:also|however,|moreover,|then|very|indeed|therefore|thus|already)\b"), lambda _: " "
    )


def reordered(spot: Spot) -> str | None:
    """The time or place at the beginning moves to the end, or the other way round."""
    front = re.match(r"((?:In|On|At|During|After|Before|By|From|For|When|If) [^,]{2,50}), (.{15,}?)([.]?)$", spot.text)
    if front:
        return f"{_up(front[2])} {front[1][0].lower()}{front[1][1:]}."
    back = re.match(r"([^,]{20,}?) ((?:in|during|after|before|since|until) (?:[A-Z0-9][^,.]{2,30}))\.$", spot.text)
    return f"{_up(back[2])}, {_down(back[1])}." if back else None


def _down(text: str) -> str:
    return (
        text[0].lower() + text[1:] if text.split(" ", 1)[0] in {"The", "A", "An", "It", "He", "She", "They"} else text
    )


def line_breaks(spot: Spot) -> str | None:
    """Broken into lines as a PDF breaks them."""
    width = spot.random.randrange(3, 9)
    words = spot.text.split()
    return "\n".join(" ".join(words[at : at + width]) for at in range(0, len(words), width))


def pronoun_resolved(spot: Spot) -> str | None:
    """The pronoun at the beginning is resolved by the title."""
    return _resolved(spot, spot.title)


def _resolved(spot: Spot, name: str) -> str | None:
    found = re.match(r"(?:It|He|She|They) (?=[a-z])", spot.text)
    return f"{name} {spot.text[found.end() :]}" if found and 2 < len(name) < 50 else None


def framed(spot: Spot) -> str | None:
    """Introduced as the passage's word."""
    frames = ["According to the text, ", "The source says that ", f"In {spot.title}, ", "Note that ", "As stated, "]
    return spot.random.choice(frames) + _down(spot.text)


def punctuation(spot: Spot) -> str | None:
    """Other quotes, dashes, case and end."""
    ways: list[Callable[[str], str]] = [
        lambda text: text.replace('"', "”").replace("'", "’"),
        lambda text: text.replace("-", "–").rstrip("."),
        lambda text: text.lower(),
        lambda text: text.rstrip(".") + "!",
        lambda text: text.replace(", ", " "),
    ]
    return spot.random.choice(ways)(spot.text)


def active(spot: Spot) -> str | None:
    """Passive made active, for regular verbs."""
    found = _PASSIVE.match(spot.text)
    if not found or not found["by"][:1].isalpha():
        return None
    return f"{_up(found['by'])} {found['verb']} {_down(found['who'])}{found['rest']}"


def part(spot: Spot) -> str | None:
    """One of two statements that "and" joins."""
    joints = re.finditer(r",? (?:and|but) (?=(?:the|it|he|she|they|this|there) )", spot.text)
    places = [one for one in joints if one.start() > 35 and len(spot.text) - one.end() > 35]
    if not places:
        return None
    place = spot.random.choice(places)
    return spot.random.choice([f"{spot.text[: place.start()]}.", _up(spot.text[place.end() :])])


# fmt: off
_FALSE: tuple[Kind, ...] = (
    figure, figure_same_passage, figures_exchanged, year, month, name_foreign, name_same_passage, names_swapped,
    words_exchanged, negation_added, negation_removed, implicit_negation, common_word_foreign,
    common_word_same_passage, tail_foreign, tail_same_passage, head_foreign, head_same_passage, tail_invented,
    subject_replaced, from_to, roles_reversed, only_added, title_exchanged,
)
_TRUE: tuple[Kind, ...] = (
    verbatim, shortened, joined, number_format, adverb_dropped, reordered, line_breaks, pronoun_resolved, framed,
    punctuation, active, part, country,
)
FALSE_KINDS: dict[str, Kind] = {kind.__name__: kind for kind in _FALSE} | {
    "antonym": antonym, "quantifier": quantifier, "modality": modality, "comparison": comparison, "unit": unit,
    "scale": scale, "ordinal": ordinal, "number_word": number_word,
}
TRUE_KINDS: dict[str, Kind] = {kind.__name__: kind for kind in _TRUE} | {
    "number_words": number_words, "contractions": contractions, "synonym": synonym,
}
# fmt: on
WRONG_PASSAGE = "wrong_passage"


def pairs(passages: Sequence[Source], chance: random.Random) -> Iterator[Case]:
    """Cases of every kind that fits, for each sentence of each passage; see `benchmarks.verification.cases`."""
    read = [(source, plain_sentences(source.text)) for source in passages if source.language == "en"]
    pool = pool_of([one for _, found in read for one in found])
    for source, found in read:
        for place, text in enumerate(found):
            if MIN_WORDS <= len(text.split()) <= MAX_WORDS:
                yield from of_spot(Spot(text, place, found, source.title, pool, chance), source)


def of_spot(spot: Spot, source: Source) -> Iterator[Case]:
    """The cases of one sentence, one of each kind that fits."""

    def case(kind: str, claim: str, *, true: bool) -> Case:
        return Case(kind, true, claim, source.text, source.title, source.language)

    for name, kind in TRUE_KINDS.items():
        made = kind(spot)
        if made and (made != spot.text or name == "verbatim"):
            yield case(name, made, true=True)
    for name, kind in FALSE_KINDS.items():
        made = edited(kind, spot)
        if made:
            yield case(name, made, true=False)
    yield case(WRONG_PASSAGE, spot.foreign(), true=False)


def edited(kind: Kind, spot: Spot) -> str | None:
    """What a false kind makes of the sentence, or of a rewrite of it; nothing if the passage states the result."""
    if spot.random.random() < REWRITTEN:
        rewritten = spot.random.choice(list(TRUE_KINDS.values()))(spot)
        spot = replace(spot, text=rewritten) if rewritten else spot
    made = kind(spot)
    if not made or _folded(made) == _folded(spot.text) or _folded(made) in map(_folded, spot.around):
        return None
    return made


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def plain_sentences(text: str) -> list[str]:
    """The sentences of a passage without Markdown marks; code and headings are none."""
    units = [unit for unit in sentences(text) if unit.kind not in ("code", "heading")]
    plain = [_MARKS.sub(lambda found: found["text"] or "", text[unit.start : unit.end]) for unit in units]
    return [" ".join(one.split()) for one in plain if one.strip()]


def pool_of(texts: Sequence[str]) -> Pool:
    """Names, words and whole sentences of these texts."""
    names = sorted({name for one in texts for name in _NAME.findall(one)})
    words = sorted({word for one in texts for word in _COMMON.findall(one)})
    return Pool(names, words, [one for one in texts if MIN_WORDS <= len(one.split()) <= MAX_WORDS])
