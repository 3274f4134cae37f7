"""The story ANSWER: streams, falls back, checks."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from ragstone.errors import ModelUnavailable
from ragstone.generation.answer import AnswerOptions, Generator
from ragstone.generation.base import Abstained, Delta
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.notices import notice
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Citation, Outcome, Usage
from tests.generation.answerers import Scripted
from tests.generation.passages import BRIDGE, TOWER

DOWN = ModelUnavailable("It is down.")
QUESTION = "When did the bridge open?"
NOTHING_FOUND = notice("nothing_found", "en")


async def answered(answerer, *, fallback=None, passages=(TOWER, BRIDGE), metrics=None, question=QUESTION, **options):
    """All events of one answer, the answer, and the text as a reader who heeds `restart` sees it."""
    generator = Generator(
        answerer=answerer,
        fallback=fallback or ExtractiveAnswerer(),
        metrics=metrics or Metrics(),
        options=AnswerOptions(**options),
    )
    events = [event async for event in generator.answer(question, passages)]
    shown = ""
    for event in events:
        if isinstance(event, Delta):
            shown = event.text if event.restart else shown + event.text
    assert isinstance(events[-1], Answer)
    assert shown == events[-1].text
    assert tuple(event for event in events if isinstance(event, Citation)) == events[-1].citations
    return events, events[-1]


async def test_text_streams_and_citations_follow():
    events, answer = await answered(Scripted("It opened ", "in 1937 [2]", ".", Usage("m", 7, 3, 2)))
    assert next(event.text for event in events if isinstance(event, Delta)) == "It opened"
    assert answer.text == "It opened in 1937 [2]."
    assert [(one.marker, one.verified) for one in answer.citations] == [(2, True)]
    assert answer.usage == Usage("m", 7, 3, 2)
    assert not answer.abstained
    assert answer.degraded == ()


async def test_without_passages_no_answerer_is_asked():
    scripted = Scripted("x", Usage("m"))
    _, answer = await answered(scripted, passages=())
    assert (answer.text, answer.abstained, scripted.asked) == (NOTHING_FOUND, True, 0)


async def test_an_abstention_shows_the_closest_sections_and_says_so():
    _, answer = await answered(Scripted(Abstained(), Usage("m")))
    assert answer.text.startswith("The documents do not answer this outright.")
    assert "**The bridge opened in 1937** [2]." in answer.text
    assert (answer.outcome, answer.abstained, answer.uncited_sentences) == (Outcome.CLOSEST, True, 0)
    assert [one.marker for one in answer.closest][:1] == [2]
    assert {one.marker for one in answer.citations} == {2}
    assert all(one.verified for one in answer.citations)


async def test_an_abstention_without_evidence_says_that_there_is_nothing():
    _, answer = await answered(Scripted(Abstained(), Usage("m")), question="🚀🚀 🛸")
    assert (answer.text, answer.outcome, answer.citations, answer.closest) == (NOTHING_FOUND, Outcome.NOTHING, (), ())


async def test_the_words_of_an_installation_stand_above_the_closest_sections():
    _, answer = await answered(Scripted(Abstained(), Usage("m")), nothing_found="Call 555 0199.")
    assert answer.text.startswith("Call 555 0199.\n\n### Golden Gate Bridge")


async def test_a_model_that_is_down_is_replaced_in_the_open():
    metrics = Metrics()
    _, answer = await answered(Scripted(DOWN), metrics=metrics)
    assert answer.degraded == ("llm_unavailable",)
    assert "1937 [2]" in answer.text
    assert answer.usage.model == "extractive"
    assert 'ragstone_degraded_total{policy="llm_unavailable"} 1.0' in metrics.render().decode()


async def test_text_of_a_model_that_breaks_off_is_taken_back():
    events, answer = await answered(Scripted("It opened in 19", DOWN))
    assert [event.restart for event in events if isinstance(event, Delta)][:2] == [False, True]
    assert answer.degraded == ("llm_unavailable",)


@pytest.mark.parametrize("pieces", [(...,), ("It opened ", ...)], ids=["no-token", "stuck"])
async def test_a_model_that_is_slow_is_replaced_in_the_open(pieces):
    scripted = Scripted(*pieces)
    # The limits hold for the answerer that takes over as well: it must keep them on a busy machine.
    _, answer = await answered(scripted, first_token_s=1.0, total_s=1.5)
    assert answer.degraded == ("llm_timeout",)
    assert "1937" in answer.text
    assert scripted.closed == 1


async def test_the_first_token_has_a_limit_of_its_own():
    _, answer = await answered(Scripted(...), first_token_s=0.02, total_s=3600)
    assert answer.degraded == ("llm_timeout",)


async def test_after_the_first_token_the_longer_limit_holds():
    _, answer = await answered(Scripted("It opened in 1937 [2].", Usage("m")), first_token_s=0.5, total_s=3600)
    assert answer.degraded == ()


async def test_when_the_fallback_is_down_too_the_closest_sections_are_shown():
    _, answer = await answered(Scripted(DOWN), fallback=Scripted("Half", DOWN))
    assert (answer.outcome, answer.degraded) == (Outcome.CLOSEST, ("llm_unavailable",))


async def test_markers_that_point_nowhere_are_removed_and_counted():
    metrics = Metrics()
    _, answer = await answered(Scripted("It opened in 1937 [9][2]. Nice.", Usage("m")), metrics=metrics)
    assert (answer.text, answer.removed_markers, answer.uncited_sentences) == ("It opened in 1937 [2]. Nice.", 1, 1)
    assert "ragstone_removed_markers_total 1.0" in metrics.render().decode()


async def test_a_false_sentence_keeps_its_citation_and_is_not_verified():
    _, answer = await answered(Scripted("It opened in 1973 [2].", Usage("m")))
    assert [one.verified for one in answer.citations] == [False]


async def test_closing_the_answer_closes_the_model():
    scripted = Scripted("It opened ", ...)
    generator = Generator(answerer=scripted, fallback=ExtractiveAnswerer(), metrics=Metrics())
    async with aclosing(generator.answer(QUESTION, [TOWER])) as events:
        await anext(events)
    assert scripted.closed == 1


async def test_answers_tokens_and_citations_are_counted():
    metrics = Metrics()
    await answered(Scripted("It opened in 1937 [2].", Usage("m", 7, 3)), metrics=metrics)
    text = metrics.render().decode()
    assert 'ragstone_answers_total{answerer="m",outcome="answered"} 1.0' in text
    assert 'ragstone_tokens_total{direction="input",model="m"} 7.0' in text
    assert 'ragstone_citations_total{verdict="borne_out"} 1.0' in text


class FailingJudge:
    """A judge that fails."""

    def supports(self, pairs):
        raise ModelUnavailable("The judge failed.")


async def test_if_the_judge_fails_the_rules_decide_and_the_answer_says_so():
    metrics = Metrics()
    generator = Generator(
        answerer=Scripted("In 1937 the bridge opened [2]."),
        fallback=ExtractiveAnswerer(),
        metrics=metrics,
        judge=FailingJudge(),
    )
    answer = [event async for event in generator.answer(QUESTION, (TOWER, BRIDGE))][-1]
    assert isinstance(answer, Answer)
    assert answer.degraded == ("judge_unavailable",)
    assert answer.citations[0].verified
    assert 'ragstone_degraded_total{policy="judge_unavailable"} 1.0' in metrics.render().decode()
