"""The judge: it tells supported claims from altered ones, and answers from echoes, in any order and batch."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ragstone_minilm

from ragstone.errors import ModelFileError
from ragstone.inference.encoder import SHA256
from ragstone.inference.judge import PairJudge

INSTALLED = Path(ragstone_minilm.__file__).parent
EVIDENCE = "Harbour : The old harbour was closed in 1987 after the storm. It was rebuilt by the city in 3 years."
TRUE = "The old harbour was closed in 1987 after the storm."
FALSE = "The old harbour was closed in 1978 after the storm."
QUESTION = "When was the old harbour closed?"
ANSWER = "Harbour\nThe old harbour was closed in 1987 after the storm."
OTHER = "Harbour\nThe trains to the coast are painted green and white."


@pytest.fixture(scope="module")
def judge() -> PairJudge:
    return PairJudge.load(threads=1)


def test_a_quote_is_supported_more_than_another_figure(judge):
    quoted, altered = judge.supports([(TRUE, EVIDENCE), (FALSE, EVIDENCE)])
    assert quoted.supported > 0.5 > altered.supported
    assert altered.contradicted > quoted.contradicted


def test_probabilities_leave_room_for_what_is_not_stated(judge):
    for found in judge.supports([(TRUE, EVIDENCE), (FALSE, EVIDENCE), ("Bees make honey.", EVIDENCE)]):
        assert found.supported >= 0
        assert found.contradicted >= 0
        assert found.supported + found.contradicted <= 1.000001


def test_a_sentence_that_answers_comes_before_one_that_does_not(judge):
    answer, other = judge.answers(QUESTION, [ANSWER, OTHER])
    assert answer > other


def test_results_come_in_the_order_of_the_texts_whatever_their_length(judge):
    candidates = [f"{'A long preface. ' * (place % 5)}\nIt was {place}." for place in range(40)]
    together = judge.answers(QUESTION, candidates)
    alone = [judge.answers(QUESTION, [one])[0] for one in candidates]
    assert together == pytest.approx(alone, abs=1e-3)


def test_threads_share_it(judge):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: judge.answers(QUESTION, [ANSWER, OTHER]), range(8)))
    assert found == [pytest.approx(found[0], abs=1e-4)] * 8


def test_nothing_to_judge_gives_nothing(judge):
    assert judge.answers(QUESTION, []) == []
    assert judge.supports([]) == []


@pytest.mark.parametrize("text", ["", " ", "\n", "\ud800", "\u0e01" * 50_000, "a" * 200_000, "\U0001f600"])
def test_any_text_is_judged(judge, text):
    assert len(judge.answers(text, [text, ANSWER])) == 2
    assert len(judge.supports([(text, text), (TRUE, text), (text, EVIDENCE)])) == 3


@pytest.mark.parametrize("altered", [name for name in SHA256 if name != "model.onnx"])
def test_one_altered_byte_is_refused(tmp_path, altered):
    for name in SHA256:
        shutil.copy(INSTALLED / name, tmp_path)
    content = bytearray((tmp_path / altered).read_bytes())
    content[-100] ^= 1
    (tmp_path / altered).write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"{altered} is not the pinned one"):
        PairJudge.load(tmp_path)


def test_a_missing_file_is_named_with_the_way_out(tmp_path):
    for name in sorted(SHA256.keys() - {"judge.onnx.data"}):
        shutil.copy(INSTALLED / name, tmp_path)
    with pytest.raises(ModelFileError, match=r"judge\.onnx\.data .*\n?.*Install the package ragstone-minilm"):
        PairJudge.load(tmp_path)
