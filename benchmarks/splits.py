"""The split of the open data: which documents training may read, and which only measure.

A figure on text that training has seen proves little. Every script that fits a weight, a threshold or a rule
leaves out the documents for which `is_held_out` is true; every reported figure is measured on those alone.
"""

from __future__ import annotations

from hashlib import sha256

SPLIT_BYTE = 4
"""The byte of the SHA-256 whose parity splits; chosen, before any measurement, since it halves squad_v2's ten."""


def is_held_out(key: str) -> bool:
    """Whether the document `key` only measures; true for half of all keys.

    Keys: squad_v2 the article (`1973_oil_crisis`); clapnq, scifact and hotpotqa_100 the document's id; folders of
    documentation the file's path below the folder; sets of `training/` the text of the context or premise.
    """
    return bool(sha256(key.encode()).digest()[SPLIT_BYTE] & 1)
