"""Examples for OpenAPI: one small document, from its upload to an answer.

They are real: the tests send the requests, and parse the responses.
"""

from __future__ import annotations

from typing import Any

DOCUMENT_ID = "3f1c9a52d0b84c6e9b7d2f60a1e4c8d7"
CONVERSATION_ID = "a4d8f21b6c0e4f7391b25d8e60c7f3a9"
TURN_ID = "5e0b7c3d9a184f62b1c5d8e7f6a39024"
JOB_ID = "c07e5b1d9f3a4286b8d4e1f25a6c9037"
PASSAGE: dict[str, Any] = {
    "chunk_id": f"{DOCUMENT_ID}:1:0",
    "document_id": DOCUMENT_ID,
    "version": 1,
    "title": "Notes",
    "source": "upload:notes.md",
    "media_type": "text/markdown",
    "heading_path": ["Notes"],
    "page_first": None,
    "page_last": None,
    "start": 0,
    "end": 59,
    "text": "# Notes\n\n## Water\n\nWater boils at 100 degrees at sea level.",
    "score": 1.0,
    "stages": {
        "dense": {"rank": 1, "score": 0.72},
        "sparse": {"rank": 1, "score": 0.98},
        "fused": {"rank": 1, "score": 1.0},
    },
}
CITATION: dict[str, Any] = {
    "marker": 1,
    "document_id": DOCUMENT_ID,
    "version": 1,
    "title": "Notes",
    "source": "upload:notes.md",
    "heading_path": ["Notes"],
    "page": None,
    "start": 19,
    "end": 59,
    "quote": "Water boils at 100 degrees at sea level.",
    "answer_start": 0,
    "answer_end": 44,
    "verified": True,
    "score": 1.0,
}
USAGE = {"model": "extractive", "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0}
FILE: dict[str, Any] = {
    "source": "upload:notes.md",
    "state": "done",
    "document_id": DOCUMENT_ID,
    "error_code": None,
    "error": None,
    "warnings": [],
}
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "collection": "default",
    "state": "done",
    "total": 1,
    "done": 1,
    "skipped": 0,
    "removed": 0,
    "failed": 0,
    "chunks": 1,
    "created_at": "2026-11-21T10:00:00Z",
    "started_at": "2026-11-21T10:00:00.100000Z",
    "finished_at": "2026-11-21T10:00:00.400000Z",
    "error": None,
    "files": [FILE],
}
DOCUMENT: dict[str, Any] = {
    "id": DOCUMENT_ID,
    "collection": "default",
    "source": "upload:notes.md",
    "title": "Notes",
    "media_type": "text/markdown",
    "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "size_bytes": 60,
    "state": "ready",
    "active_version": 1,
    "created_at": "2026-11-21T10:00:00Z",
    "updated_at": "2026-11-21T10:00:00.400000Z",
    "chunk_count": 1,
    "page_count": None,
    "error": None,
    "metadata": {"lang": "en"},
}
CONVERSATION: dict[str, Any] = {
    "id": CONVERSATION_ID,
    "title": "At what temperature does water boil?",
    "created_at": "2026-11-21T10:01:00Z",
    "updated_at": "2026-11-21T10:01:00Z",
}


def shown(example: dict[str, Any]) -> dict[str, Any]:
    """The piece of a JSON schema that shows `example` in OpenAPI."""
    return {"examples": [example]}
