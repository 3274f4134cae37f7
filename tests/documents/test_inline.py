"""Inline Markdown as plain text, and as Markdown that is cut into sentences."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.documents.inline import MAX_PARSED_CHARS, cut, guarded, plain_text


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("The glob `**/*.md` matches *every* file.", "The glob **/*.md matches every file."),
        ("**/*.md and **/*.txt match.", "**/*.md and **/*.txt match."),
        ("It passes `*args` and `**kwargs` to `__init__`.", "It passes *args and **kwargs to __init__."),
        ("The method __init__ of a_b_c, __in bold__.", "The method __init__ of a_b_c, in bold."),
        ("2 * 3 * 4 is 2*3*4, and 2**10 is 1024.", "2 * 3 * 4 is 2*3*4, and 2**10 is 1024."),
        ("Keys lie in ~/.ssh/id_rsa or `~/.ssh/id_rsa`.", "Keys lie in ~/.ssh/id_rsa or ~/.ssh/id_rsa."),
        ("If p > 16 bar or l < 3 m", "If p > 16 bar or l < 3 m"),
        ("这是**重点**内容", "这是重点内容"),
        ("[The `Vec`](vec.html 'title') and [text][name], ![a map](m.png) a[i][j]", "The Vec and text,  a[i][j]"),
        ("10<sup>-6</sup> of H<sub>2</sub>O, <b>bold</b>", "10^-6 of H2O, bold"),
        ("Vec<T>, <file> and &lt;b&gt;", "Vec<T>, <file> and <b>"),
        ("one\ntwo  \nthree", "one two three"),
        ("a quote\n> goes on above\n> 16 bar", "a quote goes on above > 16 bar"),
        ("\\*no emphasis\\* \\# no heading", "*no emphasis* # no heading"),
    ],
)
def test_plain_text_is_what_a_reader_sees(markdown, plain):
    assert plain_text(markdown) == plain


def test_a_cut_closes_emphasis_and_opens_it_again():
    text = "**Bold one. Bold *two. And* more.** Three."
    assert cut(text, [12, 23, 36]) == ["**Bold one.**", "**Bold *two.***", "***And* more.**", "Three."]


@pytest.mark.parametrize(
    ("markdown", "safe"),
    [
        ("See ![map](https://a.example/?q=1) and [the page](https://a.example).", "See  and the page."),
        ("<img src=x onerror=alert(1)>Danger <script>x</script>", "Danger x"),
        ("in [0, 1], as [3] says 【4】", "in \\[0, 1\\], as \\[3\\] says \\[4\\]"),
        ("`` a ` b ``, `c`", "``a ` b``, `c`"),
        ("R&amp;D &lt;b&gt;", "R&D \\<b>"),
    ],
)
def test_what_loads_or_cites_is_taken_away_and_the_rest_stays(markdown, safe):
    assert cut(markdown) == [safe]


WORD = st.sampled_from(["valve", "a_b_c", "`**/*.md`", "`x = y * 2`", "`__init__`", "16", "-3.5", "> 16", "< 3"])
MARKED = st.sampled_from(
    ["{}", "*{}*", "**{}**", "({})", "[{}](https://a.example)", "~/{}", "{} * 2", "**{}. See {}**"]
)
TEXT = st.lists(st.builds(lambda mark, word: mark.format(word, word), MARKED, WORD), min_size=1, max_size=8)


@given(TEXT.map(". ".join))
def test_every_figure_sign_operator_and_code_span_stays(text):
    bare = text.replace("](https://a.example)", "]")
    for shown in (cut(text), cut(text, [found.end() for found in re.finditer(r"\. ", text)])):
        together = " ".join(shown)
        assert re.findall(r"`[^`]+`", together) == re.findall(r"`[^`]+`", bare)
        assert re.findall(r"[<>=~/]|-?\d+(?:\.\d+)?", together) == re.findall(r"[<>=~/]|-?\d+(?:\.\d+)?", bare)
        assert "".join(map(plain_text, shown)).replace(" ", "") == plain_text(text).replace(" ", "")


@given(st.text(alphabet="*_`~[]()<>!&\\ \nab1", max_size=60), st.integers(0, 60))
def test_any_text_can_be_cut_anywhere(text, place):
    assert len(cut(text, [min(place, len(text))])) == 2


@pytest.mark.parametrize(
    ("part", "safe"), [("> 16 bar", "\\> 16 bar"), ("1. May", "1\\. May"), ("- 5", "\\- 5"), ("-5", "-5"), ("#x", "#x")]
)
def test_what_would_begin_another_block_is_escaped_at_the_begin_of_a_line(part, safe):
    assert guarded(part) == safe


def test_a_text_that_is_too_long_to_parse_stays_as_it_is():
    assert plain_text("[" * (MAX_PARSED_CHARS + 1)) == "[" * (MAX_PARSED_CHARS + 1)
