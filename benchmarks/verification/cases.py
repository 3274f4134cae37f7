"""Cases of the check of citations: a claim, the passage that it cites, and whether the passage bears it out.

A module of kinds has a function `pairs(passages, random) -> Iterator[Case]`. It walks through `passages` in their
order and yields the cases of every kind that fits; the caller decides how many of a kind to take. `passages`
gives the open data in pieces of the size that the platform cites, for one side of the split.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from benchmarks.answer_sets import DATA
from benchmarks.splits import is_held_out

MAX_PASSAGE_CHARACTERS = 2000
"""Sections of documentation are cut at paragraphs to this size: about 500 tokens, as the platform's chunks are."""

MIN_PASSAGE_CHARACTERS = 200
SEED = 20261129
SETS = ("squad_v2", "clapnq", "scifact")
FOLDERS = {
    "rust-book": ("rust-book-md", "en"),
    "fastapi": ("fastapi-docs/en", "en"),
    "fastapi-es": ("fastapi-docs/es", "es"),
    "fastapi-zh": ("fastapi-docs/zh", "zh"),
}
"""Domain to folder below `docs` and language; the key of the split is the file's path below the set's folder."""

_HEADING = re.compile(r"#{1,6}[ \t]+(?P<words>[^\n]+)")


@dataclass(frozen=True, slots=True)
class Source:
    """A passage of an open text: `text` as it would be cited, the title of its document, language, and domain."""

    text: str
    title: str
    language: str
    domain: str


@dataclass(frozen=True, slots=True)
class Case:
    """The sentence `claim` checked against the passage `text`; `true`: the passage bears it out.

    `kind` names the way in which the claim was made; a kind has true cases alone or false ones alone.
    """

    kind: str
    true: bool
    claim: str
    text: str
    title: str
    language: str


Pairs = Callable[[Sequence[Source], random.Random], Iterator[Case]]


def passages(*, held_out: bool, seed: int = SEED) -> list[Source]:
    """All passages of one side of the split; the domains alternate until the small ones are used up."""
    domains = [
        *([*_of_set(name, held_out=held_out)] for name in SETS),
        *([*_of_folder(domain, held_out=held_out)] for domain in FOLDERS),
    ]
    for found in domains:
        random.Random(seed).shuffle(found)
    return [source for row in zip_longest(*domains) for source in row if source is not None]


def lines(path: Path) -> Iterator[dict]:
    """The records of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def key_of(name: str, document_id: str) -> str:
    """The key by which `benchmarks.splits` splits: squad_v2 goes by article, other sets by document."""
    return document_id.partition("#")[0] if name == "squad_v2" else document_id


def _of_set(name: str, *, held_out: bool) -> Iterator[Source]:
    for entry in lines(DATA / name / "corpus.jsonl"):
        if is_held_out(key_of(name, entry["id"])) == held_out and len(entry["text"]) >= MIN_PASSAGE_CHARACTERS:
            yield Source(entry["text"], entry["title"], "en", name)


def _of_folder(domain: str, *, held_out: bool) -> Iterator[Source]:
    below, language = FOLDERS[domain]
    folder = DATA / "docs" / below.partition("/")[0]
    for path in sorted((DATA / "docs" / below).rglob("*.md")):
        if is_held_out(path.relative_to(folder).as_posix()) == held_out:
            title, pieces = sections(path.read_text(encoding="utf-8"))
            yield from (Source(piece, title, language, domain) for piece in pieces)


def sections(markdown: str) -> tuple[str, list[str]]:
    """The title of a Markdown file (its first heading), and its text cut at headings and paragraphs."""
    headings = _HEADING.search(markdown)
    pieces: list[str] = []
    for paragraph in re.split(r"\n{2,}", markdown):
        joined = f"{pieces[-1]}\n\n{paragraph}" if pieces else paragraph
        if pieces and not paragraph.startswith("#") and len(joined) <= MAX_PASSAGE_CHARACTERS:
            pieces[-1] = joined
        else:
            pieces.append(paragraph)
    return headings["words"] if headings else "", [one for one in pieces if len(one) >= MIN_PASSAGE_CHARACTERS]
