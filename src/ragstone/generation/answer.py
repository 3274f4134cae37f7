"""ANSWER: turns a question and passages into an answer with checked citations.

stream from the answerer, within its time → filter text and markers → check each sentence
no passages: abstain · the answerer fails or is slow: the next one answers, and `degraded` says so
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from ragstone.errors import ModelUnavailable
from ragstone.generation.base import Abstained, Answerer, Delta
from ragstone.generation.citations import cite
from ragstone.generation.markers import MarkerFilter
from ragstone.generation.notices import language_of, notice
from ragstone.llm.token_usage import TokenUsage
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span
from ragstone.vocabulary import Answer, Citation, Outcome, Passage, Turn, Usage

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """The time limits of an answer in seconds, and the text of an abstention; `None`: in the question's language."""

    first_token_s: float = 10.0
    total_s: float = 60.0
    nothing_found: str | None = None


class _Late(ModelUnavailable):
    """The answerer ran out of time."""


class _Draft:
    """The state of one answer while it streams."""

    def __init__(self, spent: TokenUsage) -> None:
        self.spent = spent
        self.text = ""
        self.outcome = Outcome.ANSWERED
        self.degraded: tuple[str, ...] = ()
        self.removed_markers = 0
        self.usage = Usage("none")
        self._void = False

    def add(self, text: str) -> Delta:
        delta = Delta(text, restart=self._void)
        self.text, self._void = self.text + text, False
        return delta

    def abstain(self, text: str) -> Delta:
        self.outcome = Outcome.NOTHING
        return self.add(text)

    def use(self, usage: Usage) -> None:
        self.usage = usage
        self.spent.update(usage)

    def start_again(self, policy: str) -> None:
        self.usage = Usage("none")
        self._void = self._void or bool(self.text)
        self.text = ""
        self.degraded = tuple(dict.fromkeys((*self.degraded, policy)))


class Generator:
    """Answers from passages. If an answerer fails, the next one answers, and the answer says so."""

    def __init__(
        self,
        *,
        answerer: Answerer,
        fallback: Answerer,
        metrics: Metrics,
        options: AnswerOptions = AnswerOptions(),
    ) -> None:
        self._answerers = (answerer, fallback)
        self._metrics = metrics
        self._options = options

    async def answer(
        self,
        question: str,
        passages: Sequence[Passage],
        history: Sequence[Turn] = (),
        *,
        answerers: Sequence[Answerer] = (),
        spent: TokenUsage | None = None,
    ) -> AsyncGenerator[Delta | Citation | Answer, None]:
        """Answer `question` from `passages`: yields text as it comes, then citations, then one `Answer`.

        The deltas from the last `restart` on are the text of the answer. Without passages it
        abstains, and calls no answerer. If an answerer fails or is slow, the next of `answerers`
        (by default those of the constructor) replaces it, and `degraded` says `llm_unavailable` or
        `llm_timeout`. `spent` is updated with the usage of each. Closing the iterator closes the
        connection to the model.
        """
        draft = _Draft(spent or TokenUsage())
        with span("answer", passages=len(passages)), self._metrics.timed("answer"):
            async with aclosing(
                self._deltas(draft, answerers or self._answerers, question, passages, history)
            ) as deltas:
                async for delta in deltas:
                    yield delta
        with self._metrics.timed("verify"):
            citations, uncited = (
                ((), 0)
                if draft.outcome is not Outcome.ANSWERED
                else await asyncio.to_thread(cite, draft.text, passages)
            )
        for citation in citations:
            yield citation
        answer = Answer(
            text=draft.text,
            citations=citations,
            passages=tuple(passages),
            usage=draft.usage,
            outcome=draft.outcome,
            degraded=draft.degraded,
            removed_markers=draft.removed_markers,
            uncited_sentences=uncited,
        )
        self._count(answer)
        yield answer

    def reply(self, text: str) -> Iterator[Delta | Answer]:
        """Say `text`, which is no answer and needs no passages, such as a greeting."""
        yield Delta(text)
        answer = Answer(text, citations=(), passages=(), usage=Usage("none"), outcome=Outcome.NOTHING)
        self._count(answer)
        yield answer

    async def _deltas(
        self,
        draft: _Draft,
        answerers: Sequence[Answerer],
        question: str,
        passages: Sequence[Passage],
        history: Sequence[Turn],
    ) -> AsyncGenerator[Delta, None]:
        """The text of the first answerer that completes its answer."""
        for answerer in answerers if passages else ():
            draft.spent.begin()
            stream = within_time(answerer.stream(question, passages, history), self._options)
            try:
                async with aclosing(self._written(draft, stream, question, passages)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except ModelUnavailable as error:
                policy = "llm_timeout" if isinstance(error, _Late) else "llm_unavailable"
                log.warning("answer.fell_back", answerer=answerer.name, policy=policy, reason=error.message)
                self._metrics.degraded.labels(policy).inc()
                draft.start_again(policy)
        yield draft.abstain(self._nothing_found(question, passages))

    async def _written(
        self,
        draft: _Draft,
        stream: AsyncGenerator[str | Abstained | Usage, None],
        question: str,
        passages: Sequence[Passage],
    ) -> AsyncGenerator[Delta, None]:
        """The text of one answerer after the marker filter."""
        markers = MarkerFilter([f"{passage.chunk.table_header}\n{passage.chunk.text}" for passage in passages])
        async with aclosing(stream):
            async for piece in stream:
                match piece:
                    case Usage():
                        draft.use(piece)
                    case Abstained():
                        yield draft.abstain(self._nothing_found(question, passages))
                    case str():
                        if text := markers.feed(piece):
                            yield draft.add(text)
        if text := markers.finish():
            yield draft.add(text)
        draft.removed_markers = markers.removed

    def _nothing_found(self, question: str, passages: Sequence[Passage]) -> str:
        return self._options.nothing_found or notice("nothing_found", language_of(question, passages))

    def _count(self, answer: Answer) -> None:
        self._metrics.answers.labels(answer.usage.model, answer.outcome).inc()
        self._metrics.removed_markers.inc(answer.removed_markers)
        self._metrics.tokens.labels(answer.usage.model, "input").inc(answer.usage.input_tokens)
        self._metrics.tokens.labels(answer.usage.model, "output").inc(answer.usage.output_tokens)
        for citation in answer.citations:
            self._metrics.citations.labels(citation.verdict).inc()
        log.info(
            "answer.done",
            model=answer.usage.model,
            outcome=answer.outcome,
            citations=len(answer.citations),
            verified=sum(citation.verified for citation in answer.citations),
            uncited=answer.uncited_sentences,
            removed_markers=answer.removed_markers,
            degraded=answer.degraded,
        )


async def within_time(
    stream: AsyncGenerator[str | Abstained | Usage, None], options: AnswerOptions
) -> AsyncGenerator[str | Abstained | Usage, None]:
    """Yield from `stream`; raise `ModelUnavailable` if its first piece or its end comes too late."""
    clock = asyncio.get_running_loop().time
    started = clock()
    deadline = started + min(options.first_token_s, options.total_s)
    async with aclosing(stream):
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise _Late(f"The model sent too little within {deadline - started:g} s. Ask again.") from error
            if not isinstance(piece, Usage):  # a count is no token: the model may not have begun
                deadline = started + options.total_s
            yield piece
