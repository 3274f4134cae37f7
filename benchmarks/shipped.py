"""The extractive answerer as it ships, and passages made of whole texts, for benchmarks of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragstone.embedding.base import Embedder
from ragstone.embedding.windows import embed_chunks
from ragstone.generation.answer import Generator
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.reading import Models
from ragstone.inference.judge import PairJudge
from ragstone.inference.matching import TokenMatcher
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Chunk, Citation, Heading, Hit, Passage, StageScore

CHARS_PER_TOKEN = 2  # fewer than in English, so that no text is taken for one that fits the embedder's window


def shipped_generator() -> Generator:
    """The generator with the default answerer and its models, as the platform opens it without a language model."""
    judge = PairJudge.load()
    answerer = ExtractiveAnswerer(models=Models(judge, TokenMatcher.load()))
    return Generator(answerer=answerer, fallback=answerer, metrics=Metrics(), judge=judge)


async def answer_to(generator: Generator, question: str, passages: Sequence[Passage]) -> Answer:
    """The answer to a question from passages, best first."""
    async for event in generator.answer(question, passages):
        if isinstance(event, Answer):
            return event
    raise AssertionError("An answer ends with `Answer`.")


async def ranked(embedder: Embedder, question: str, texts: Mapping[str, str]) -> list[Passage]:
    """Passages made of whole texts by id, best first by MiniLM's cosine with the question.

    A leading Markdown heading is the title and heading path of its text.
    """
    asked = (await embedder.embed([question], purpose="query"))[0]
    chunks = [_chunk(key, text) for key, text in texts.items()]
    windows = await embed_chunks(
        embedder, chunks, title=[chunk.heading_path[0] if chunk.headings else "" for chunk in chunks]
    )
    cosines = [float((asked @ each.T).max()) for each in windows]
    best = sorted(zip(cosines, chunks, strict=True), key=lambda pair: -pair[0])
    return [_passage(chunk, rank, cosine) for rank, (cosine, chunk) in enumerate(best, start=1)]


def _chunk(key: str, text: str) -> Chunk:
    first = text.partition("\n")[0]
    headings = (Heading(0, (first.lstrip("#").strip(),)),) if first.startswith("#") else ()
    return Chunk(key, key, 1, 0, 0, len(text), text, len(text) // CHARS_PER_TOKEN, headings)


def _passage(chunk: Chunk, rank: int, cosine: float) -> Passage:
    hit = Hit(chunk.id, cosine, {"fused": StageScore(rank, cosine), "dense": StageScore(rank, cosine)})
    title = chunk.heading_path[0] if chunk.headings else ""
    return Passage(chunk, title, f"text:{chunk.id}", "text/markdown", hit)


def first_cited(answer: Answer) -> Citation | None:
    """The citation of the answer's first sentence."""
    return min(answer.citations, key=lambda citation: citation.answer_start, default=None)
