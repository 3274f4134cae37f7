"""The interface of answerers: a question and passages in, a text with markers out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ragstone.generation.candidates import SentenceCandidate
from ragstone.vocabulary import Passage, Turn, Usage


@dataclass(frozen=True, slots=True)
class Abstained:
    """The answerer found nothing in the passages that bears on the question.

    `nearest` are the sentences by descending log odds of answering, if it ranked them.
    """

    nearest: tuple[tuple[SentenceCandidate, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """Text to append to the answer; with `restart`, it replaces all text before."""

    text: str
    restart: bool = False


class Answerer(Protocol):
    """Writes an answer with markers: `[n]` cites `passages[n - 1]`."""

    @property
    def name(self) -> str:
        """Name for usage and metrics, for example `extractive`."""
        ...

    def stream(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn]
    ) -> AsyncGenerator[str | Abstained | Usage, None]:
        """Yield pieces of text; `Abstained` instead of text when nothing bears on it.

        Ends with a `Usage`. Earlier ones are running totals: each replaces
        the one before.

        Raises:
            ModelUnavailable: the model behind it failed, timed out or broke off.
        """
        ...


@runtime_checkable
class SentenceWriter(Protocol):
    """An answerer that can write one of its sentences anew."""

    def rewrite(self, sentence: str, passage: Passage) -> AsyncGenerator[str | Abstained | Usage, None]:
        """Yield a sentence that states what `passage` states instead of `sentence`, without marker.

        See `Answerer.stream`; `Abstained` if the passage states nothing of the kind.

        Raises:
            ModelUnavailable: the model behind it failed, timed out or broke off.
        """
        ...
