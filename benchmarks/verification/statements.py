"""Statements made of a question and an answer by rules; a question that no rule fits gives none.

"When was the tower built?" and "1889" give "The tower was built in 1889." The passage tells how a verb of the question
is spelt in the past.
"""

from __future__ import annotations

import re

from benchmarks.verification.sentences_of import capitalised

_IRREGULAR = (
    "begin:began become:became come:came take:took give:gave go:went write:wrote choose:chose see:saw grow:grew "
    "fall:fell rise:rose lead:led lose:lost win:won make:made find:found hold:held keep:kept leave:left build:built "
    "send:sent bring:brought buy:bought teach:taught fight:fought think:thought say:said tell:told meet:met run:ran "
    "get:got have:had do:did feel:felt know:knew speak:spoke sell:sold spend:spent stand:stood seek:sought draw:drew "
    "drive:drove set:set put:put cut:cut let:let hit:hit read:read mean:meant pay:paid sign:signed"
)
PAST = dict(entry.split(":") for entry in _IRREGULAR.split())
_BE = r"(?:is|was|are|were)"
_AUXILIARY = r"(?:is|was|are|were|has|had|have|can|could|will|would|may|might|must)"
_REDUCED = r"(?:by|of|to|for|as|in|with|on|at|when|along)\b"
"""What follows a participle that states nothing: `the bridge called …`, `a network designed by …`."""

_NAME_WORD = re.compile(r"[A-Z]")


def statement(question: str, answer: str, text: str) -> str | None:
    """The question with the answer, as a sentence; None where no rule fits."""
    asked = re.sub(r"\s+", " ", question).strip().rstrip("? ")
    for rule in (_who, _what_is, _how_many, _past_of_did, _place_or_time):
        if made := rule(asked, answer, text):
            return f"{capitalised(made)}."
    return None


def answer_kind(answer: str) -> str:
    """`year`, `date`, `number`, `name` or `phrase`, by the answer's form."""
    if re.fullmatch(r"(?:in )?1\d{3}|20\d\d", answer):
        return "year"
    if re.search(
        r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b", answer
    ):
        return "date"
    if re.search(r"\d", answer) or re.match(r"(?:two|three|four|five|six|seven|eight|nine|ten|one|half)\b", answer):
        return "number"
    words = re.findall(r"[A-Za-z]\w*", answer)
    return "name" if words and _NAME_WORD.match(words[-1]) else "phrase"


def expected_kind(question: str) -> str:
    """The kind of answer that a question asks for."""
    low = question.lower()
    if low.startswith(("when", "what year", "in what year", "in which year")):
        return "year"
    if low.startswith(("how many", "how much", "what percent")):
        return "number"
    return "name" if low.startswith(("who", "where")) else "phrase"


def _who(asked: str, answer: str, text: str) -> str | None:
    found = re.match(r"(?:Who|What|Which) (?P<rest>(?P<verb>[a-z]+) .+)$", asked)
    if not found:
        return None
    verb = found["verb"]
    if asked.startswith("Who") and verb not in ("did", "do", "does", "is", "are"):
        return f"{answer} {found['rest']}"
    finite = verb in PAST.values() or (verb.endswith("ed") and len(verb) > 4)
    finite = finite and not re.match(rf"{verb} {_REDUCED}", found["rest"])
    return f"{answer} {found['rest']}" if finite and verb not in ("did", "had") else None


def _what_is(asked: str, answer: str, text: str) -> str | None:
    """`What was the name of X` to `The name of X was A`; `What company owned X` to `A owned X`."""
    if found := re.match(rf"(?:What|Who|Which) (?P<be>{_BE}) (?P<what>(?:the|a|an) .+)$", asked):
        ends = re.search(r" (?:in|of|by|for|called|named|known|made|used|to|on|at|from|with|about)$", found["what"])
        inside = re.search(r"\b(?:that|which|who|is|was|are|were|called|happens|named)\b", found["what"])
        return f"{found['what']} {found['be']} {answer}" if not ends and not inside else None
    found = re.match(rf"(?:What|Which) (?P<noun>[a-z]+(?: [a-z]+)?) (?P<rest>(?:{_AUXILIARY}|[a-z]+ed) .+)$", asked)
    if found and re.match(rf"(?:{_AUXILIARY}) (?:the|a|an|its|his|her|their|[A-Z])", found["rest"]):
        return None
    if found and re.match(rf"[a-z]+ed {_REDUCED}", found["rest"]):
        return None
    return f"{answer} {found['rest']}" if found else None


def _how_many(asked: str, answer: str, text: str) -> str | None:
    if found := re.match(r"How (?:many|much) (?P<noun>[\w ]+?) (?P<be>are|were|is|was) there (?P<rest>.+)$", asked):
        return f"there {found['be']} {_counted(answer, found['noun'])} {found['rest']}"
    found = re.match(rf"How many (?P<noun>[a-z]+(?: [a-z]+)?) (?P<rest>(?:{_AUXILIARY}|[a-z]+ed) .+)$", asked)
    if found and not re.match(rf"{_AUXILIARY} (?:the|a|an|its|his|her|their|[A-Z])", found["rest"]):
        return f"{_counted(answer, found['noun'])} {found['rest']}"
    return None


def _past_of_did(asked: str, answer: str, text: str) -> str | None:
    """`When did the crisis begin` to `The crisis began in 1973`; the passage holds the past tense."""
    found = re.match(
        r"(?P<ask>When|Where|(?:In )?(?:[Ww]hat|[Ww]hich) (?:year|month|city|country|decade|century)|Who|What"
        r"|How many \w+) did (?P<rest>.+)$",
        asked,
    )
    if not found:
        return None
    words = found["rest"].split()
    held = set(re.findall(r"[a-z]+", text))
    for place, word in enumerate(words[1:], start=1):
        past = next((one for one in _pasts(word) if one in held), None)
        if past and word.islower():
            return _joined(found["ask"], " ".join(words[:place]), past, words[place + 1 :], answer)
    return None


def _joined(ask: str, subject: str, verb: str, rest: list[str], answer: str) -> str | None:
    after = " ".join(rest)
    if ask in ("Who", "What"):
        return f"{subject} {verb} {answer}{f' {after}' if after else ''}"
    if ask.startswith("How many"):
        return f"{subject} {verb} {_counted(answer, ask.rsplit(maxsplit=1)[-1])}{f' {after}' if after else ''}"
    return f"{subject} {verb}{f' {after}' if after else ''} {_with_preposition(answer)}"


def _pasts(word: str) -> tuple[str, ...]:
    stem = word[:-1] if word.endswith("e") else word[:-1] + "i" if word.endswith("y") else word
    return (PAST[word],) if word in PAST else (f"{stem}ed", f"{word}{word[-1]}ed")


def _place_or_time(asked: str, answer: str, text: str) -> str | None:
    """`When was the tower built` to `The tower was built in 1889`."""
    ask = r"(?:When|Where|In (?:what|which) (?:year|city|country|century|decade|month)|What year)"
    participle = r"[a-z]+(?:ed|en|own|ght)|built|made|held|found|born|sold|set|led|won|put"
    found = re.match(rf"{ask} (?P<be>{_BE}) (?P<what>.+?) (?P<done>(?:{participle})\b.*)$", asked)
    return f"{found['what']} {found['be']} {found['done']} {_with_preposition(answer)}" if found else None


def _counted(answer: str, noun: str) -> str:
    return answer if answer.rsplit(maxsplit=1)[-1] in noun.split() or noun in answer else f"{answer} {noun}"


def _with_preposition(answer: str) -> str:
    known = (
        "in",
        "on",
        "at",
        "during",
        "by",
        "after",
        "before",
        "from",
        "since",
        "around",
        "between",
        "near",
        "to",
        "for",
    )
    return answer if answer.split(maxsplit=1)[0].lower() in known else f"in {answer}"
