"""Answers without a model."""

from __future__ import annotations

import pytest

from ragstone.errors import ModelUnavailable
from ragstone.generation.base import Abstained
from ragstone.generation.extractive import ExtractiveAnswerer, ExtractiveOptions, ranked
from ragstone.generation.reading import Models
from ragstone.inference.matching import Match
from ragstone.vocabulary import Usage
from tests.generation.passages import BRIDGE, TOWER, passage


async def said(question, passages, **options):
    answerer = ExtractiveAnswerer(ExtractiveOptions(**options))
    pieces = [piece async for piece in answerer.stream(question, passages, ())]
    assert pieces[-1] == Usage("extractive")
    return "".join(piece for piece in pieces if isinstance(piece, str))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When did the bridge open?", "The bridge opened in 1937 [2]."),
        ("How long is the main span of the bridge?", "Its main span is 1,280 m long [2]."),
        ("How tall is the tower?", "It is 330 metres tall and weighs 10,100 tonnes [1]."),
        ("Which company built the tower?", "Gustave Eiffel's company built it [1]."),
    ],
)
async def test_the_sentence_that_answers_is_quoted(question, answer):
    assert answer in await said(question, [TOWER, BRIDGE])


@pytest.mark.parametrize("question", ["Who invented the telephone?", "what is the price of a banana in Norway", "???"])
async def test_it_abstains_when_nothing_bears_on_the_question(question):
    assert await said(question, [TOWER, BRIDGE]) == ""


GUIDE = passage(
    "# Guide\n\nWords about everything.\n\n## How do I cancel my subscription?\n\n"
    "<Notice kind='info'>\n\nOpen the account page and press the red button. A mail confirms it.\n\n"
    "## Why is the lamp not safe?\n\nIts cable is thin."
)


async def test_a_heading_that_asks_the_question_is_answered_by_what_follows_it():
    text = await said("How can I cancel my subscription?", [TOWER, GUIDE])
    assert text == "Open the account page and press the red button [2]. A mail confirms it [2]."


async def test_a_heading_that_asks_the_opposite_is_not():
    assert "Its cable is thin" in await said("Why is the lamp not safe?", [GUIDE])
    assert "Its cable is thin" not in await said("Why is the lamp safe?", [GUIDE])


async def test_below_a_heading_that_asks_why_an_answer_needs_no_word_of_the_question():
    page = passage("# Why\n\n## Why are citations checked?\n\nAn unproven number may point anywhere.", title="Why")
    other = passage("The check of citations compares words. It is quick.", title="Checks", document="d2")
    assert "An unproven number may point anywhere" in await said("Why are citations checked?", [page, other])


class Opinions:
    """A judge and matcher in one that prefers sentences with a word, or that fails."""

    def __init__(self, word: str, *, fails: bool = False) -> None:
        self.word, self.fails = word, fails
        self.read: list[str] = []

    def answers(self, question, candidates):
        if self.fails:
            raise ModelUnavailable("The judge failed.")
        self.read += candidates
        return [9.0 if self.word in one.splitlines()[-1] else -9.0 for one in candidates]

    def matches(self, question, words, texts):
        assert all(question[start:end].isalnum() for start, end in words)
        return [Match(0.5, 0.5)] * len(texts)


def models(word: str = "", *, fails: bool = False) -> tuple[Models, Opinions]:
    both = Opinions(word, fails=fails)
    return Models(both, both), both


def test_the_models_read_the_best_sentences_and_change_their_order():
    made, both = models("Eiffel")
    found = ranked("Which company built the tower and how tall is it?", [TOWER, BRIDGE], models=made)
    assert "Eiffel" in found.ranked[0][0].text
    assert 0 < len(both.read) <= 4


def test_what_the_models_think_of_the_best_sentence_decides_whether_there_is_an_answer():
    asked = ("Which company built the tower?", [TOWER, BRIDGE])
    likes, dislikes = (ranked(*asked, models=models(word)[0]).answerable for word in ("Eiffel", "nothing of this"))
    assert likes > 0.5 > dislikes


def test_the_words_decide_where_a_model_fails():
    asked = ("When did the bridge open?", [TOWER, BRIDGE])
    assert ranked(*asked, models=models(fails=True)[0]) == ranked(*asked)


def test_the_words_decide_where_the_models_cannot_read_the_script():
    asked = ("Когда открылся мост?", [passage("Мост открылся в 1937 году.")])
    made, both = models("1937")
    assert ranked(*asked, models=made) == ranked(*asked)
    assert both.read == []


def test_a_document_that_was_ingested_twice_casts_no_doubt():
    made, _ = models("1937")
    twin = passage(BRIDGE.chunk.text, title=BRIDGE.title, document="twin")
    once, twice = (ranked("When did the bridge open?", found, models=made) for found in ([BRIDGE], [BRIDGE, twin]))
    assert twice.answerable == pytest.approx(once.answerable, abs=0.1)


async def test_an_abstention_says_which_sentences_come_nearest():
    made, _ = models("nothing of this")
    answerer = ExtractiveAnswerer(models=made)
    pieces = [piece async for piece in answerer.stream("Which company built the tower?", [TOWER, BRIDGE], ())]
    [abstained] = [piece for piece in pieces if isinstance(piece, Abstained)]
    odds = [value for _, value in abstained.nearest]
    assert odds == sorted(odds, reverse=True)
    assert "Eiffel" in abstained.nearest[0][0].text


async def test_a_heading_itself_is_never_the_answer():
    assert "not safe" not in await said("Is the lamp safe?", [GUIDE], answer_at=0.0, within=99.0, max_sentences=99)


async def test_a_line_of_tags_is_no_sentence():
    assert "Notice" not in await said("Which notice of which kind has the info?", [GUIDE], answer_at=0.0)


async def test_sentences_come_in_reading_order_and_only_once():
    twin = passage(BRIDGE.chunk.text, title="Golden Gate Bridge", document="twin")
    text = await said("When did the bridge open and does it carry trains?", [BRIDGE, twin], within=9.0)
    assert text.index("1937") < text.index("trains")
    assert text.count("1937") == 1


async def test_an_answer_has_at_most_as_many_sentences_as_allowed():
    many = passage(" ".join(f"The bridge has {number} red towers." for number in range(20, 60)), title="Bridge")
    text = await said("How many red towers has the bridge?", [many], within=99.0, same_at=1.1, max_sentences=4)
    assert text.count("[1]") == 4


async def test_links_and_images_are_not_shown_and_foreign_numbers_are_no_markers():
    page = passage("- The **bridge** opened in [1937](https://a.example/1937)[12], see ![map](m.png).\n", title="B")
    text = await said("When did the bridge open?", [page])
    assert text == "The **bridge** opened in 1937\\[12\\], see [1]."


async def test_a_row_is_shown_below_the_head_of_its_table():
    table = passage("| Bridge | Opened |\n|---|---|\n| Golden Gate Bridge | 1937 |\n| Tower Bridge | 1894 |", title="B")
    assert await said("When was Golden Gate Bridge opened?", [table]) == (
        "| Bridge | Opened |\n| --- | --- |\n| Golden Gate Bridge | 1937 [1] |\n\n… and 1 more"
    )


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("Which glob matches every Markdown file?", "`**/*.md`"),
        ("Where do private keys lie?", "`~/.ssh/id_rsa`"),
        ("What is the area?", "3 * 4 * 5 = 60"),
        ("What does the decorator pass to the function?", "`*args` and `**kwargs` to the function `__init__`"),
        ("What does the query return?", "`SELECT * FROM users`"),
        ("When should the pump be stopped?", "pressure > 16 bar or the level < 3 m"),
    ],
)
async def test_marks_of_code_and_formulas_stay(question, kept):
    page = passage(
        "# Wildcards\n\nThe glob `**/*.md` matches every Markdown file below the folder.\n\n"
        "The decorator passes `*args` and `**kwargs` to the function `__init__`.\n\n"
        "The query `SELECT * FROM users` returns every column.\n\nThe area is 3 * 4 * 5 = 60 square metres.\n\n"
        "Private keys lie in `~/.ssh/id_rsa` of the user's home.\n\n"
        "If the pressure > 16 bar or the level < 3 m then stop the pump.\n"
    )
    assert kept in await said(question, [page], answer_at=0.0)


async def test_no_passages_and_blank_ones_give_no_answer():
    assert await said("When did the bridge open?", []) == ""
    assert await said("When did the bridge open?", [passage(" ")]) == ""


async def test_other_scripts_are_answered_too():
    page = passage("東京の天気は晴れです。大阪の天気は雨です。", title="天気")
    assert "大阪の天気は雨です [1]。" in await said("大阪の天気は?", [page])
