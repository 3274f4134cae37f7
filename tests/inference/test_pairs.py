"""Rows of pairs: the parts in order, cut to their limits, with types that show what matches."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from ragstone.inference.encoder import read_model_files
from ragstone.inference.pairs import (
    ANSWERS,
    CLAIM_TOKENS,
    CONTEXT,
    CONTEXT_TOKENS,
    EVIDENCE_TOKENS,
    LEFT,
    RIGHT,
    SUPPORTS,
    answer_rows,
    support_rows,
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    found = Tokenizer.from_buffer(read_model_files(None).tokenizer)
    found.no_truncation()
    found.no_padding()
    return found


def test_types_show_the_side_and_what_matches(tokenizer):
    [row] = support_rows(tokenizer, [("red house", "the red house and red")])
    both = [LEFT + 2, LEFT + 2]
    there = [RIGHT, RIGHT + 2, RIGHT + 2, RIGHT, RIGHT + 1]
    assert row.types == (SUPPORTS, *both, SUPPORTS, *there, SUPPORTS)


def test_the_last_line_is_the_sentence_and_the_rest_is_context(tokenizer):
    [row] = answer_rows(tokenizer, [("red", "red door\nred house")])
    assert row.types == (ANSWERS, LEFT + 1, ANSWERS, CONTEXT + 1, CONTEXT, RIGHT + 1, RIGHT, ANSWERS)


def test_words_that_the_vocabulary_lacks_match_by_their_letters(tokenizer):
    [row] = support_rows(tokenizer, [("\u1780\u1781 a", "\u1780\u1781 b \u1782\u1783")])
    assert row.types[1] == LEFT + 1
    assert row.types[4:7] == (RIGHT + 1, RIGHT, RIGHT)


def test_long_parts_are_cut_and_a_context_keeps_its_end(tokenizer):
    [row] = support_rows(tokenizer, [("one " * 500, "two " * 500)])
    assert len(row.ids) == 3 + CLAIM_TOKENS + EVIDENCE_TOKENS
    [row] = answer_rows(tokenizer, [("end", "begin " * 99 + "end\nsentence")])
    contexts = [kind for kind in row.types if kind >= CONTEXT]
    assert contexts == [CONTEXT] * (CONTEXT_TOKENS - 1) + [CONTEXT + 1]
