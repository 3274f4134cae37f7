"""How far a passage is from a question, on the scale that LibreChat reads: 0 is best, and means the same in every file.

LibreChat sorts the passages of all files by it, and cites those whose relevance, 1 less
the distance, is 0.45 or more (`minRelevanceScore` of its `agents` endpoint). Ranks and
fused scores mean nothing outside their own search, so the distance is made of what
`retrieval` calls evidence: cosine plus the share of the question's terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ragstone.retrieval.retrieve import content_terms, evidence
from ragstone.vocabulary import Passage

RELEVANCE = ((0.0, 0.0), (0.4, 0.45), (1.4, 1.0))
"""Evidence and the relevance it stands for, straight between. 0.4 is the floor of `RetrievalOptions`, below which
nothing bears on the question: LibreChat's threshold is put there. At 1.4 all terms are held and the sense agrees."""


def distances(question: str, passages: Sequence[Passage]) -> list[float]:
    """The distance of each passage, in [0, 1], in the order given."""
    asked = content_terms(question)
    seen = [standing.score for passage in passages if (standing := passage.hit.stages.get("dense"))]
    bound = min(seen, default=0.0)  # one that dense search left out is no nearer than those it found
    return [distance(evidence(asked, passage, bound)) for passage in passages]


def distance(evidence: float) -> float:
    """1 less the relevance that the evidence stands for, to six decimals."""
    for (low, at_low), (high, at_high) in pairwise(RELEVANCE):
        if evidence < high:
            share = max(evidence - low, 0.0) / (high - low)
            return round(1 - (at_low + share * (at_high - at_low)), 6)
    return 0.0
