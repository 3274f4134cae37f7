"""Write the rows that the judge is trained on as token ids: `python -m benchmarks.training.prepare --out FOLDER`.

Needs the project's environment and the open data (`RAGSTONE_OPEN_DATA`); takes about three minutes. The result is
the same for the same data and `SEED`. `train.py` reads it in an environment with torch.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from benchmarks.training import rows
from benchmarks.training.rows import Row
from ragstone.inference.encoder import read_model_files
from ragstone.inference.pairs import PairRow, answer_rows, support_rows

SEED = 20261129
EDITS_EACH = 330
HELD_TASKS = ("supports", "answers")


def main() -> None:
    """Make, tokenise and store all rows."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--second", action="store_true", help="the rows of the second, shorter phase")
    chosen = arguments.parse_args()
    out = chosen.out
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_buffer(read_model_files(None).tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    made = (later_rows if chosen.second else every_row)(random.Random(SEED + chosen.second))
    for name, dev in (("train", False), ("dev", True)):
        kept = [row for row in made if row.dev is dev]
        store(out / name, kept, tokenizer)
        print(name, len(kept), Counter((row.task, row.label) for row in kept).most_common())
    kinds = Counter((row.task, row.kind, row.label) for row in made if not row.dev)
    print(*(f"{count:6d} {kind}" for kind, count in kinds.most_common()), sep="\n")


def every_row(chance: random.Random) -> list[Row]:
    """Rows of both tasks in random order, without repetitions."""
    qa, rank, verify = rows.stored("qa"), rows.stored("rank"), rows.stored("verify")
    asked = rows.asked(qa)
    statements = list(rows.statements(asked, chance))
    chance.shuffle(statements)
    made = [
        *rows.edits(qa, chance, EDITS_EACH),
        *rows.natural(verify, chance),
        *statements[:5000],
        *rows.questions(chance.sample(qa, 8500), rank, chance),
        *rows.open_questions(chance),
        *rows.aims(chance, 1500),
        *rows.echoes(asked, chance, 700),
        *rows.headings(chance, 900),
    ]
    return shuffled(made, chance)


def later_rows(chance: random.Random) -> list[Row]:
    """Rows of the second phase: mostly questions whose negatives are any sentence, and wrong answers as statements."""
    qa, verify = rows.stored("qa"), rows.stored("verify")
    more = [row for row in rows.stored("qa_large") if row["lang"] == "en"]
    asked, again = rows.asked(qa), rows.asked(more)
    statements = [*rows.statements(again, chance), *rows.statements(asked, chance)]
    other = [row for row in rows.questions(chance.sample(qa, 1500), [], chance) if row.language != "en"]
    supports = [*rows.edits(chance.sample(qa, 2500), chance, 25), *rows.natural(verify, chance)]
    made = [
        *_some(list(rows.questions_again(asked, chance)), 6000, chance),
        *_some(other, 1000, chance),
        *_some(statements, 2600, chance),
        *_some([row for row in supports if row.kind.startswith("edit")], 1800, chance),
        *_some([row for row in supports if row.kind in rows.CAPS], 900, chance),
        *rows.aims(chance, 300),
        *rows.echoes(asked, chance, 100),
    ]
    return shuffled(made, chance)


def _some(made: list[Row], count: int, chance: random.Random) -> list[Row]:
    return chance.sample(made, min(count, len(made)))


def shuffled(made: Sequence[Row], chance: random.Random) -> list[Row]:
    """The rows in random order, without repetitions."""
    once = list({(row.task, row.left, row.right): row for row in made}.values())
    chance.shuffle(once)
    return once


def store(path: Path, made: Sequence[Row], tokenizer: Tokenizer) -> None:
    """Token ids and types end to end, with the length, task and label of each row; texts beside them."""
    encoded: dict[int, PairRow] = {}
    for task, encode in (("supports", support_rows), ("answers", answer_rows)):
        places = [place for place, row in enumerate(made) if row.task == task]
        found = encode(tokenizer, [(made[place].left, made[place].right) for place in places])
        encoded |= dict(zip(places, found, strict=True))
    ordered = [encoded[place] for place in range(len(made))]
    np.savez(
        path.with_suffix(".npz"),
        ids=np.concatenate([np.array(row.ids, np.uint16) for row in ordered]),
        types=np.concatenate([np.array(row.types, np.uint8) for row in ordered]),
        lengths=np.array([len(row.ids) for row in ordered], np.int32),
        tasks=np.array([HELD_TASKS.index(row.task) for row in made], np.uint8),
        labels=np.array([row.label for row in made], np.uint8),
    )
    with path.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        for row in made:
            record = {"task": row.task, "a": row.left, "b": row.right, "label": row.label}
            file.write(json.dumps({**record, "kind": row.kind, "lang": row.language}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
