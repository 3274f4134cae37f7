"""Questions over pools of passages: fifteen languages, tables, records and mails, with and without their answer.

A pool stands for a small collection: each question is answered from the best eight passages of its pool, ranked as
the platform ranks them. Beside each question that has an answer stands one whose passages hold none: the same
question over the pool without the passages that hold the answer. Vectors are kept in a folder, for they take minutes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from benchmarks.answer_sets import DATA, PASSAGES, Case
from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.embedding.sparse import document_vector, query_vector
from ragstone.embedding.windows import embed_chunks
from ragstone.index.base import Candidate, Candidates
from ragstone.retrieval import fusion
from ragstone.vocabulary import Chunk, Passage, StageScore

PER_SOURCE = 50
"""Questions taken from each source of qa.jsonl, so that no language outweighs another."""
ENGLISH = {"natural-questions (QED)": 120, "tydiqa-goldp-en": 70}
LEFT_OUT = ("policyqa",)
"""Asks each privacy policy the same, so any other policy answers too."""
TABLES = 120
SEED = 7


@dataclass(frozen=True, slots=True)
class Asked:
    """A question over a pool of texts; `gold`: what a right answer holds, `home`: the text that holds it."""

    question: str
    gold: tuple[str, ...]
    home: str


def question_pools() -> dict[str, list[Asked]]:
    """The questions of training/qa.jsonl by source, chosen by the hash of their context."""
    rows: dict[str, list[Asked]] = defaultdict(list)
    with gzip.open(DATA / "training" / "qa.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["source"] in LEFT_OUT:
                continue
            golds = tuple(answer["text"].strip() for answer in row["answers"])
            rows[row["source"]].append(Asked(row["question"], golds, row["context"]))
    return {source: _chosen(asked, ENGLISH.get(source, PER_SOURCE)) for source, asked in sorted(rows.items())}


def table_pool() -> list[Asked]:
    """Questions of people about tables of Wikipedia, each table with the rule below its header."""
    rows = [row for row in _contexts() if row["task"] == "table"]
    return _chosen([Asked(row["question"], (str(row["ideal"]),), _ruled(row["context"])) for row in rows], TABLES)


def mail_pool() -> list[Asked]:
    """Questions of people about mails; the field marks become lines."""
    rows = [row for row in _contexts() if row["task"] == "email" and row["ideal"] != "unknown"]
    return [
        Asked(row["question"].removeprefix("Q: "), (str(row["ideal"]),), row["context"].replace("|", "\n"))
        for row in rows
    ]


def _contexts() -> Iterator[dict]:
    with (DATA / "injection" / "bipia_contexts.jsonl").open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _ruled(table: str) -> str:
    header, _, rows = table.partition("\n")
    return f"{header}\n|{' --- |' * (header.count('|') - 1)}\n{rows}"


NAMES = (
    "Aster Birk Corvo Delmar Elin Falk Gerda Hollis Imre Juno Kestrel Lorne Marit Nadir Osten Perle Quill Rhea Sorrel"
)
KINDS = ("ship", "pump", "plan", "station", "product", "tariff", "room", "member", "course", "valve")
COLUMNS = {
    "weight": "kg", "price": "euros", "capacity": "litres", "speed": "km/h", "power": "kW", "length": "m",
    "fee": "euros", "seats": "", "warranty": "years", "pressure": "bar", "owner": "name", "city": "name",
    "colour": "word",
}  # fmt: skip
WORDS = {
    "name": ("Keller", "Ito", "Brandt", "Lund", "Moreau", "Okafor", "Silva", "Novak"),
    "word": ("red", "blue", "green", "grey", "white"),
}
TEMPLATES = (
    "What is the {column} of the {kind} {name}?",
    "what {column} does {name} have",
    "{name} {column}",
    "How much is the {column} of {name}?",
    "Which {column} has the {kind} {name}?",
    "Tell me the {column} of {name}",
    "Wie hoch ist {column} bei {name}?",
    "¿Cuál es {column} de {name}?",
)


def made_pool(form: str, count: int = 60) -> list[Asked]:
    """Questions about small made tables (`table`) or records (`record`); the seed is fixed."""
    chance = random.Random(f"{SEED} {form}")
    return [_made(chance, form) for _ in range(count)]


def _made(chance: random.Random, form: str) -> Asked:
    kind, columns = chance.choice(KINDS), chance.sample(sorted(COLUMNS), 3)
    names = [f"{name} {chance.randint(1, 99)}" for name in chance.sample(NAMES, 6)]
    rows = [[name, *(_value(chance, COLUMNS[column]) for column in columns)] for name in names]
    place, column = chance.randrange(len(rows)), chance.randrange(3)
    words = {"column": columns[column], "kind": kind, "name": names[place]}
    cells = [[kind, *columns], ["---"] * 4, *rows]
    text = "\n".join("| " + " | ".join(row) + " |" for row in cells)
    if form == "record":
        pairs = zip(columns, rows[place][1:], strict=True)
        text = "\n".join([f"- {kind}: {names[place]}", *(f"- {label}: {value}" for label, value in pairs)])
    start = f"| {names[place]} | " if form == "table" else f"- {columns[column]}: "
    return Asked(chance.choice(TEMPLATES).format(**words), (_line(start, text),), text)


def _line(start: str, text: str) -> str:
    """The line of the text that begins with `start`, without the mark of a list."""
    return next(line for line in text.splitlines() if line.startswith(start)).removeprefix("- ")


def _value(chance: random.Random, unit: str) -> str:
    return chance.choice(WORDS[unit]) if unit in WORDS else f"{chance.randint(2, 990)} {unit}".strip()


def pool_cases(name: str, pool: Sequence[Asked], keep: Path) -> list[Case]:
    """Two cases for each question: over the whole pool, and over what of it does not hold the answer."""
    texts = list(dict.fromkeys(asked.home for asked in pool))
    dense = _cosines(name, pool, texts, keep)
    vectors = [document_vector(text) for text in texts]
    counts: dict[int, int] = defaultdict(int)
    for vector in vectors:
        for term in vector.indices.tolist():
            counts[term] += 1
    found = []
    for place, asked in enumerate(pool):
        sparse = _bm25(asked.question, vectors, counts)
        for kept in (range(len(texts)), [i for i, text in enumerate(texts) if not _holds(text, asked)]):
            passages = _passages(asked.question, texts, list(kept), dense[place], sparse)
            gold = asked.gold if len(kept) == len(texts) else ()
            found.append(Case(f"{name}-{place}-{bool(gold)}", asked.home, asked.question, gold, passages))
    return found


def _holds(text: str, asked: Asked) -> bool:
    return text == asked.home or any(gold and gold in text for gold in asked.gold if len(gold) > 3)


def _bm25(question: str, vectors: Sequence, counts: dict[int, int]) -> list[float]:
    total = len(vectors)
    asked = query_vector(question).indices.tolist()
    weights = {term: np.log(1 + (total - counts[term] + 0.5) / (counts[term] + 0.5)) for term in asked}
    return [
        sum(
            weights[term] * value
            for term, value in zip(v.indices.tolist(), v.values.tolist(), strict=True)
            if term in weights
        )
        for v in vectors
    ]


def _passages(
    question: str, texts: list[str], kept: list[int], dense: np.ndarray, sparse: list[float]
) -> tuple[Passage, ...]:
    candidates = Candidates(
        dense=_leg(kept, dense.tolist()) if dense.any() else (),
        sparse=_leg([place for place in kept if sparse[place] > 0], sparse),
    )
    hits = fusion.convex(candidates, dense_weight=fusion.dense_weight(question, candidates))[:PASSAGES]
    return tuple(_passage(hit, texts[int(hit.chunk_id)]) for hit in hits)


def _leg(places: Iterable[int], scores: Sequence[float]) -> tuple[Candidate, ...]:
    order = sorted(places, key=lambda place: -scores[place])[:50]
    return tuple(
        Candidate(str(place), str(place), 1, StageScore(rank, float(scores[place])))
        for rank, place in enumerate(order, 1)
    )


def _passage(hit, text: str) -> Passage:
    chunk = Chunk(hit.chunk_id, hit.chunk_id, 1, 0, 0, len(text), text, len(text) // 4)
    return Passage(chunk, "", hit.chunk_id, "text/markdown", hit)


def _cosines(name: str, pool: Sequence[Asked], texts: list[str], keep: Path) -> np.ndarray:
    digest = sha256("\n".join([*texts, *(asked.question for asked in pool)]).encode()).hexdigest()[:12]
    if _unread(texts):
        return np.zeros((len(pool), len(texts)))
    kept = keep / f"pool-{name.partition(' ')[0]}-{digest}.npy"
    if not kept.exists():
        keep.mkdir(parents=True, exist_ok=True)
        np.save(kept, asyncio.run(_embedded(pool, texts)))
    return np.asarray(np.load(kept))


def _unread(texts: Sequence[str]) -> bool:
    """Whether the embedder, which learnt English, cannot read the texts: the platform gives it no weight there."""
    return fusion.foreign_share(" ".join(texts)) > 0.5


async def _embedded(pool: Sequence[Asked], texts: list[str]) -> np.ndarray:
    """Cosine of each question with the best window of each text."""
    embedder = MiniLMEmbedder.load()
    asked = await embedder.embed([one.question for one in pool], purpose="query")
    chunks = [
        Chunk(str(i), "", 1, 0, 0, len(text), text, len(embedder.token_offsets(text))) for i, text in enumerate(texts)
    ]
    windows = await embed_chunks(embedder, chunks, title="")
    embedder.close()
    return np.stack([(asked @ one.T).max(axis=1) for one in windows], axis=1)


def _chosen(asked: list[Asked], count: int) -> list[Asked]:
    return sorted(asked, key=lambda one: sha256(f"{one.home}{one.question}".encode()).digest())[:count]
