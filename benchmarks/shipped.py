"""The extractive answerer as it ships, and passages made of whole texts, for benchmarks of answers."""

from __future__ import annotations

from collections.abc import Sequence

from ragstone.generation.answer import Generator
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Chunk, Citation, Heading, Hit, Passage, StageScore

COSINE = 0.6  # of the first passage, about what MiniLM gives to a passage that answers


def shipped_generator() -> Generator:
    """The generator with the default answerer, as the platform opens it without a language model."""
    answerer = ExtractiveAnswerer()
    return Generator(answerer=answerer, fallback=answerer, metrics=Metrics())


async def answer_to(generator: Generator, question: str, passages: Sequence[Passage]) -> Answer:
    """The answer to a question from passages, best first."""
    async for event in generator.answer(question, passages):
        if isinstance(event, Answer):
            return event
    raise AssertionError("An answer ends with `Answer`.")


def passage_of(key: str, text: str, rank: int = 1, *, title: str = "") -> Passage:
    """A passage made of a whole document, at a rank; a leading Markdown heading is its title and heading path."""
    first = text.partition("\n")[0]
    heading = first.lstrip("#").strip() if first.startswith("#") else title
    headings = (Heading(0, (heading,)),) if heading else ()
    chunk = Chunk(key, key, 1, 0, 0, len(text), text, len(text) // 4, headings)
    hit = Hit(key, 1 / rank, {"fused": StageScore(rank, 1 / rank), "dense": StageScore(rank, COSINE / rank)})
    return Passage(chunk, heading, f"text:{key}", "text/markdown", hit)


def first_cited(answer: Answer) -> Citation | None:
    """The citation of the answer's first sentence."""
    return min(answer.citations, key=lambda citation: citation.answer_start, default=None)
