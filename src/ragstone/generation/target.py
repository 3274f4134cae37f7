"""Whether an answer that a language model wrote is about the question.

The check of a sentence compares it with its source, not with the question: a true sentence of another subject passes.
Here the words of the question are matched with the answer and with what it cites. An answer in which they find hardly
any like is off target, and the closest sections are shown instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from ragstone.generation.features import readable
from ragstone.generation.question import content_words
from ragstone.generation.reading import READABLE, Matcher
from ragstone.vocabulary import Citation

OFF_TARGET_BELOW = 0.35
"""The largest mean match of an answer that is off target, as a cosine. Of 82 right answers to questions of
`benchmarks/questions/dev.jsonl` .01 lie below it without their headings, of right answers to other questions .89."""

MIN_WORDS = 2
"""A question with fewer words of its own, such as "why?", is not compared: its subject is elsewhere."""


def is_off_target(question: str, text: str, citations: Sequence[Citation], matcher: Matcher) -> bool:
    """Whether neither a paragraph of an answer's text nor a quote that it cites is about the question.

    Raises:
        ModelUnavailable: the matcher failed.
    """
    words = content_words(question)
    if len(words) < MIN_WORDS or readable(question) < READABLE or readable(text) < READABLE:
        return False
    said = [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]
    matches = matcher.matches(question, words, [*said, *map(_with_headings, citations)])
    return bool(matches) and max(match.mean for match in matches) < OFF_TARGET_BELOW


def _with_headings(citation: Citation) -> str:
    above = " > ".join(part for part in (citation.title, *citation.heading_path) if part)
    return f"{above}\n{' '.join(citation.quote.split())}"
