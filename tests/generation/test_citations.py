"""From the text of an answer to its citations."""

from __future__ import annotations

from ragstone.generation.citations import cite
from ragstone.inference.judge import Support
from ragstone.vocabulary import Verdict
from tests.generation.passages import BRIDGE, LEAD, TOWER, passage


def test_a_citation_quotes_its_document_exactly():
    text = "The bridge opened in 1937 [2]. The tower weighs 10,100 tonnes [1]."
    citations, uncited = cite(text, [TOWER, BRIDGE])
    assert uncited == 0
    assert [one.marker for one in citations] == [2, 1]
    for one, source in zip(citations, (BRIDGE, TOWER), strict=True):
        assert (LEAD + source.chunk.text)[one.start : one.end] == one.quote
        assert (one.document_id, one.version, one.page) == (source.chunk.document_id, 1, 7)
        assert one.verified
    assert [text[one.answer_start : one.answer_end] for one in citations] == [
        "The bridge opened in 1937 [2].",
        "The tower weighs 10,100 tonnes [1].",
    ]


def test_each_marker_of_a_sentence_is_checked_by_itself():
    citations, _ = cite("The bridge opened in 1937 [1][2].", [TOWER, BRIDGE])
    assert [(one.marker, one.verified) for one in citations] == [(1, False), (2, True)]


def test_a_marker_inside_a_sentence_stands_for_what_precedes_it():
    citations, uncited = cite("The tower is 330 m tall [1], and the bridge opened in 1937 [2].", [TOWER, BRIDGE])
    assert [one.verified for one in citations] == [True, True]
    assert uncited == 0


def test_a_sentence_without_a_marker_is_counted():
    citations, uncited = cite("It is old. It weighs 10,100 tonnes [1].", [TOWER])
    assert (len(citations), uncited) == (1, 1)


def test_a_marker_after_the_full_stop_belongs_to_the_sentence_before():
    citations, uncited = cite("The bridge opened in 1937. [1] It does not carry trains. [1]", [BRIDGE])
    assert ([one.verified for one in citations], uncited) == ([True, True], 0)


def test_list_items_and_table_rows_are_claims_and_code_is_none():
    text = "- The bridge opened in 1937 [1].\n- It carries trains [1].\n\n```\nx[1] = 2\n```\n\n| 1,280 m | span [1] |"
    citations, uncited = cite(text, [BRIDGE])
    assert ([one.verified for one in citations], uncited) == ([True, False, True], 0)


def test_title_and_headings_say_what_a_passage_is_about():
    about = passage("It is written in C.", title="SQLite", headings=("About", "Language"))
    assert cite("SQLite is written in C [1].", [about])[0][0].verified


def test_a_free_sentence_about_something_else_is_not_verified():
    assert not cite("The ferry is free of charge on Sundays [1].", [BRIDGE])[0][0].verified


class CountingJudge:
    """A judge that supports everything and counts its calls."""

    def __init__(self):
        self.calls = 0

    def supports(self, pairs):
        self.calls += 1
        return [Support(0.9, 0.05) for _ in pairs]


def test_all_claims_of_an_answer_are_judged_in_one_call():
    judge = CountingJudge()
    text = "In 1937 the bridge opened [2]. The tower weighs 10100 tonnes [1]. It does not carry trains [2]."
    citations, _ = cite(text, [TOWER, BRIDGE], judge)
    assert [one.verdict for one in citations] == [Verdict.BORNE_OUT, Verdict.BORNE_OUT, Verdict.QUOTED]
    assert judge.calls == 1


def test_a_quote_has_the_exact_span_whatever_its_line_breaks():
    source = passage("The pump\nruns at > 16\nbar. It stops at night.")
    citations, _ = cite("The pump runs at > 16 bar [1].", [source])
    assert citations[0].verdict is Verdict.QUOTED
    assert (LEAD + source.chunk.text)[citations[0].start : citations[0].end] == "The pump\nruns at > 16\nbar."
