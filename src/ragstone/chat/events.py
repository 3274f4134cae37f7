"""What a question yields while it is answered, in this order.

One `Retrieved`, then any number of `Delta` and `Citation`, then one `Finished`. A
failure raises instead; the surface that streams turns it into its own `error` event.
"""

from __future__ import annotations

from dataclasses import dataclass

from ragstone.generation.base import Delta
from ragstone.vocabulary import Answer, Citation, Passage


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages the answer will be written from, best first.

    `question` is what was looked up: the question itself, or a follow-up made whole.
    """

    question: str
    passages: tuple[Passage, ...]
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The complete answer; its text is authoritative. The exchange has been saved."""

    answer: Answer
    conversation_id: str
    turn_id: str = ""


Event = Retrieved | Delta | Citation | Finished
