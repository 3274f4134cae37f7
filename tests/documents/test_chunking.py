"""Chunking: chunks are exact spans within the limit, cover the text, and end at natural boundaries."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.documents.chunking import ChunkingOptions, chunk, sections
from ragstone.errors import ConfigurationError
from ragstone.vocabulary import PageSpan

SMALL = ChunkingOptions(max_tokens=20, overlap_tokens=6)


def words(text):
    """A token is a run of word characters or one sign."""
    return np.array([match.span() for match in re.finditer(r"\w+|[^\w\s]", text)], np.int64).reshape(-1, 2)


def cut(text, options=SMALL, pages=(), token_offsets=words):
    return chunk(text, document_id="d", version=3, token_offsets=token_offsets, pages=pages, options=options)


def numbered(count, start=0):
    """Sentences of four tokens each."""
    return " ".join(f"Fact {number} stands." for number in range(start, start + count))


MARKDOWN = st.lists(
    st.one_of(
        st.sampled_from(
            ["# One", "## Two", "### Three ###", "Setext\n---", "```\nx = 1\n\n# no heading\n```", "~~~\nopen", "***"]
        ),
        st.integers(1, 12).map(lambda rows: "|a|b|\n|-|-|\n" + "\n".join(f"| {row} | cell |" for row in range(rows))),
        st.integers(1, 12).map(lambda lines: "```py\n" + "\n".join(f"f({line})" for line in range(lines)) + "\n```"),
        st.integers(1, 9).map(numbered),
        st.lists(st.sampled_from(["- item", "  - nested item.", "1. first", "* star"])).map("\n".join),
        st.text(alphabet=st.characters(codec="utf-8"), max_size=80),
        st.text(alphabet="ab .\n|-#`>。।\t", max_size=120),
    ),
    max_size=12,
).map("\n\n".join)


@given(text=MARKDOWN, max_tokens=st.integers(1, 40), overlap_share=st.floats(0, 0.5))
def test_chunks_are_exact_ascending_spans_that_fit_and_cover_the_text(text, max_tokens, overlap_share):
    options = ChunkingOptions(max_tokens=max_tokens, overlap_tokens=int(max_tokens * overlap_share))
    chunks = cut(text, options)
    covered = np.zeros(len(text), bool)
    for one in chunks:
        assert one.text == text[one.start : one.end] == one.text.strip() != ""
        assert one.token_count <= max_tokens
        covered[one.start : one.end] = True
    assert "".join(sign for sign, seen in zip(text, covered, strict=True) if not seen).strip() == ""
    assert all(one.start < other.start and one.end < other.end for one, other in pairwise(chunks))
    assert [one.id for one in chunks] == [f"d:3:{number}" for number in range(len(chunks))]
    assert cut(text, options) == chunks


@given(text=MARKDOWN)
def test_the_heading_path_is_that_of_the_innermost_section_around_the_start(text):
    found = sections(text)
    for one in cut(text):
        around = [section.path for section in found if section.start <= one.start < section.end]
        assert one.heading_path == (around[-1] if around else ())


@given(count=st.integers(1, 60))
def test_token_counts_are_those_of_the_chunk_alone(count):
    assert all(one.token_count == len(words(one.text)) for one in cut(numbered(count)))


def test_blank_text_has_no_chunks():
    assert cut("") == cut(" \n\t\n") == ()


def test_an_overlap_beyond_half_a_chunk_is_refused():
    with pytest.raises(ConfigurationError, match="half"):
        ChunkingOptions(max_tokens=10, overlap_tokens=6)


# sections


def test_sections_reach_to_the_next_heading_of_their_level():
    text = "# A\n\n## B\ntext\n\n### C\n\n## D\n\n# E"
    found = {section.path: text[section.start : section.end] for section in sections(text)}
    assert found[("A",)] == "# A\n\n## B\ntext\n\n### C\n\n## D\n\n"
    assert found[("A", "B")] == "## B\ntext\n\n### C\n\n"
    assert found[("A", "B", "C")] == "### C\n\n"
    assert found[("E",)] == "# E"


def test_sections_are_named_by_their_heading_without_markup():
    assert [section.path for section in sections("# **Bold** [link](u)\n\nOf two\nlines\n---")] == [
        ("Bold link",),
        ("Bold link", "Of two lines"),
    ]


# where cuts fall


def test_a_section_that_fits_is_one_chunk():
    text = f"# A\n\n{numbered(4)}\n\n# B\n\n{numbered(4)}"
    assert [one.heading_path for one in cut(text)] == [("A",), ("B",)]


def test_small_sections_of_one_parent_share_a_chunk():
    text = "# A\n\n## B\nb\n\n## C\nc\n\n# D\n\n## E\ne"
    (one,) = cut(text, ChunkingOptions(max_tokens=60, overlap_tokens=0))
    assert one.text == text
    assert one.heading_path == ("A",)


def test_a_small_section_never_joins_one_outside_its_parent():
    text = f"# A\n\n{numbered(4)}\n\n## B\n\n{numbered(4)}\n\n## C\n\n# D\n\n{numbered(4)}"
    assert [one.heading_path for one in cut(text)] == [("A",), ("A", "B"), ("A", "C"), ("D",)]


def test_paragraphs_are_preferred_to_sentences_as_places_to_cut():
    paragraphs = [numbered(4), numbered(4, 4), numbered(4, 8)]
    chunks = cut("\n\n".join(paragraphs), ChunkingOptions(max_tokens=24, overlap_tokens=0))
    assert [one.text for one in chunks] == paragraphs


def test_a_heading_stays_with_what_it_heads():
    fence = "```\n" + "call 1\n" * 5 + "```"
    first, second = cut(f"# A\n\na\n\n## B\n\n{fence}")
    assert first.text == "# A\n\na"
    assert second.text == f"## B\n\n{fence}"
    assert second.heading_path == ("A", "B")


def test_an_overlap_never_begins_within_a_sentence():
    fence = "```\ncall 1\ncall 2\n```"
    text = " ".join(f"word{number}" for number in range(30)) + f".\n\n{fence}"
    assert cut(text, ChunkingOptions(max_tokens=20, overlap_tokens=10))[-1].text == fence


def test_overlap_is_made_of_whole_sentences():
    first, second, *_ = cut(numbered(20))
    assert second.start < first.end
    assert re.match(r"Fact \d+ stands\.", second.text)
    assert len(words(numbered(20)[second.start : first.end])) == 4


def test_there_is_no_overlap_across_a_heading():
    text = f"# A\n\n{numbered(4)}\n\n# B\n\n{numbered(4)}"
    first, second = cut(text)
    assert first.end <= second.start


def test_a_fence_that_fits_is_never_torn():
    fence = "```\n" + "\n".join(f"call {number}" for number in range(4)) + "\n```"
    for before in range(1, 8):
        text = f"{numbered(before)}\n\n{fence}\n\n{numbered(4)}"
        assert sum(fence in one.text for one in cut(text)) == 1
        assert not any("call" in one.text and fence not in one.text for one in cut(text))


def test_an_overlong_fence_is_cut_at_line_ends():
    lines = [f"let a{number} = {number};" for number in range(30)]
    chunks = cut("```rust\n" + "\n".join(lines) + "\n```")
    assert [line for one in chunks for line in one.text.splitlines()[:]] == ["```rust", *lines, "```"]


def test_a_split_table_repeats_its_header_and_tears_no_row():
    rows = [f"| {number} | value |" for number in range(12)]
    first, *others = cut("| n | v |\n|---|---|\n" + "\n".join(rows), ChunkingOptions(max_tokens=40, overlap_tokens=0))
    assert first.table_header == ""
    assert first.text.startswith("| n | v |\n|---|---|\n| 0 | value |")
    assert {one.table_header for one in others} == {"| n | v |\n|---|---|"}
    assert [line for one in [first, *others] for line in one.text.splitlines()[-len(rows) :] if "value" in line] == rows
    assert all(one.token_count + len(words(one.table_header)) <= 40 for one in others)


def test_a_table_that_fits_is_never_torn():
    table = "| n | v |\n|---|---|\n| 1 | one |"
    for before in range(1, 8):
        options = ChunkingOptions(max_tokens=40, overlap_tokens=8)
        assert sum(table in one.text for one in cut(f"{numbered(before * 2)}\n\n{table}", options)) == 1


def test_an_overlong_sentence_is_cut_between_words():
    text = " ".join(f"word{number}" for number in range(100))
    chunks = cut(text)
    assert all(re.fullmatch(r"(word\d+ ?)+", one.text) for one in chunks)
    assert all(other.start < one.end for one, other in pairwise(chunks))


def test_words_stay_whole_when_tokens_are_parts_of_words():
    def letters(text):
        return np.array([match.span() for match in re.finditer(r"\S", text)], np.int64).reshape(-1, 2)

    text = " ".join(f"word{number:04}" for number in range(100))
    chunks = cut(text, ChunkingOptions(max_tokens=420, overlap_tokens=0), token_offsets=letters)
    assert len(chunks) == 2
    assert all(re.fullmatch(r"(word\d{4} ?)+", one.text) for one in chunks)


def test_a_line_without_spaces_is_cut_between_characters():
    chunks = cut("x" * 100_000, ChunkingOptions())
    assert max(len(one.text) for one in chunks) <= 500 * 20
    assert chunks[0].start == 0
    assert chunks[-1].end == 100_000


def test_a_list_item_is_kept_whole():
    items = [f"- {numbered(2, 10 * number)}" for number in range(6)]
    for one in cut("\n".join(items), ChunkingOptions(max_tokens=24, overlap_tokens=0)):
        assert one.text.splitlines() == [item for item in items if item in one.text]


def test_a_last_chunk_is_not_a_scrap():
    for count in range(11, 40):
        assert cut("Go. " * count, ChunkingOptions(max_tokens=20, overlap_tokens=0))[-1].token_count >= 4


# pages


def test_pages_are_those_the_chunk_touches():
    pages = [PageSpan(1, 0, 40), PageSpan(2, 42, 200), PageSpan(4, 202, 400)]
    text = numbered(24)[:400]
    spans = [(one.start, one.end, one.page_first, one.page_last) for one in cut(text, pages=pages)]
    for start, end, first, last in spans:
        touched = [page.number for page in pages if page.start < end and page.end > start]
        assert (first, last) == (touched[0], touched[-1])


def test_a_place_has_the_page_and_the_headings_it_lies_below():
    text = "# A\n\n## B\nfirst words\n\n## C\nlast words"
    pages = [PageSpan(3, 0, text.index("## C")), PageSpan(4, text.index("## C"), len(text))]
    (one,) = cut(text, ChunkingOptions(max_tokens=60, overlap_tokens=0), pages=pages)
    assert (one.page_at(text.index("first")), one.heading_path_at(text.index("first"))) == (3, ("A", "B"))
    assert (one.page_at(text.index("last")), one.heading_path_at(text.index("last"))) == (4, ("A", "C"))
    assert one.heading_path == ("A",)


def test_without_pages_there_are_no_page_numbers():
    (one,) = cut("text")
    assert one.page_first is one.page_last is None


def test_a_large_text_with_a_huge_paragraph_is_cut_in_linear_time():
    text = numbered(20_000) + "\n\n" + "word " * 50_000
    assert len(cut(text, ChunkingOptions())) > 250
