"""Whether a passage bears a sentence out."""

from __future__ import annotations

import pytest

from ragstone.generation.verification import Evidence
from ragstone.inference.judge import Support
from ragstone.vocabulary import Verdict
from tests.generation.passages import BRIDGE, TOWER


def checked(claim, passage=TOWER):
    return Evidence(passage.chunk.text, passage.title).verify(claim)


@pytest.mark.parametrize(
    "claim",
    [
        "The tower was completed in March 1889 [1].",
        "The Eiffel Tower was completed in 1889.",
        "It weighs 10100 tonnes.",
        "The tower, 330 m tall, weighs 10,100 tonnes.",
        "Completed in March 1889, it is 330 metres tall.",
        "**Gustave Eiffel's** company built the tower.",
    ],
)
def test_what_the_passage_says_is_verified(claim):
    assert checked(claim).verified


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("The dam is 5 kilometres long.", "The dam is 5 km long, and the road is shorter."),
        ("The fine was 5 million dollars.", "In the end the fine was $5 million, which they paid."),
        ("The firm organises colourful tours.", "The firm organizes colorful tours, and the rest is free."),
        ("The World Health Organization met in Kiel.", "That year the WHO met in Kiel, with the city."),
        ("The harbour's crane was sold.", "In May the crane of the harbour was sold, with the barns."),
        ("Doctor Reed came at noon.", "With the boat Dr. Reed came at noon, and the dog came too."),
    ],
)
def test_another_form_of_the_same_words_is_verified(claim, text):
    assert Evidence(text).verify(claim).verdict is Verdict.BORNE_OUT


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("The dam is 5 miles long.", "The dam is 5 km long, and the road is shorter."),
        ("The fine was 5 million euros.", "In the end the fine was $5 million, which they paid."),
        ("The World Heritage Council met in Kiel.", "That year the WHO met in Kiel, with the city."),
        ("The crane's harbour was sold.", "In May the crane of the harbour was sold, with the barns."),
    ],
)
def test_another_unit_abbreviation_or_owner_is_not(claim, text):
    assert Evidence(text).verify(claim).objections


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param("The tower was completed in March 1899.", id="year"),
        pytest.param("The tower was completed in May 1889.", id="month"),
        pytest.param("It is 330 feet tall and weighs 10,100 tonnes.", id="unit"),
        pytest.param("It is 333 metres tall and weighs 10,100 tonnes.", id="figure"),
        pytest.param("The tower was not completed in March 1889.", id="negated"),
        pytest.param("It was meant to stay.", id="negation lost"),
        pytest.param("Charles Garnier's company built it.", id="name"),
        pytest.param("The bridge opened in 1937.", id="another passage"),
        pytest.param("Painting it takes sixty tons of paint.", id="not said"),
        pytest.param("Yes.", id="nothing said"),
    ],
)
def test_what_the_passage_does_not_say_is_not(claim):
    assert not checked(claim).verified


@pytest.mark.parametrize("frame", ["According to the text, ", "The source says that ", "Note that "])
def test_what_introduces_a_statement_states_nothing(frame):
    evidence = Evidence("It opened in 1990. It closed after the war, when the council sold it.")
    assert evidence.verify(f"{frame}it closed after the war.").verdict is Verdict.BORNE_OUT
    assert not evidence.verify(f"{frame}it closed before the war.").verified


def test_a_statement_in_other_digits_and_contractions_needs_no_judge():
    evidence = Evidence("The pump is not old, and it has three motors.")
    assert evidence.examine("The pump isn't old, and it has 3 motors.").pair is None
    assert evidence.examine("The pump isn't old, but has 3 motors.").pair is not None


def test_two_names_that_changed_places_are_seen():
    evidence = Evidence("In the final match the team of Brazil defeated the team of Germany.")
    assert evidence.verify("In the final match the team of Brazil defeated the team of Germany.").score == 1
    assert not evidence.verify("In the final match the team of Germany defeated the team of Brazil.").verified


def test_a_denial_is_not_outvoted_by_sentences_around_it():
    evidence = Evidence("The plan was approved by the council. It was not funded. Nobody was surprised.")
    assert not evidence.verify("The plan was not approved by the council.").verified
    assert evidence.verify("The plan was approved by the council.").score == 1


def test_the_opposite_word_is_seen():
    evidence = Evidence("Oil prices increased sharply after the embargo.")
    assert not evidence.verify("Oil prices decreased sharply after the embargo.").verified


def test_the_span_is_the_sentence_and_no_more():
    found = checked("It weighs 10,100 tonnes.")
    assert TOWER.chunk.text[found.start : found.end] == "It is 330 metres tall and weighs 10,100 tonnes."


def test_the_span_takes_in_two_sentences_where_one_is_not_enough():
    found = checked("Completed in March 1889, the tower is 330 metres tall.")
    assert TOWER.chunk.text[found.start : found.end].startswith("The tower was completed")
    assert TOWER.chunk.text[found.start : found.end].endswith("tonnes.")


def test_an_empty_passage_bears_nothing_out():
    assert Evidence("").verify("The tower is tall.").score == 0


def test_a_negation_that_stands_in_both_is_no_conflict():
    assert checked("It does not carry trains.", BRIDGE).score == 1


class Opinion:
    """A judge that says the same of every pair."""

    def __init__(self, supported):
        self.supported = supported
        self.asked = []

    def supports(self, pairs):
        self.asked.append(list(pairs))
        return [Support(self.supported, 1 - self.supported) for _ in pairs]


def test_the_judge_decides_what_the_rules_leave_open():
    evidence = Evidence(TOWER.chunk.text, TOWER.title)
    claim = "The tower, 330 m tall, weighs 10,100 tonnes."
    assert evidence.verify(claim, Opinion(0.99)).verdict is Verdict.BORNE_OUT
    doubted = evidence.verify(claim, Opinion(0.01))
    assert (doubted.verdict, doubted.score) == (Verdict.DOUBTFUL, 0.01)


def test_the_judge_must_be_surer_of_a_paraphrase():
    evidence = Evidence(TOWER.chunk.text, TOWER.title)
    near, free = (
        "It is 330 metres tall and weighs 10100 tonnes.",
        "The high tower weighs 10,100 tonnes and is 330 metres tall.",
    )
    assert evidence.verify(near, Opinion(0.6)).verdict is Verdict.BORNE_OUT
    assert evidence.verify(free).verdict is Verdict.BORNE_OUT
    assert evidence.verify(free, Opinion(0.6)).verdict is Verdict.DOUBTFUL
    assert evidence.verify(free, Opinion(0.9)).verdict is Verdict.BORNE_OUT


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("It was never meant to stay [1].", Verdict.QUOTED),
        ("The tower was completed in May 1889.", Verdict.CONTRADICTED),
        ("Painting it takes sixty tons of paint.", Verdict.DOUBTFUL),
    ],
)
def test_the_judge_is_not_asked_what_the_rules_decide(claim, verdict):
    judge = Opinion(0.99)
    assert Evidence(TOWER.chunk.text, TOWER.title).verify(claim, judge).verdict is verdict
    assert judge.asked == []


def test_the_judge_reads_claim_and_evidence_in_canonical_text():
    judge = Opinion(0.99)
    Evidence(TOWER.chunk.text, TOWER.title).verify("The tower weighs 10100 tonnes [1].", judge)
    (pairs,) = judge.asked
    claim, evidence = pairs[0]
    assert claim == "The tower weighs 10100 tonnes."
    assert evidence.startswith("Eiffel Tower : ")
    assert "weighs 10100 tonnes" in evidence


def test_words_that_the_passage_does_not_have_are_an_addition():
    tail = "The tower was completed in March 1889, weighs 10,100 tonnes and attracts countless eager visitors daily."
    assert checked(tail).verdict is Verdict.DOUBTFUL


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param("The drug is larger than 500 Da.", id="figure of the sentence before"),
        pytest.param("The drug is larger than 6000 Da, but not longer.", id="negation put in"),
    ],
)
def test_a_near_copy_is_held_against_its_own_sentence(claim):
    text = "Larger ones (500 Da) can do harm. The drug is larger than 6000 Da, and longer. It was sold in 1990."
    assert Evidence(text).verify(claim).verdict is Verdict.CONTRADICTED


def test_what_is_stated_under_a_condition_is_doubtful_without_it():
    evidence = Evidence("If the storms are heavy, the ferry leaves after ten hours.")
    assert evidence.verify("The ferry leaves after ten hours.").verdict is Verdict.DOUBTFUL
    assert evidence.verify("The ferry leaves after ten hours if the storms are heavy.").verdict is Verdict.BORNE_OUT


def test_a_name_of_the_title_may_stand_for_a_pronoun():
    evidence = Evidence("In 1990 he wrote about the harbour of Lund.", "Bo Holm")
    assert evidence.verify("In 1990 Bo Holm wrote about the harbour of Lund.").verdict is Verdict.BORNE_OUT
