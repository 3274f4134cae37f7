"""In a conversation, new words weigh more than carried ones, and what was just said weighs less."""

from __future__ import annotations

import pytest

from ragstone.documents.sentences import sentences
from ragstone.generation.candidates import candidates
from ragstone.generation.follow_up import follow_up
from ragstone.generation.relevance import relevance
from ragstone.vocabulary import Query, Turn, parts_of_question
from tests.generation.passages import passage

HOTEL = passage("A double room costs 85 euros. A single room costs 60 euros. Breakfast costs 9 euros.")
BEFORE = (Turn("How much is a double room?", "A double room costs 85 euros [1]."),)


def odds(question: str, carried: str = "", history: tuple[Turn, ...] = BEFORE) -> list[float]:
    turn = follow_up(question, carried, history)
    assert turn is not None
    return [turn.odds(one, HOTEL) for one in candidates([HOTEL])]


def test_a_sentence_with_the_new_words_is_lifted_above_the_one_just_given():
    assert len(list(sentences(HOTEL.chunk.text))) == 3
    double, single, breakfast = odds("And a single room?", "double")
    assert single > breakfast > double


def test_a_carried_word_counts_less_than_a_new_one():
    double, single, breakfast = odds("And breakfast?", "single room")
    assert breakfast > single > double


def test_what_was_said_still_answers_where_it_holds_the_new_words():
    history = (Turn("Tell me of the rooms", "A double room costs 85 euros [1]."),)
    double, single, _ = odds("How many euros is double?", history=history)
    assert double > single


POOL = passage(
    "The outdoor pool of the hotel was built in 1998 and has warm water. It opens at 7:30. A swim costs 4.50 euros."
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("And at what time can I use the warm outdoor pool?", "7:30"),
        ("And when was the outdoor pool built?", "1998"),
        ("And how much is a swim?", "4.50 euros"),
    ],
)
def test_a_sentence_without_what_is_asked_for_is_not_lifted_by_words(question, answer):
    turn = follow_up(question, "", BEFORE)
    assert turn is not None
    found = candidates([POOL])
    extra = [turn.odds(one, POOL) for one in found]
    assert answer in relevance(question, [POOL], found, extra).ranked[0][0].text


def test_without_history_and_for_a_repeated_question_nothing_is_weighed():
    assert follow_up("How much is a double room?", "", ()) is None
    assert follow_up("How much is a double room?", "", BEFORE) is None


def test_a_condensed_question_comes_apart_again():
    query = Query("And breakfast, how much?", carried="double room")
    assert parts_of_question(query.whole) == (query.text, query.carried)
    assert parts_of_question("How much is a room (double)?") == ("How much is a room (double)?", "")
    assert parts_of_question("(a)") == ("(a)", "")
    assert parts_of_question(" (" * 50_000)[1] == ""
