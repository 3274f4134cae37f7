"""The benchmark of the check of citations: fixed cases, right figures, held-out kinds that nothing else reads."""

from __future__ import annotations

import ast
import json
import math
import random
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import pytest

from benchmarks.verification.__main__ import kept, sampled
from benchmarks.verification.cases import Case, Source, key_of, sections
from benchmarks.verification.checking import checked
from benchmarks.verification.figures import Judged, Share, area, by_kind, calibration, macro, percentile
from benchmarks.verification.held_out import MAKERS, NEW, pairs
from benchmarks.verification.held_out_tables import table_cases
from benchmarks.verification.held_out_true import RESTATING, REWRITING
from benchmarks.verification.natural import elsewhere
from benchmarks.verification.report import figures_of, printed
from benchmarks.verification.statements import answer_kind, statement

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

HARBOUR = """\
The old harbour of Brenn, which silted up in the 17th century, is one of the largest in the region. \
According to the pilot, it always held at least three ships, and it was rebuilt before the war. \
The harbour was visited by a fishing fleet in the summer of the 1850s. \
Engineers suggested that the new bridge may be wider than the old tunnel. \
The first dam was built by the council on 18 January 1854 at a cost of $300 per metre. \
The wheat trade grew from 20 to 35 percent within two years because the common people of Brenn needed bread. \
If the storms are heavy, the ferry to the island leaves after ten hours. \
The founder of the yard and his son consists of a legend in the capital of Norland. \
The crew uses the `rudder` rather than the `anchor`, and water levels rose between 10 and 25 cm. \
It exports goods such as salt, timber, and iron. The fleet consists of boats, rafts and barges. \
However, the colour of the "North Sea" doesn't matter to Captain Holm, as he carried 40 kg of flour. \
A ferry is a boat that is used by many, and the `keel` of the second yacht was an international sensation. \
When the tide falls, the boats are pulled ashore, for example by oxen. \
The school was founded by the mayor in 1901. Its members organized the annual regatta, and a million people came. \
The height and width are 3 and 5, respectively, and they are linked to the tides of winter and spring.

Some ports of the coast are:

* Brenn in the north
* Holm in the south
"""
PUERTO = """\
El puerto es opcional (según el mapa) y puede recibir 12 barcos cada día. \
La "vieja" torre siempre tiene una puerta `norte` y necesitas permiso para entrar en ella.

Algunos puertos de la costa son:

* Brenn en el norte
* Holm en el sur
"""
GANGKOU = """\
这个港口总是可以接收十二艘船（根据地图），需要 3 个月的许可证。\
所有的 `anchor` 类型包含一个 "默认" 的 **parameters** 参数，例如 `dependency`。
"""
TEXTS = [Source(HARBOUR, "Brenn", "en", "inline"), Source(PUERTO, "Brenn", "es", "inline")]
TEXTS.append(Source(GANGKOU, "Brenn", "zh", "inline"))


SEEDS = range(6)


def made(seed: int) -> list[Case]:
    return list(pairs(TEXTS, random.Random(seed)))


@lru_cache
def all_made() -> tuple[Case, ...]:
    """The cases of several seeds: a kind chooses among the sentences that fit."""
    return tuple(case for seed in SEEDS for case in made(seed))


def test_the_held_out_cases_are_the_same_each_time():
    assert made(5) == made(5) != made(6)


@pytest.mark.parametrize("kind", [*MAKERS["en"], *RESTATING["en"]])
def test_each_held_out_kind_finds_its_place_in_a_small_text(kind: str):
    assert kind in {case.kind for case in all_made()}


@pytest.mark.parametrize("kind", [*MAKERS["es"], *MAKERS["zh"], *RESTATING["es"], *RESTATING["zh"]])
def test_each_held_out_kind_of_another_language_does_too(kind: str):
    assert kind in {case.kind for case in all_made()}


def test_kinds_that_change_the_passage_leave_the_words_of_the_claim_alone():
    rewritten = [case for case in all_made() if case.kind in REWRITING]
    assert {case.kind for case in rewritten} == set(REWRITING)
    assert all(case.true for case in rewritten)


def test_a_kind_is_either_true_or_false():
    sides = {(case.kind, case.true) for case in all_made()}
    assert len(sides) == len({kind for kind, _ in sides})
    assert sum(not true for _, true in sides) >= 22
    assert sum(true for _, true in sides) >= 12


def test_the_kinds_without_a_built_kin_are_kinds():
    assert {case.kind for case in all_made()} >= NEW


def test_a_false_sentence_does_not_stand_in_its_passage():
    assert not [case for case in all_made() if not case.true and case.claim in case.text]


def test_a_table_gives_a_cell_and_cells_of_another_row_and_column():
    cases = list(table_cases(TEXTS[0], 0, random.Random(1)))
    assert [case.true for case in cases] == [True, True, False, False]
    value = next(word for word in cases[0].claim.rstrip(".").split() if word.isdigit())
    assert f"| {value} |" in cases[0].text
    assert value not in cases[2].claim
    assert value not in cases[3].claim


@pytest.mark.parametrize(
    ("question", "answer", "text", "made_of_it"),
    [
        ("When did the crisis begin?", "1973", "The crisis began in 1973.", "The crisis began in 1973."),
        ("Who proclaimed the embargo?", "OAPEC", "", "OAPEC proclaimed the embargo."),
        ("How many ships are there in Brenn?", "three", "", "There are three ships in Brenn."),
        ("What was the name of the ship?", "Sif", "", "The name of the ship was Sif."),
        ("When was the tower built?", "in 1889", "", "The tower was built in 1889."),
        ("Why is the sea salt?", "rivers", "", None),
    ],
)
def test_a_question_and_its_answer_make_a_statement(question: str, answer: str, text: str, made_of_it: str | None):
    assert statement(question, answer, text) == made_of_it


def test_answers_of_one_kind_have_one_form():
    assert [answer_kind(one) for one in ("1973", "18 January 1974", "40 km", "Oslo", "an embargo")] == [
        "year",
        "date",
        "number",
        "name",
        "phrase",
    ]


def test_a_wrong_passage_does_not_hold_the_sentence():
    found = list(
        elsewhere(
            [*TEXTS, Source("The moon is far away from every harbour.", "Moon", "en", "inline")], random.Random(1)
        )
    )
    assert found
    assert not [case for case in found if case.claim in case.text or case.true]


def test_documentation_is_cut_at_headings():
    long = "A sentence of a paragraph that fills the section. " * 6
    title, pieces = sections(f"# Title\n\n{long}\n\n## Part\n\n{long}")
    assert title == "Title"
    assert [piece.split("\n")[0] for piece in pieces] == ["# Title", "## Part"]


def test_squad_is_split_by_article_and_other_sets_by_document():
    assert key_of("squad_v2", "Rhine#3") == "Rhine"
    assert key_of("clapnq", "n4") == "n4"


def test_a_sample_is_fixed_and_takes_no_more_of_a_kind_than_asked():
    cases = [Case(kind, True, str(place), "", "", "en") for place in range(50) for kind in ("a", "b")]
    first = sampled(iter(cases), 7, 2)
    assert first == sampled(iter(cases), 7, 2)
    assert sorted({case.kind: 0 for case in first}) == ["a", "b"]
    assert len(first) == 14


def test_a_case_is_checked_as_an_answer_is():
    claim = "The harbour was visited by a fishing fleet in the summer of the 1850s."
    right = Case("a", True, claim, HARBOUR, "Brenn", "en")
    wrong = Case("b", False, claim.replace("1850s", "1790s"), HARBOUR, "Brenn", "en")
    found = [one for _, one in checked([("built", right, False), ("held_out", wrong, True)], None)]
    assert [(one.group, one.kind, one.accepted, one.new) for one in found] == [
        ("built", "a", True, False),
        ("held_out", "b", False, True),
    ]


def test_cases_that_were_written_are_read_again(tmp_path: Path):
    case = Case("a", True, "Brenn is a port.", HARBOUR, "Brenn", "en")
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({**asdict(case), "group": "built", "new": False, "score": 1.0}) + "\n", encoding="utf-8")
    assert list(kept(path)) == [("built", case, False)]


def judged(kind: str, *, true: bool, score: float) -> Judged:
    return Judged("held_out", kind, true, "en", score, score >= 0.6, "verified" if score >= 0.6 else "doubtful")


def test_the_interval_of_a_share_is_wilsons():
    low, high = Share(9, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)  # Newcombe 1998: Wilson's score method


def test_the_mean_over_kinds_weighs_each_kind_alike():
    cases = [judged("a", true=False, score=0.9)] + [judged("b", true=False, score=0.1)] * 9
    mean, low, high = macro(by_kind(cases, true=False))
    assert mean == 0.5
    assert low <= mean <= high


def test_the_area_under_the_curve_counts_equal_scores_half():
    assert area([0.9, 0.5], [0.5, 0.1]) == 0.875
    assert math.isnan(area([], [0.5]))


def test_the_calibration_error_is_the_distance_of_scores_from_shares():
    bins, error = calibration([judged("a", true=True, score=1.0), judged("a", true=False, score=1.0)])
    assert bins[-1].n == 2
    assert error == 0.5


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3.0


def test_totals_name_no_held_out_kind():
    found = figures_of([judged("a secret kind", true=False, score=0.9), judged("another", true=True, score=0.9)], [0.1])
    assert "a secret kind" in printed(found, kinds_of_held_out=True)
    assert "a secret kind" not in printed(found, kinds_of_held_out=False)


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def reads_held_out(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return any("verification.held_out" in name for name in imported(path)) or "verification/held_out" in text


def test_nothing_that_builds_the_check_reads_the_held_out_kinds():
    package = BENCHMARKS / "verification"
    may = set(package.glob("held_out*.py"))
    builders = [path for path in BENCHMARKS.rglob("*.py") if path not in may]
    assert not [path.relative_to(BENCHMARKS).as_posix() for path in builders if reads_held_out(path)]


def test_the_rule_against_reading_held_out_kinds_sees_an_import(tmp_path: Path):
    planted = tmp_path / "train.py"
    planted.write_text("from benchmarks.verification import held_out\n", encoding="utf-8")
    assert reads_held_out(planted)
