"""Retrieval quality of an English embedder for questions in Hindi, Russian, German and Chinese.

`languages.jsonl` holds short passages of ours, each with a question. To make a small
collection hard, each language gets 400 passages of words drawn at random from its own:
they share single words with a question, never its sense. The tables are those of
`retrieval_quality`.

    python -m benchmarks.other_languages
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from itertools import groupby
from pathlib import Path

from benchmarks.retrieval_quality import measure
from ragstone.telemetry.logs import configure_logs

PROBE = Path(__file__).with_name("languages.jsonl")
DISTRACTORS = 400
WORDS = (10, 16, 22)


def distractors(texts: list[str], *, spaced: bool) -> list[str]:
    """Passages without sense, from the words of `texts`; of character pairs where words have no spaces."""
    chance = random.Random(0)
    words = [
        w for text in texts for w in (text.split() if spaced else [text[i : i + 2] for i in range(0, len(text), 2)])
    ]
    joint = " " if spaced else ""
    return [joint.join(chance.choices(words, k=chance.choice(WORDS))) for _ in range(DISTRACTORS)]


def write_collection(folder: Path, rows: list[dict[str, str]], language: str) -> None:
    """Write the passages, distractors and questions of one language as a test collection."""
    folder.mkdir()
    texts = [row["text"] for row in rows]
    corpus = [*texts, *distractors(texts, spaced=language != "zh")]
    _write_lines(folder / "corpus.jsonl", [{"id": f"d{n}", "text": text} for n, text in enumerate(corpus)])
    _write_lines(folder / "queries.jsonl", [{"id": f"q{n}", "text": row["question"]} for n, row in enumerate(rows)])
    grades = "".join(f"q{n}\td{n}\t1\n" for n in range(len(rows)))
    (folder / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{grades}", encoding="utf-8")


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    configure_logs("warning")
    rows = [json.loads(line) for line in PROBE.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        for language, group in groupby(rows, key=lambda row: str(row["language"])):
            write_collection(Path(folder) / language, list(group), language)
            asyncio.run(measure(language, Path(folder) / f"data-{language}", Path(folder), None))


if __name__ == "__main__":
    main()
