"""Text in documents that is written for an answering program, or that sends its reader away, and states nothing.

Documents are full of orders: "Run `pip install`" answers a question. What is found here is narrower: orders about the
answer itself or to an assistant, requests to hand over credentials, bare links, sentences that repeat the question
without stating anything, and those that tell where or on which condition the answer is to be had. Words are listed for
English, German, Spanish, French and Chinese, those of the answer itself for more languages; addresses and repeated
questions are found in any language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from ragstone.documents.languages import function_words
from ragstone.documents.sentences import sentences
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation import planted_words as words
from ragstone.generation.answer_kinds import held
from ragstone.generation.candidates import SentenceCandidate
from ragstone.generation.facts import facts
from ragstone.generation.features import asks_the_same
from ragstone.generation.question import Question, key, read
from ragstone.vocabulary import Passage

MOST_CHARS = 2_000
"""So many characters of a sentence are read; longer ones are data."""
REPEATS = 0.6
"""The share of the question's terms from which a sentence repeats it."""
STATES_NOTHING = 3
"""A sentence that repeats the question and has at most so many words of its own, none of the kind asked for, states
nothing; chosen, like `REPEATS`, on half of the open injections and on echoes of our own."""
STATES_MUCH = 8
"""A sentence with an address and so many words of its own is no mere pointer to the address."""
STATES_LITTLE = 1
"""The same for a sentence that speaks of answers, pages or ways to them, where no date, number or name is asked for."""


def instructs(text: str) -> bool:
    """Whether a sentence gives an order to an assistant or about the answer, or asks for credentials."""
    text = text[:MOST_CHARS]
    if words.TO_A_PROGRAM.search(text) or (words.PROGRAM.search(text) and words.ORDER_ABOUT_IT.match(text)):
        return True
    if words.OVERRIDE.search(text) or (words.ANSWER_OF_YOURS.search(text) and words.ORDER_ABOUT_IT.match(text)):
        return True
    if words.PROGRAM_MUST_SAY.search(text) or words.ANSWER_THIS.search(text) or words.READ_NOTHING_ELSE.search(text):
        return True
    if words.DANGEROUS.search(text) and (words.ADDRESS.search(text) or words.TO_KNOW.search(text)):
        return True
    return _wants_credentials(text) and (
        words.ADDRESS.search(text) is not None
        or words.TO_WHOM.search(text) is not None
        or words.NEEDED_BEFORE.search(text) is not None
    )


def _wants_credentials(text: str) -> bool:
    asks = words.HAND_OVER.search(text) or words.NEEDED_BEFORE.search(text)
    return asks is not None and not words.NEVER.search(text)


def no_answer(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence must not be quoted as an answer, however well its words fit.

    It is an order of the kind of `instructs`, a bare link that was not asked for, sends the reader elsewhere for the
    answer, or repeats the question without stating anything.
    """
    text = one.text[:MOST_CHARS]
    return (
        (one.kind != "code" and instructs(text))
        or _bare_link(asked, text)
        or _defers(asked, text)
        or _lures(asked, one)
        or _echoes(asked, one)
    )


def instructions_in(question: str, passages: Sequence[Passage]) -> bool:
    """Whether a passage holds an order to an assistant, a request for credentials, or a lure instead of an answer."""
    asked = read(question, [])
    texts = (
        passage.chunk.text[unit.start : unit.end][:MOST_CHARS]
        for passage in passages
        for unit in sentences(passage.chunk.text)
        if unit.kind != "code"
    )
    return any(instructs(text) or _defers(asked, text) for text in texts)


def _bare_link(asked: Question, text: str) -> bool:
    """Whether nothing is left of a sentence without its addresses, or nothing but the question."""
    if not words.ADDRESS.search(text) or words.ASKS_ADDRESS.search(asked.text):
        return False
    plain = words.ADDRESS.sub(" ", words.LINK.sub(r" \1 ", text))
    is_link = not words.WORD.search(words.ADDRESS.sub(" ", words.LINK.sub(" ", text)))
    only_asks = is_link or plain.rstrip().endswith(("?", "？"))
    return len(_own_words(words.OF_PAGES.sub(" ", text))) < 2 or (
        only_asks and _stated(asked, plain.rpartition("?")[2]) <= STATES_LITTLE
    )


def _own_words(text: str) -> frozenset[str]:
    """The keys of the content words of a text, without its addresses."""
    plain = words.ADDRESS.sub(" ", words.LINK.sub(r" \1 ", text))
    return frozenset(key(term) for term in terms(plain) if term not in STOPWORDS)


def _defers(asked: Question, text: str) -> bool:
    """Whether a sentence sends the reader elsewhere, and speaks of the answer or says nothing of the question."""
    address = words.ADDRESS.search(text) is not None
    if not address and not words.GO_THERE.search(text):
        return False
    shared, stated = _share(asked, _own_words(text)), _stated(asked, text)
    if words.THE_ANSWER.search(text) and not words.THE_ANSWER.search(asked.text):
        return address or shared >= REPEATS or stated <= STATES_NOTHING
    is_about_way = asked.asks in ("manner", "place", "polar") or words.ASKS_ADDRESS.search(asked.text) is not None
    return address and shared == 0 and stated < STATES_MUCH and not is_about_way


def _lures(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence says on which condition the answer is to be had, or what those who ask should do.

    A question that itself asks for such a way, or speaks of questions, may be answered so.
    """
    text = one.text[:MOST_CHARS]
    if one.kind == "code" or _asks_way(asked):
        return False
    says_way = words.ADDRESS.search(text) is not None or words.ELSEWHERE.search(text) is not None
    askers = words.ASKERS.search(text) is not None
    credentials = _wants_credentials(text) or (
        words.YOUR_SECRET.search(text) is not None and not words.NEVER.search(text)
    )
    if not (says_way or askers or credentials):
        return False
    stated = _stated(asked, re.sub(words.ENTRUSTED, " ", text, flags=re.IGNORECASE) if credentials else text)
    to_know = askers or words.TO_KNOW.search(text) is not None
    if asked.asks in _STATED_KINDS:
        most = STATES_MUCH if to_know or credentials or words.ADDRESS.search(text) else STATES_NOTHING
        return stated <= most and _is_missing(asked, one, stated, strictly=True)
    if credentials and asked.asks not in ("manner", "polar"):
        return stated <= STATES_NOTHING
    if to_know:
        return stated <= STATES_LITTLE
    return stated == 0 and asked.asks not in ("manner", "polar") and asks_the_same(asked, one.heading)


def _echoes(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence repeats the question or speaks of its answer, and states nothing of the kind asked for."""
    text = one.text[:MOST_CHARS]
    if one.kind in ("row", "item", "code"):  # "Weight: 41 kg" repeats the question and states what was asked for
        return False
    if words.ADDRESS.search(text) and words.ASKS_ADDRESS.search(asked.text):
        return False
    own = _own_words(text)
    repeats = bool(own) and _share(asked, own) >= REPEATS
    marked, to_know = words.MARK.search(text) is not None, words.TO_KNOW.search(text) is not None
    of_question = words.QUESTION.search(text) is not None and not words.QUESTION.search(asked.text)
    if not (repeats or marked or to_know or of_question):
        return False
    stated = _stated(asked, text)
    if asked.asks in _STATED_KINDS:
        most = STATES_MUCH if marked else STATES_NOTHING
        return stated <= most and _is_missing(asked, one, stated, strictly=asked.asks == "reason")
    if words.NUMBERED_SOURCE.search(text):
        return stated <= STATES_NOTHING
    if asked.asks == "definition" and not marked and words.NAMES_IT.search(text):
        return False
    if to_know and not _asks_way(asked):
        return stated <= STATES_LITTLE
    return stated == 0 and (words.OF_PAGES.search(text) is not None or (repeats and asked.asks != "polar"))


_NO_REASON = re.compile(r"\b(?:to|as|so|for|um|para|por|pour|per)\b", re.IGNORECASE)
"""Words that give a reason in some sentences only."""
_STATED_KINDS = ("date", "number", "person", "reason")
"""Kinds of question of which it can be told whether a sentence states what was asked for."""


def _asks_way(asked: Question) -> bool:
    """Whether a question asks for a way to something or speaks of questions, so that an answer may do so too."""
    text = words.OPENS.sub(" ", asked.text)
    return any(listed.search(text) for listed in (words.ELSEWHERE, words.TO_KNOW, words.ASKERS, words.ACCESS))


def _is_missing(asked: Question, one: SentenceCandidate, stated: int, *, strictly: bool = False) -> bool:
    """Whether a sentence holds nothing of the kind asked for.

    Where names cannot be told, in a script without capitals and in German, it holds none if it states little.
    `strictly`: "when", "if" and the like are no times, and "to" is no reason.
    """
    plain = words.MARK.sub(" ", words.ADDRESS.sub(" ", one.text[:MOST_CHARS]))
    if strictly:
        plain = _NO_REASON.sub(" ", re.sub(words.ENTRUSTED, " ", plain, flags=re.IGNORECASE))
    if asked.asks == "number":  # "to" and "on" are numbers in other languages
        plain = _without_grammar(words.OF_PAGES.sub(" ", plain), asked.language)
    found = held(asked, plain, facts(plain), one.kind)
    no_names = asked.asks == "person" and (asked.language == "de" or not (found.found or found.missing))
    no_time = strictly and asked.asks == "date" and not found.found
    return found.missing or no_time or (no_names and stated <= STATES_LITTLE)


def _without_grammar(text: str, language: str | None) -> str:
    grammar = function_words(language) | function_words("en")
    return " ".join(word for word in text.split() if word.casefold() not in grammar)


def _stated(asked: Question, text: str) -> int:
    """The number of words that are neither the question's nor such as any page says of itself and of ways to it.

    Two signs of Chinese count as one word, and so does a span of code.
    """
    plain = words.MARK.sub(" ", words.ADDRESS.sub(" ", words.LINK.sub(r" \1 ", text)))
    plain = words.OF_PAGES.sub(" ", plain if _asks_way(asked) else words.ELSEWHERE.sub(" ", plain))
    code = sum(span not in asked.text for span in words.CODE.findall(text))
    signs = {sign for sign in words.CJK.findall(plain) if sign not in asked.text}
    own = {key(term) for term in terms(words.CJK.sub(" ", plain)) if term not in STOPWORDS}
    return len(own - frozenset(asked.ordered) - _grammar(asked.language)) + (len(signs) + 1) // 2 + code


def _share(asked: Question, there: AbstractSet[str]) -> float:
    return sum(term in there for term in asked.ordered) / (len(asked.ordered) or 1)


@lru_cache
def _grammar(language: str | None) -> frozenset[str]:
    return frozenset(key(term) for word in function_words(language) for term in terms(word))
