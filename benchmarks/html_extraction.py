"""Quality of `ragstone.documents.html`: separation of an article from the page around it.

Thirty real pages with segments that belong to the article (`with`) and segments that do
not (`without`). Counted two ways, for our reader and for the page's plain text:
by segment (a segment is found or not) and by token (each segment's tokens count as many
times as it is long).

    python benchmarks/html_extraction.py [--verbose]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

from ragstone.documents.base import ParserLimits
from ragstone.documents.read import read
from ragstone.errors import RagstoneError

DATA = Path(os.environ.get("RAGSTONE_OPEN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@dataclass
class Count:
    """Weights of wanted and unwanted segments, found and not found."""

    wanted: int = 0
    kept: int = 0
    unwanted_kept: int = 0

    def add(self, *, wanted: bool, kept: bool, weight: int) -> None:
        """Count one segment."""
        self.wanted += weight * wanted
        self.kept += weight * (wanted and kept)
        self.unwanted_kept += weight * (kept and not wanted)

    def row(self) -> str:
        """Precision, recall and F1."""
        precision = self.kept / ((self.kept + self.unwanted_kept) or 1)
        recall = self.kept / (self.wanted or 1)
        f1 = 2 * precision * recall / ((precision + recall) or 1)
        return f"{precision:9.3f} {recall:7.3f} {f1:6.3f}"


def plain(text: str) -> str:
    """Words only: markup, punctuation and line breaks do not count."""
    return " ".join(re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "]", text).lower()))


def ours(content: bytes) -> str:
    try:
        return read(content, name="page.html", media_type="text/html", limits=ParserLimits()).text
    except RagstoneError:
        return ""


def everything(content: bytes) -> str:
    body = LexborHTMLParser(content).body
    return body.text(separator=" ") if body is not None else ""


def segments(page: dict) -> Iterable[tuple[str, bool]]:
    yield from ((text, True) for text in page["with"])
    yield from ((text, False) for text in page["without"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--verbose", action="store_true", help="print what was missed and what should not be there")
    verbose = parser.parse_args().verbose
    pages = json.loads((DATA / "html_extraction" / "evaldata.json").read_text("utf-8"))
    print(f"{len(pages)} pages\n{'':24} precision  recall     F1")
    for label, extract in (("Ragstone", ours), ("plain text of the page", everything)):
        by_segment, by_token = Count(), Count()
        for page in pages.values():
            content = gzip.decompress((DATA / "html_extraction" / "html" / f"{page['file']}.gz").read_bytes())
            text = plain(extract(content))
            for segment, wanted in segments(page):
                words = plain(segment)
                kept = words in text
                by_segment.add(wanted=wanted, kept=kept, weight=1)
                by_token.add(wanted=wanted, kept=kept, weight=len(words.split()))
                if verbose and kept != wanted and extract is ours:
                    print(f"  {'missed' if wanted else 'kept  '} {page['file'][:40]:40} {segment[:90]!r}")
        print(f"{label:15} segments {by_segment.row()}\n{'':15} tokens   {by_token.row()}")


if __name__ == "__main__":
    main()
