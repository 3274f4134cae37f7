"""Passages made by hand."""

from __future__ import annotations

from ragstone.vocabulary import Chunk, Heading, Hit, PageSpan, Passage

LEAD = "0123456789"
"""Each chunk begins this far into its document."""


def passage(text: str, *, title: str = "Handbook", headings: tuple[str, ...] = (), document: str = "d1") -> Passage:
    """A passage whose document reads `LEAD + text`, on page 7."""
    start = len(LEAD)
    chunk = Chunk(
        f"{document}:1:0",
        document,
        1,
        0,
        start,
        start + len(text),
        text,
        len(text) // 4,
        (Heading(start, headings),),
        (PageSpan(7, 0, start + len(text)),),
    )
    return Passage(chunk, title, f"upload:{document}.md", "text/markdown", Hit(chunk.id, 1.0, {}))


TOWER = passage(
    "The tower was completed in March 1889. It is 330 metres tall and weighs 10,100 tonnes. "
    "Gustave Eiffel's company built it. It was never meant to stay.",
    title="Eiffel Tower",
    document="tower",
)
BRIDGE = passage(
    "The bridge opened in 1937. Its main span is 1,280 m long. It does not carry trains.",
    title="Golden Gate Bridge",
    document="bridge",
)
