"""A sentence that its source contradicts is dropped, or written once more."""

from __future__ import annotations

from ragstone.errors import ModelUnavailable
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.generation.repair import DROPPED, REWRITTEN
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Usage, Verdict
from tests.generation.answerers import Scripted, ScriptedModel
from tests.generation.passages import BRIDGE
from tests.generation.test_answer import answered

TRUE = "Its main span is 1,280 m long [1]."
FALSE = "The bridge opened in 1938 [1]."


class Rewriting(Scripted):
    """An answerer that writes a contradicted sentence anew as it is told to."""

    def __init__(self, text, *sentence):
        super().__init__(text, Usage("m", 7, 3))
        self.sentence = sentence
        self.asked_for = []

    async def rewrite(self, sentence, passage):
        self.asked_for.append((sentence, passage))
        for piece in self.sentence:
            if isinstance(piece, Exception):
                raise piece
            yield piece
        yield Usage("m", 5, 2)


async def repaired(answerer, repair, **more):
    return (await answered(answerer, passages=(BRIDGE,), repair=repair, **more))[1]


async def test_without_the_option_a_contradicted_sentence_stays_and_is_marked():
    answer = await repaired(Scripted(f"{FALSE} {TRUE}"), "off")
    assert [one.verdict for one in answer.citations] == [Verdict.CONTRADICTED, Verdict.QUOTED]
    assert answer.warnings == ()


async def test_a_contradicted_sentence_is_dropped_and_the_answer_says_so():
    metrics = Metrics()
    answer = await repaired(Scripted(f"{FALSE} {TRUE}"), "drop", metrics=metrics)
    assert (answer.text, answer.warnings) == (TRUE, (DROPPED,))
    assert [one.verdict for one in answer.citations] == [Verdict.QUOTED]
    assert f'ragstone_repaired_sentences_total{{repair="{DROPPED}"}} 1.0' in metrics.render().decode()


async def test_an_item_of_a_list_goes_with_its_line():
    answer = await repaired(Scripted(f"- {TRUE}\n- {FALSE}\n- It does not carry trains [1]."), "drop")
    assert answer.text == f"- {TRUE}\n- It does not carry trains [1]."


async def test_an_answer_of_which_nothing_is_left_abstains():
    answer = await repaired(Scripted(FALSE), "drop")
    assert (answer.abstained, answer.warnings) == (True, (DROPPED,))
    assert FALSE not in answer.text


async def test_a_sentence_that_another_source_bears_out_stays():
    _, answer = await answered(Scripted("The bridge opened in 1937 [1][2]."), passages=(BRIDGE, BRIDGE), repair="drop")
    assert answer.warnings == ()


async def test_a_contradicted_sentence_is_written_once_more():
    answerer = Rewriting(f"{FALSE} {TRUE}", "The bridge opened ", "in 1937 [7].")
    answer = await repaired(answerer, "rewrite")
    assert answer.text == f"The bridge opened in 1937 [1]. {TRUE}"
    assert (answer.warnings, answerer.asked_for) == ((REWRITTEN,), [(FALSE, BRIDGE)])
    assert answer.usage == Usage("m", 12, 5)


async def test_a_rewrite_that_the_source_contradicts_too_is_dropped():
    answer = await repaired(Rewriting(f"{FALSE} {TRUE}", "The bridge opened in 1939."), "rewrite")
    assert (answer.text, answer.warnings) == (TRUE, (DROPPED,))


async def test_if_the_model_fails_the_sentence_is_dropped():
    answer = await repaired(Rewriting(f"{FALSE} {TRUE}", ModelUnavailable("It is down.")), "rewrite")
    assert (answer.text, answer.warnings) == (TRUE, (DROPPED,))


async def test_an_answerer_that_cannot_rewrite_has_its_sentence_dropped():
    assert (await repaired(Scripted(f"{FALSE} {TRUE}"), "rewrite")).warnings == (DROPPED,)


async def test_a_model_is_shown_the_passage_and_the_sentence():
    model = ScriptedModel("The bridge opened in 1937.")
    pieces = [piece async for piece in PromptedAnswerer(model).rewrite(FALSE, BRIDGE)]
    assert [piece for piece in pieces if isinstance(piece, str)] == ["The bridge opened in 1937."]
    task = model.messages[-1].text
    assert BRIDGE.chunk.text in task
    assert task.endswith("The bridge opened in 1938.")
