"""The Markdown block parser: each construct becomes one block, and blocks cover the text in linear time."""

from __future__ import annotations

from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.documents.blocks import MAX_HEADING_CHARS, blocks


def kinds_and_texts(text: str) -> list[tuple[str, str]]:
    return [(block.kind, text[block.start : block.end]) for block in blocks(text)]


@given(text=st.one_of(st.text(max_size=200), st.text(alphabet="ab .\n|-#`>~*=1)\t", max_size=200)))
def test_blocks_are_ascending_trimmed_and_cover_the_text(text: str):
    found = list(blocks(text))
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert all(text[block.start : block.end] == text[block.start : block.end].strip() != "" for block in found)
    ends = [0, *(block.end for block in found)]
    starts = [*(block.start for block in found), len(text)]
    assert "".join(text[end:start] for end, start in zip(ends, starts, strict=True)).strip() == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One\nline\n\nNext", [("paragraph", "One\nline"), ("paragraph", "Next")]),
        ("# Title\nText", [("heading", "# Title"), ("paragraph", "Text")]),
        ("- one\n  more\n- two", [("item", "- one\n  more"), ("item", "- two")]),
        ("1. one\n2) two", [("item", "1. one"), ("item", "2) two")]),
        ("|a|b|\n|-|-|\n|1|2|\n\nText", [("table", "|a|b|\n|-|-|\n|1|2|"), ("paragraph", "Text")]),
        ("```py\n\n# no\n```\nText", [("fence", "```py\n\n# no\n```"), ("paragraph", "Text")]),
        ("> quoted\nand on", [("paragraph", "> quoted\nand on")]),
        ("Text\n***\nText", [("paragraph", "Text"), ("paragraph", "***"), ("paragraph", "Text")]),
        ("---\na: b\n---\nText", [("paragraph", "---\na: b\n---"), ("paragraph", "Text")]),
    ],
)
def test_each_construct_is_one_block(text: str, expected: list[tuple[str, str]]):
    assert kinds_and_texts(text) == expected


def test_a_fence_ends_with_a_mark_of_its_own_kind_and_length():
    assert kinds_and_texts("````\n```\n~~~\n````\nText") == [("fence", "````\n```\n~~~\n````"), ("paragraph", "Text")]


def test_an_unclosed_fence_ends_with_the_text():
    assert kinds_and_texts("~~~\ncode\n\nmore") == [("fence", "~~~\ncode\n\nmore")]


def test_a_quoted_fence_ends_with_its_quote():
    assert kinds_and_texts("> ```\n> code\n# Real") == [("fence", "> ```\n> code"), ("heading", "# Real")]


def test_an_indented_fence_is_a_fence_only_within_a_list():
    assert kinds_and_texts("    ```\n    code") == [("paragraph", "```\n    code")]
    assert kinds_and_texts("- item\n\n    ```\n    code\n    ```")[1] == ("fence", "```\n    code\n    ```")


def test_a_table_interrupts_a_paragraph():
    assert [kind for kind, _ in kinds_and_texts("Text\n|a|b|\n|-|-|\n|1|2|")] == ["paragraph", "table"]


def test_only_a_list_that_starts_at_one_interrupts_a_paragraph():
    assert [kind for kind, _ in kinds_and_texts("In\n1999. It was")] == ["paragraph"]
    assert [kind for kind, _ in kinds_and_texts("In\n1. It was")] == ["paragraph", "item"]


@pytest.mark.parametrize(
    ("text", "level", "title"),
    [
        ("# Plain", 1, "Plain"),
        ("###### Six ##", 6, "Six"),
        ("   ## Indented", 2, "Indented"),
        ("## C#", 2, "C#"),
        ("# `Vec<T>` and **[links](u)** &amp; *more*", 1, "Vec<T> and links & more"),
        ("# snake_case \\* stays", 1, "snake_case * stays"),
        ("Setext\n===", 1, "Setext"),
        ("Of two\nlines\n---", 2, "Of two lines"),
    ],
)
def test_a_heading_has_its_level_and_its_title_without_markup(text: str, level: int, title: str):
    (block,) = blocks(text)
    assert (block.kind, block.level, block.title) == ("heading", level, title)


@pytest.mark.parametrize(
    "text",
    [
        "#hashtag",
        "####### seven",
        "    # code",
        "```\n# comment\n```",
        "~~~\n```\n# comment\n~~~",
        "> ```\n> # comment",
        "\\# escaped",
        "---\ntitle: front matter\n---",
        "|a|b|\n|-|-|",
        "- item\n---",
        "***",
        "# " + "a" * (MAX_HEADING_CHARS + 1),
        "a" * (MAX_HEADING_CHARS + 1) + "\n---",
    ],
)
def test_text_that_only_resembles_a_heading_is_none(text: str):
    assert all(block.kind != "heading" for block in blocks(text))


@pytest.mark.parametrize("sign", ["`", "*", "|", "-", "#", ">", "[", "<", "_", " a"])
def test_a_long_line_of_one_sign_takes_linear_time(sign: str):
    began = process_time()
    assert list(blocks("# x " + sign * 100_000 + "\n" + sign * 100_000))
    assert process_time() - began < 5  # seconds of this process; quadratic time would be minutes
