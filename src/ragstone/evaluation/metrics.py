"""Measures of a ranking, for one question, and the interval of a share. Pure functions.

`relevance` maps ids to grades. Average over the questions that have at least one relevant document: for one without,
each measure is 0, as in trec_eval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2, sqrt
from typing import NamedTuple

CONFIDENCE_Z = 1.959964
"""Quantile .975 of the normal distribution: intervals hold the true share in 95 % of samples."""


def ndcg_at_k(ranked: Sequence[str], relevance: Mapping[str, int], k: int) -> float:
    """Normalised discounted cumulative gain of the first `k`, in [0, 1].

    The gain is the grade itself and the discount log2(rank + 1), ranks from 1, as in
    trec_eval; Järvelin and Kekäläinen, ACM TOIS 2002. Grades below 1 gain nothing.
    """
    ideal = _gain(sorted(relevance.values(), reverse=True)[:k])
    return _gain([relevance.get(document, 0) for document in ranked[:k]]) / ideal if ideal else 0.0


def recall_at_k(ranked: Sequence[str], relevance: Mapping[str, int], k: int) -> float:
    """Share of the relevant documents (grade 1 or more) among the first `k`, in [0, 1]."""
    wanted = {document for document, grade in relevance.items() if grade > 0}
    return len(wanted.intersection(ranked[:k])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranked: Sequence[str], relevance: Mapping[str, int]) -> float:
    """1 / rank of the first relevant document, 0 without one; its mean is the MRR."""
    for rank, document in enumerate(ranked, start=1):
        if relevance.get(document, 0) > 0:
            return 1 / rank
    return 0.0


def _gain(grades: Sequence[int]) -> float:
    return sum(max(grade, 0) / log2(rank + 1) for rank, grade in enumerate(grades, start=1))


class Interval(NamedTuple):
    """Lower and upper bound of a share, both from 0 to 1."""

    low: float
    high: float


def wilson_interval(hits: int, total: int) -> Interval:
    """The 95 % interval of a share of which `hits` of `total` were seen; Wilson, JASA 1927. Of none: 0 to 1."""
    if not total:
        return Interval(0.0, 1.0)
    share, z2 = hits / total, CONFIDENCE_Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = CONFIDENCE_Z * sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))
