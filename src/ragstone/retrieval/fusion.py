"""Fusion: combines rankings into one. Pure functions of scores and ranks.

A hit keeps its rank and score in each leg that found it, and gets those of the stage `fused`.
Ties go by chunk id, so that the same candidates always give the same order.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ragstone.vocabulary import Hit, StageScore

if TYPE_CHECKING:  # the index port needs NumPy, which a process without an index does not have
    from ragstone.index.base import Candidate, Candidates

RRF_K = 60  # the value of the paper that `reciprocal_ranks` names

LEAST_SPREAD = 0.2  # cosine; below it the dense leg does not tell its candidates apart
WEIGHT_PEAKED = 0.3  # dense weight where one chunk stands out in the sparse leg
WEIGHT_FLAT = 0.8  # dense weight where the sparse leg finds many alike
FLAT_RANK = 10
FOREIGN_DISCOUNT = 0.9  # share of the weight that a question in another script loses
# All five: fitted on scifact, mlquestions, squad_v2, clapnq and hotpotqa; see docs/retrieval.md.


def reciprocal_ranks(rankings: Iterable[Mapping[str, int]], *, k: int = RRF_K) -> dict[str, float]:
    """Reciprocal rank fusion: for each item, the sum over the rankings of 1 / (k + rank), ranks from 1.

    Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
    individual Rank Learning Methods", SIGIR 2009.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for item, rank in ranking.items():
            scores[item] = scores.get(item, 0.0) + 1 / (k + rank)
    return scores


def rrf(candidates: Candidates, *, k: int = RRF_K) -> tuple[Hit, ...]:
    """Fuse by `reciprocal_ranks`. It sees ranks only: a leg that found nothing of use weighs as much as the other."""
    legs = ({c.chunk_id: c.standing.rank for c in leg} for leg in (candidates.dense, candidates.sparse))
    return _fused(candidates, reciprocal_ranks(legs, k=k))


def convex(candidates: Candidates, *, dense_weight: float) -> tuple[Hit, ...]:
    """Convex combination: w · dense + (1 - w) · sparse, each normalised to [0, 1].

    Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS
    2023. A chunk that a leg did not find counts 0 there.

    Args:
        candidates: What both legs found.
        dense_weight: w in [0, 1]; `dense_weight()` chooses it for a question.
    """
    scores = {chunk: dense_weight * value for chunk, value in by_range(candidates.dense).items()}
    for chunk, value in by_maximum(candidates.sparse).items():
        scores[chunk] = scores.get(chunk, 0.0) + (1 - dense_weight) * value
    return _fused(candidates, scores)


def dense_weight(question: str, candidates: Candidates) -> float:
    """The weight of the dense leg for this question, in [0, 1]; the formula is Ragstone's own.

        w = (0.3 + 0.5 · flatness) · (1 - 0.9 · foreign)

    `flatness` says how far the sparse leg leaves the question open, `foreign` which
    share of its letters an embedder that learnt English cannot read.
    """
    weight = WEIGHT_PEAKED + (WEIGHT_FLAT - WEIGHT_PEAKED) * flatness(candidates.sparse)
    return weight * (1 - FOREIGN_DISCOUNT * foreign_share(question))


def flatness(leg: Sequence[Candidate]) -> float:
    """Tenth score over the best, in [0, 1]: 1 when ten are alike, 0 when there are not ten."""
    scores = sorted((c.standing.score for c in leg), reverse=True)
    return scores[FLAT_RANK - 1] / scores[0] if len(scores) >= FLAT_RANK and scores[-1] > 0 else 0.0


def foreign_share(text: str) -> float:
    """Share of the letters that are not Latin, in [0, 1]; 0 for a text without letters."""
    letters = [char for char in text if char.isalpha()]
    foreign = sum(not char.isascii() and "LATIN" not in unicodedata.name(char, "") for char in letters)
    return foreign / len(letters) if letters else 0.0


def by_maximum(leg: Sequence[Candidate]) -> dict[str, float]:
    """Scores divided by the best of the leg: BM25 is 0 without a shared term."""
    best = max((c.standing.score for c in leg), default=0.0)
    return {c.chunk_id: c.standing.score / best if best > 0 else 0.0 for c in leg}


def by_range(leg: Sequence[Candidate]) -> dict[str, float]:
    """Scores stretched so that the worst of the leg is 0 and the best 1.

    A leg whose scores lie within `LEAST_SPREAD` is not stretched to the full: among a
    handful of chunks, or in a language the model does not know, that would be noise.
    """
    scores = [c.standing.score for c in leg]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    spread = max(high - low, LEAST_SPREAD)
    return {c.chunk_id: (c.standing.score - low) / spread for c in leg}


def _fused(candidates: Candidates, scores: Mapping[str, float]) -> tuple[Hit, ...]:
    stages: dict[str, dict[str, StageScore]] = {}
    for name, leg in (("dense", candidates.dense), ("sparse", candidates.sparse)):
        for candidate in leg:
            stages.setdefault(candidate.chunk_id, {})[name] = candidate.standing
    order = sorted(scores, key=lambda chunk: (-scores[chunk], chunk))
    return tuple(
        Hit(chunk, scores[chunk], {**stages[chunk], "fused": StageScore(rank, scores[chunk])})
        for rank, chunk in enumerate(order, start=1)
    )
