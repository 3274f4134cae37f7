"""ANSWER: turns a question and passages into an answer with checked citations.

stream from the answerer, within its time → filter text and markers → check each sentence
no passages: abstain · no answer in them: show the closest sections
the answerer fails or is slow: the next one answers, and `degraded` says so
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

import structlog

from ragstone.errors import ModelUnavailable
from ragstone.generation.base import Abstained, Answerer, Delta, SentenceWriter
from ragstone.generation.citations import cite, cited_as, claims
from ragstone.generation.closest import closest
from ragstone.generation.injection import instructions_in
from ragstone.generation.markers import MarkerFilter
from ragstone.generation.notices import language_of, notice
from ragstone.generation.reading import Matcher
from ragstone.generation.relevance import Ranked
from ragstone.generation.repair import Repair, Rewrite, contradicted, repaired
from ragstone.generation.target import is_off_target
from ragstone.generation.verification import Judge
from ragstone.llm.token_usage import TokenUsage
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span
from ragstone.vocabulary import Answer, Citation, ClosestSection, Outcome, Passage, Turn, Usage

log = structlog.get_logger()

INSTRUCTIONS_IN_SOURCE = "instructions_in_source"
"""The warning that a passage holds orders to an assistant, asks for credentials or lures the reader away."""
OFF_TARGET = "answer_off_target"
"""The warning that a language model's answer was withdrawn, as it was about something else than the question."""
JUDGE_UNAVAILABLE = "judge_unavailable"
"""The policy under which the rules of the check decide alone, as the judge failed."""

NO_USAGE = Usage("none")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """The time limits of an answer in seconds, and the text of an abstention; `None`: in the question's language."""

    first_token_s: float = 10.0
    total_s: float = 60.0
    repair: Repair = "off"
    nothing_found: str | None = None


class _Late(ModelUnavailable):
    """The answerer ran out of time."""


class _Draft:
    """The state of one answer while it streams."""

    def __init__(self, spent: TokenUsage) -> None:
        self.spent = spent
        self.text = ""
        self.outcome = Outcome.ANSWERED
        self.answerer: Answerer | None = None
        self.warnings: tuple[str, ...] = ()
        self.closest: tuple[ClosestSection, ...] = ()
        self.degraded: tuple[str, ...] = ()
        self.removed_markers = 0
        self.usage = NO_USAGE
        self._void = False

    def add(self, text: str) -> Delta:
        delta = Delta(text, restart=self._void)
        self.text, self._void = self.text + text, False
        return delta

    def abstain(self, text: str, closest: tuple[ClosestSection, ...]) -> Delta:
        self.outcome = Outcome.CLOSEST if closest else Outcome.NOTHING
        self.closest = closest
        return self.add(text)

    def use(self, usage: Usage, before: Usage = NO_USAGE) -> None:
        """Note what the call has used by now; `before` is what earlier calls for this text used."""
        self.usage = replace(
            usage,
            input_tokens=usage.input_tokens + before.input_tokens,
            output_tokens=usage.output_tokens + before.output_tokens,
            cached_tokens=usage.cached_tokens + before.cached_tokens,
            estimated=usage.estimated or before.estimated,
        )
        self.spent.update(usage)

    def discard(self) -> None:
        """The next text replaces what was sent."""
        self._void = self._void or bool(self.text)
        self.text, self.outcome, self.closest = "", Outcome.ANSWERED, ()

    def start_again(self, policy: str) -> None:
        self.usage = NO_USAGE
        self.discard()
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
        judge: Judge | None = None,
        matcher: Matcher | None = None,
    ) -> None:
        """`judge` decides what the rules of the check leave open; without one the rules alone do.

        `matcher` tells whether what a language model wrote is about the question; without one that is not asked.
        """
        self._answerers = (answerer, fallback)
        self._metrics = metrics
        self._options = options
        self._judge = judge
        self._matcher = matcher

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

        The deltas from the last `restart` on are the text of the answer. Where the answerer finds
        no answer, the text shows the closest sections, or says that there is nothing. Without
        passages it says so, and calls no answerer. If an answerer fails or is slow, the next of `answerers`
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
        citations, uncited = await self._checked(draft, passages)
        if self._options.repair != "off" and not draft.closest and contradicted(citations):
            yield await self._repair(draft, citations, question, passages)
            citations, uncited = await self._checked(draft, passages)
        if await self._is_off_target(draft, citations, question):
            draft.warnings = (*draft.warnings, OFF_TARGET)
            draft.discard()
            yield await self._abstention(draft, question, passages)
            citations, uncited = await self._checked(draft, passages)
        for citation in citations:
            yield citation
        if await asyncio.to_thread(instructions_in, question, passages):
            draft.warnings = (*draft.warnings, INSTRUCTIONS_IN_SOURCE)
        answer = Answer(
            text=draft.text,
            citations=citations,
            passages=tuple(passages),
            usage=draft.usage,
            outcome=draft.outcome,
            closest=draft.closest,
            warnings=draft.warnings,
            degraded=draft.degraded,
            removed_markers=draft.removed_markers,
            uncited_sentences=uncited if draft.outcome is Outcome.ANSWERED else 0,
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
            draft.answerer = answerer
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
        yield await self._abstention(draft, question, passages)

    async def _written(
        self,
        draft: _Draft,
        stream: AsyncGenerator[str | Abstained | Usage, None],
        question: str,
        passages: Sequence[Passage],
    ) -> AsyncGenerator[Delta, None]:
        """The text of one answerer after the marker filter."""
        markers = _filter(passages)
        async with aclosing(stream):
            async for piece in stream:
                match piece:
                    case Usage():
                        draft.use(piece)
                    case Abstained(nearest):
                        yield await self._abstention(draft, question, passages, nearest)
                    case str():
                        if text := markers.feed(piece):
                            yield draft.add(text)
        if text := markers.finish():
            yield draft.add(text)
        draft.removed_markers = markers.removed

    async def _checked(self, draft: _Draft, passages: Sequence[Passage]) -> tuple[tuple[Citation, ...], int]:
        """The citations of the text, and the number of its claims without one."""
        if draft.outcome is Outcome.NOTHING:
            return (), 0
        with self._metrics.timed("verify"):
            try:
                return await asyncio.to_thread(cite, draft.text, passages, self._judge)
            except ModelUnavailable as error:
                log.warning("answer.judge_failed", reason=error.message)
                self._metrics.degraded.labels(JUDGE_UNAVAILABLE).inc()
                draft.degraded = tuple(dict.fromkeys((*draft.degraded, JUDGE_UNAVAILABLE)))
                return await asyncio.to_thread(cite, draft.text, passages)

    async def _is_off_target(self, draft: _Draft, citations: Sequence[Citation], question: str) -> bool:
        """Whether a language model wrote of something else; the other answerers choose by the question."""
        writer: object = draft.answerer
        if self._matcher is None or draft.closest or not isinstance(writer, SentenceWriter) or not claims(draft.text):
            return False
        try:
            return await asyncio.to_thread(is_off_target, question, draft.text, citations, self._matcher)
        except ModelUnavailable as error:
            log.warning("answer.matcher_failed", reason=error.message)
            return False

    async def _repair(
        self, draft: _Draft, citations: Sequence[Citation], question: str, passages: Sequence[Passage]
    ) -> Delta:
        """Rewrite or drop what is contradicted; an answer of which nothing is left abstains."""
        writer: object = draft.answerer
        rewrite: Rewrite | None = None
        if self._options.repair == "rewrite" and isinstance(writer, SentenceWriter):
            rewrite = partial(self._rewritten, draft, writer, passages)
        found = await repaired(draft.text, citations, rewrite)
        for done in found.done:
            self._metrics.repaired.labels(done).inc()
        draft.warnings = tuple(dict.fromkeys((*draft.warnings, *found.done)))
        draft.discard()
        return draft.add(found.text) if claims(found.text) else await self._abstention(draft, question, passages)

    async def _rewritten(
        self, draft: _Draft, writer: SentenceWriter, passages: Sequence[Passage], sentence: str, marker: int
    ) -> str | None:
        """The sentence as the model writes it anew, if the passage does not contradict that too."""
        before = draft.usage
        draft.spent.begin()
        stream = within_time(writer.rewrite(sentence, passages[marker - 1]), self._options)
        filtered, written = MarkerFilter([passages[marker - 1].chunk.text]), ""
        try:
            async with aclosing(stream):
                async for piece in stream:
                    match piece:
                        case Usage():
                            draft.use(piece, before)
                        case Abstained():
                            return None
                        case str():
                            written += filtered.feed(piece)
        except ModelUnavailable as error:
            log.warning("answer.not_rewritten", reason=error.message)
            return None
        new = cited_as(written + filtered.finish(), marker)
        checked, _ = await asyncio.to_thread(cite, new, passages)  # what contradicts is found by rules
        return new if checked and not contradicted(checked) else None

    async def _abstention(
        self,
        draft: _Draft,
        question: str,
        passages: Sequence[Passage],
        nearest: Ranked = (),
    ) -> Delta:
        """What the text says instead of an answer: the closest sections, or that there is nothing."""
        found = await asyncio.to_thread(closest, question, passages, nearest)
        language = language_of(question, passages)
        if not found.sections:
            return draft.abstain(self._options.nothing_found or notice("nothing_found", language), ())
        said = self._options.nothing_found or notice("closest", language)
        markers = _filter(passages)
        shown = markers.feed(found.text) + markers.finish()
        return draft.abstain(f"{said}\n\n{shown}", found.sections)

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


def _filter(passages: Sequence[Passage]) -> MarkerFilter:
    return MarkerFilter([f"{passage.chunk.table_header}\n{passage.chunk.text}" for passage in passages])


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
