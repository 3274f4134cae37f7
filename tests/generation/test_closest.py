"""The closest sections: which are shown, how much of each, and how."""

from __future__ import annotations

from dataclasses import replace

from ragstone.generation.candidates import candidates
from ragstone.generation.closest import closest
from ragstone.vocabulary import Heading
from tests.generation.passages import BRIDGE, LEAD, TOWER, passage

LOST = "## Lost\n\nReport a lost phone at once.\n\nCall extension 4400:\n\n- by day the desk\n- by night the guard"
GUIDE = passage(f"# Devices\n\nPhones are encrypted.\n\n{LOST}\n\n## Found\n\nBring what you find.", title="Guide")


def shown(question: str, *passages, nearest=()):
    return closest(question, passages, nearest)


def test_a_section_is_shown_whole_around_its_best_sentence():
    found = shown("What about a lost phone?", GUIDE)
    first = found.sections[0]
    assert "**Report a lost phone at once**" in found.text
    assert "4400" in first.text
    assert "by night the guard" in first.text
    assert "Bring what you find" not in first.text
    assert "Phones are encrypted" not in first.text


def test_spans_are_exact():
    document = LEAD + GUIDE.chunk.text
    for section in shown("What about a lost phone?", GUIDE).sections:
        assert document[section.start : section.end] == section.text
        assert section.start <= section.highlight_start < section.highlight_end <= section.end


def test_a_section_ends_where_the_heading_path_changes_though_no_heading_stands_in_the_text():
    text = "Report a lost phone at once.\n\nBring what you find."
    headings = (Heading(len(LEAD), ("Lost",)), Heading(len(LEAD) + text.index("Bring"), ("Found",)))
    letter = passage(text, title="Letter")
    letter = replace(letter, chunk=replace(letter.chunk, headings=headings))
    assert shown("What about a lost phone?", letter).sections[0].text == "Report a lost phone at once."


def test_of_a_long_section_the_sentences_beside_the_best_are_shown():
    many = " ".join(f"Rule {number} says nothing of note about anything at all." for number in range(60))
    long = passage(f"{many} A lost phone is reported at once. {many}", title="Rules")
    first = shown("What about a lost phone?", long).sections[0]
    assert "A lost phone is reported at once." in first.text
    assert len(first.text) < 300


def test_the_answerers_own_ranking_decides_which_sections_come_first():
    sentences = {one.text: one for one in candidates([TOWER, BRIDGE])}
    nearest = [(sentences["It does not carry trains."], 2.0), (sentences["It was never meant to stay."], 1.0)]
    found = shown("Does the tower carry trains?", TOWER, BRIDGE, nearest=nearest)
    assert [section.marker for section in found.sections] == [2, 1]


def test_sections_far_below_the_best_are_left_out_but_for_the_second():
    passages = [passage(f"Lamp {number} is red.", title=f"Lamp {number}", document=f"d{number}") for number in range(4)]
    nearest = [(one, -10.0 * number) for number, one in enumerate(candidates(passages))]
    assert len(shown("Which lamp is red?", *passages, nearest=nearest).sections) == 2
    nearest = [(one, -0.1 * number) for number, one in enumerate(candidates(passages))]
    assert len(shown("Which lamp is red?", *passages, nearest=nearest).sections) == 4


def test_a_cell_in_bold_type_does_not_nest_marks():
    table = passage("| Ship | Litres |\n| --- | --- |\n| **Bo** | **900** (best) |", title="Fuel")
    assert "| **Bo** | **900 (best)** [1] |" in shown("How many litres had Bo, and why so many?", table).text
