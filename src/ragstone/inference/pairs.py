"""Token rows of pairs of texts, as the judge reads them.

A row is `[CLS] a [SEP] b [SEP]`. Beside its id each token has a type, which says on which side it stands and how far
it matches the other side: not at all, as a token, or together with a neighbour. The types show the judge what a
small encoder aligns badly by itself, and what it cannot read: words of a script that its vocabulary lacks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import Encoding, Tokenizer

CLS, SEP, UNKNOWN = 101, 102, 100  # ids in the model's vocabulary

SUPPORTS, ANSWERS = 0, 1
"""The tasks; also the types of the marks [CLS] and [SEP] in rows of the task."""

LEFT, RIGHT, CONTEXT = 2, 5, 8
"""The first type of each part. Add 1 for a token of the other side, 2 if a neighbour matches too (not in CONTEXT)."""

TYPES = 10

CLAIM_TOKENS, EVIDENCE_TOKENS = 64, 96
QUESTION_TOKENS, CONTEXT_TOKENS, SENTENCE_TOKENS = 40, 32, 64
"""Longer parts lose their end, a context its beginning."""

CHARS_PER_TOKEN = 20
"""A part is cut to so many characters per token before it is tokenised: it bounds the work on a huge text."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """Ids and types of one pair, of the same length."""

    ids: tuple[int, ...]
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Tokens of one part: their ids, and what two tokens must share to match."""

    ids: list[int]
    keys: list[Hashable]


def support_rows(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]) -> list[PairRow]:
    """Rows of (claim, evidence)."""
    claims = _parts(tokenizer, [claim for claim, _ in pairs], CLAIM_TOKENS)
    evidence = _parts(tokenizer, [found for _, found in pairs], EVIDENCE_TOKENS)
    return [_row(SUPPORTS, left, _Part([], []), right) for left, right in zip(claims, evidence, strict=True)]


def answer_rows(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]) -> list[PairRow]:
    """Rows of (question, candidate); the last line of a candidate is its sentence, what stands before is context."""
    parted = [candidate.strip().rpartition("\n") for _, candidate in pairs]
    questions = _parts(tokenizer, [question for question, _ in pairs], QUESTION_TOKENS)
    contexts = _parts(tokenizer, [context for context, _, _ in parted], CONTEXT_TOKENS, keep_end=True)
    sentences = _parts(tokenizer, [sentence for _, _, sentence in parted], SENTENCE_TOKENS)
    return [_row(ANSWERS, *parts) for parts in zip(questions, contexts, sentences, strict=True)]


def _parts(tokenizer: Tokenizer, texts: Sequence[str], limit: int, *, keep_end: bool = False) -> list[_Part]:
    chars = limit * CHARS_PER_TOKEN
    cut = [text[-chars:] if keep_end else text[:chars] for text in texts]
    cut = [text.encode(errors="replace").decode() for text in cut]  # the tokenizer refuses lone surrogates
    found = tokenizer.encode_batch(cut, add_special_tokens=False)
    return [_part(text, one, limit, keep_end=keep_end) for text, one in zip(cut, found, strict=True)]


def _part(text: str, encoding: Encoding, limit: int, *, keep_end: bool) -> _Part:
    kept = slice(-limit, None) if keep_end else slice(limit)
    ids = encoding.ids[kept]
    keys: list[Hashable] = [
        token if token != UNKNOWN else text[start:end].casefold()
        for token, (start, end) in zip(ids, encoding.offsets[kept], strict=True)
    ]
    return _Part(ids, keys)


def _row(task: int, left: _Part, context: _Part, right: _Part) -> PairRow:
    ids = (CLS, *left.ids, SEP, *context.ids, *right.ids, SEP)
    there = [*context.keys, *right.keys]
    types = (
        task,
        *(LEFT + match for match in _matches(left.keys, there)),
        task,
        *(CONTEXT + min(match, 1) for match in _matches(context.keys, left.keys)),
        *(RIGHT + match for match in _matches(right.keys, left.keys)),
        task,
    )
    return PairRow(ids, types)


def _matches(here: Sequence[Hashable], there: Sequence[Hashable]) -> list[int]:
    """0, 1 or 2 for each key: not there; there; there with the key before or after it."""
    known, couples = set(there), set(pairwise(there))
    edged = (None, *here, None)
    return [
        0 if key not in known else 2 if (before, key) in couples or (key, after) in couples else 1
        for before, key, after in zip(edged, here, edged[2:], strict=False)
    ]
