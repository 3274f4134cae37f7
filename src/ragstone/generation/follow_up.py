"""Follow-ups: what an earlier turn of the conversation changes in the odds that a sentence answers.

Four things count. A word that the question before did not have weighs more than one that it had. A sentence that
was just given answers the next question only where it holds the new words. Words do not make up for what is asked for:
a time, a number, a name. A repeated question changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragstone.documents.languages import function_words, language_of_text
from ragstone.generation.answer_kinds import held
from ragstone.generation.candidates import SentenceCandidate
from ragstone.generation.facts import content_terms, facts
from ragstone.generation.question import Question, read
from ragstone.vocabulary import Passage, Turn

NEW_WORDS = 3.0
"""Log odds for a sentence that holds all new words, itself or in its headings; by hand, on recorded conversations."""
CARRIED = 1.0
"""Log odds for a sentence that holds all carried words, itself or in its headings; likewise."""
SAID = 3.0
"""Log odds against a sentence that the last answer gave and that holds no new word; likewise."""
ANOTHER_KIND = NEW_WORDS + CARRIED
"""Log odds against a sentence that holds nothing of the kind asked for: as much as all words together."""
SAME_AT = 0.8
"""The share of a sentence's terms in the last answer from which it was said."""

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question within a conversation: its new terms, the carried ones, and those of the last answer."""

    asked: Question
    new: frozenset[str]
    carried: frozenset[str]
    said: frozenset[str]

    def odds(self, one: SentenceCandidate, passage: Passage) -> float:
        """What to add to the log odds that a sentence of a passage answers."""
        own = content_terms(one.text)
        above = content_terms("\n".join(passage.chunk.heading_path_at(passage.chunk.start + one.start)))
        is_said = bool(own) and len(own & self.said) >= SAME_AT * len(own)
        odds = NEW_WORDS * _share(self.new, own | above) + CARRIED * _share(self.carried, own | above)
        missing = held(self.asked, one.text, facts(one.text), one.kind).missing
        return odds - SAID * is_said * (1 - _share(self.new, own)) - ANOTHER_KIND * missing


def follow_up(question: str, carried: str, history: Sequence[Turn]) -> FollowUp | None:
    """What a conversation says of a question; `None` without history, and for a question that is only repeated.

    The terms that the last question had are carried, whether they stand in `carried` or in `question`.
    """
    if not history:
        return None
    before, asked = content_terms(history[-1].question), _terms(question)
    new = asked - before
    if not new and not carried:
        return None
    return FollowUp(
        read(question, []), new, (asked & before) | content_terms(carried), content_terms(history[-1].answer)
    )


def _terms(question: str) -> frozenset[str]:
    grammar = function_words(language_of_text(question)) | function_words("en")
    return content_terms(" ".join(word for word in _WORD.findall(question) if word.casefold() not in grammar))


def _share(wanted: frozenset[str], there: frozenset[str]) -> float:
    return len(wanted & there) / len(wanted) if wanted else 0.0
