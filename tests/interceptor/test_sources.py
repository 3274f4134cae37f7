"""Sources as the reader sees them, and how they are taken out again."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.generation.citations import cite
from ragstone.interceptor.sources import (
    HEADING,
    MAX_SCANNED_CHARS,
    MAX_TITLE_CHARS,
    ChatSource,
    cited,
    listed,
    marker_annotations,
    source_list,
    sources_of,
    url_citations,
    without_markers,
    without_source_list,
    without_sources,
)
from tests.generation.passages import BRIDGE, TOWER, passage

URL = "https://rag.example/sources/abc?t=1"


def source(number: int = 1, title: str = "Handbook", url: str | None = URL, page: int | None = 3) -> ChatSource:
    return ChatSource(number, title, page, "", url, "d1", 1, 10, 20)


def test_a_source_says_which_passage_it_is_and_where_from():
    first, second = sources_of([TOWER, passage("x", headings=("A", "B"))], lambda found: f"/sources/{found.title}")
    assert (first.number, first.title, first.page, first.url) == (1, "Eiffel Tower", 7, "/sources/Eiffel%20Tower")
    assert (first.document_id, first.version, first.start, first.end) == ("tower", 1, 10, TOWER.chunk.end)
    assert (second.number, second.heading) == (2, "A > B")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://a.example/x(1) <b>\n", "https://a.example/x%281%29%20%3Cb%3E%0A"),
        ("https://a.example/%20", "https://a.example/%20"),
        ("/sources/x", "/sources/x"),
        ("//evil.example", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_ends_no_link_early_and_runs_nothing(url, safe):
    assert sources_of([TOWER], lambda _: url)[0].url == safe


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("A [1]. B [2].", (1, 2)),
        ("A [3][1], again [1].", (3, 1)),
        ("A [1, 2]; B [2; 3].", (1, 2, 3)),
        ("A 【2】【1】.", (2, 1)),
        ("A [0], [4], [2019] and [x].", ()),
        ("Code `x[1]` and [2].\n```python\ny[3]\n```\n", (2,)),
        ("~~~\nx[1]\n~~~\n[2]", (2,)),
        ("[1](https://a.example) and ![2](x.png) and [see [3]](x) [1]", (1,)),
        ("A note[^1] and a reference [a][2]\n\n[1]: https://a.example\n[^2]: x", (2,)),
        ("According to [1]: water boils.", (1,)),
        ("[1]: https://a.example", ()),
        ("a\n   [1]: https://a.example [2]", (2,)),
        ("It ends [2]", (2,)),
        ("A [1][2](https://a.example).", (1,)),
        ("", ()),
    ],
)
def test_markers_are_read_where_they_cite(text, numbers):
    assert cited(text, 3) == numbers


def test_what_is_scanned_is_bounded():
    assert cited("[1]" + "x" * MAX_SCANNED_CHARS + "[2]", 3) == (1,)


def test_the_list_names_what_is_cited_in_order_of_the_numbers():
    sources = [source(1), source(2, "Atlas", url=None), source(3, "Map", url=None, page=None), source(4)]
    assert source_list(sources, (3, 2, 1)) == (
        f"\n\n**Sources**\n[1] [Handbook, p. 3]({URL})\n[2] Atlas, p. 3\n[3] Map"
    )


def test_without_a_citation_there_is_no_list():
    assert source_list([source()], ()) == ""
    assert source_list([source()], (2,)) == ""


HOSTILE = [
    "](https://evil.example) [x",
    "![x](https://evil.example/p.png)",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "**bold** _it_ `code` ~~gone~~",
    "a\n\n# Heading\n\n[2] Forged",
    "a\u2028[2] Forged\x85\x0b",
    "https://evil.example/x and www.evil.example and ann@evil.example",
    "HTTP://evil.example WWW.evil.example",
    "$\\sum$ :::artifact{x} :name[y]",
    "\\](https://evil.example)",
    "&lt;img&gt; &#91;",
    "\u202eevil\u200b",
    "\ue202turn0file0",
    "| a | b |",
    "trailing backslash\\",
    "",
    "  ",
    "x" * 500,
    "\ud800",
]
# What CommonMark and GFM give a meaning to inside a line, when no backslash stands before it.
MEANT = re.compile(r"(?<!\\)(?:\\\\)*[`*_\[\]<>&$|~]")
ADDRESS = re.compile(r"://|www\.|\w@\w", re.IGNORECASE)


@pytest.mark.parametrize("url", [None, URL])
@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_is_nothing_but_text(title, url):
    made = source_list([source(1, title, url)], (1,))
    head, line = made[: len(HEADING)], made[len(HEADING) :]
    assert head == HEADING
    label = line.removeprefix("[1] ")
    if url:
        assert label.startswith("[")
        assert label.endswith(f"]({URL})")
        label = label[1 : -len(f"]({URL})")]
    assert not MEANT.search(label)
    assert not ADDRESS.search(label)
    assert len(label.splitlines()) == 1
    assert not re.search(r"(?<!\\)(?:\\\\)*\\\Z", label)
    assert re.sub(r"\\(.)", r"\1", label).strip().isprintable() or "\ud800" in title


def test_a_title_reads_as_it_was_written():
    label = source_list([source(1, "R&D_plan [v2]: *final*")], (1,)).partition("[1] [")[2].partition("](")[0]
    assert html.unescape(re.sub(r"\\(.)", r"\1", label)) == "R&D_plan [v2]: *final*, p. 3"


def test_a_long_title_is_cut_and_a_missing_one_is_named():
    cut = source_list([source(1, "x" * 500, None, None)], (1,)).partition("[1] ")[2]
    assert len(cut) == MAX_TITLE_CHARS
    assert source_list([source(1, "", None, None)], (1,)).endswith("[1] Untitled")


TITLES = st.text(max_size=40) | st.sampled_from(HOSTILE)
URLS = st.sampled_from([None, URL, "/sources/x"])
SOURCES = st.lists(st.tuples(TITLES, URLS, st.none() | st.integers(1, 999)), min_size=1, max_size=4)
TEXTS = st.text(max_size=60) | st.sampled_from([HEADING, f"a{HEADING}[1] b", "a\n\n**Sources**", "x\n\n", "[1] y\n"])


@given(TEXTS, SOURCES, st.sampled_from(["", "\n", " \n\n"]))
def test_the_list_is_taken_out_again_and_nothing_else(text, made, end):
    sources = [source(number, *one) for number, one in enumerate(made, start=1)]
    numbers = tuple(one.number for one in sources)
    answer = text + source_list(sources, numbers) + end
    assert without_source_list(answer) == text
    assert listed(answer) == set(numbers)


@pytest.mark.parametrize(
    "text",
    [
        "A [1].",
        "A.\n\n**Sources**\n",
        "A.\n\n**Sources**\n- one\n- two",
        "A.\n\n**Sources**\nthe library",
        "A.\n\n**Sources**\n[1] https://a.example/b",
        "A.\n\n**Sources**\n[1] *Emphasised*",
        "A.\n\n**Sources**\n[1] One\nand more",
        "A.\n\n**Sources**\n[1] One\n\nAnd more.",
        "A.\n**Sources**\n[1] One",
        "A.\n\n## Sources\n[1] One",
        "A.\n\n**Sources**\n[1] [One](javascript: alert)",
    ],
)
def test_a_text_of_somebody_else_stays_as_it_is(text):
    assert without_source_list(text) == text
    assert without_sources(text) == text
    assert listed(text) == frozenset()


def test_only_markers_that_our_list_explains_are_taken_out():
    said = "A [1]. B [2, 5] and `x[1]`, [7].\n```\ny[1]\n```\nSee [1](https://a.example), C [2][1]."
    answer = said + source_list([source(1), source(2)], (1, 2))
    assert without_sources(answer) == ("A. B [5] and `x[1]`, [7].\n```\ny[1]\n```\nSee [1](https://a.example), C.")


@given(st.text(alphabet="ab [1]2,【】`~\n(:!\\", max_size=80))
def test_markers_that_are_not_named_stay_to_the_letter(text):
    assert without_markers(text, ()) == text
    assert without_markers(text, (99,)) == text


def test_annotations_say_which_sentence_is_borne_out_where():
    text = "The bridge opened in 1937 [2]. The tower weighs 10,100 tonnes [1]."
    citations, _ = cite(text, [TOWER, BRIDGE])
    linked = sources_of([TOWER, BRIDGE], lambda found: URL if found is TOWER else None)
    assert url_citations(text, citations, linked) == [
        {
            "type": "url_citation",
            "url_citation": {"url": URL, "title": "Eiffel Tower", "start_index": 31, "end_index": len(text)},
        }
    ]
    assert url_citations(text, [*citations, *citations], linked) == url_citations(text, citations, linked)


def test_annotations_stay_within_the_text():
    citations, _ = cite("The tower weighs 10,100 tonnes [1].", [TOWER])
    beyond = [replace(citations[0], answer_end=10_000), replace(citations[0], answer_start=100, answer_end=200)]
    found = url_citations("The tower weighs 10,100 tonnes [1].", beyond, [source(1)])
    assert [one["url_citation"]["end_index"] for one in found] == [35]


def test_unchecked_annotations_point_at_the_markers():
    text = "A [1, 2] and `x[1]`."
    found = marker_annotations(text, [source(1, "One"), source(2, "Two"), source(3)])
    assert [(one["url_citation"]["title"], one["url_citation"]["start_index"]) for one in found] == [
        ("One", 2),
        ("Two", 2),
    ]
    assert text[2 : found[0]["url_citation"]["end_index"]] == "[1, 2]"
