"""What LibreChat does with files, in its own words (axios, form-data), against /librechat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.outside import librechat
from tests.interceptor.setup import QUESTION
from tests.librechat.setup import ALICE, BOB, SECRET, connected
from tests.servers import serving

CRANE = "# The harbour\n\nThe harbour crane lifts forty tonnes.\n\nIts operator is called Adele Quist.\n"
LAMP = "# The lighthouse\n\nThe lighthouse keeper trims the lamp every evening at nine.\n"
FILES = [
    {"id": "5e0f1f7e-0b7b-4a5e-9f5e-000000000001", "name": "Hafen übersicht.md", "text": CRANE},
    {"id": "5e0f1f7e-0b7b-4a5e-9f5e-000000000002", "name": "lighthouse.txt", "text": LAMP},
]


@pytest.fixture(params=["/librechat", "/librechat/"])
async def told(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """One user's calls, and those of another who knows the ids; LibreChat adds paths to whatever URL it is given."""
    async with connected(tmp_path) as made, serving(made.app) as url:
        task = {"url": url + request.param, "user": ALICE, "other": BOB, "secret": SECRET}
        asked = {"files": FILES, "query": QUESTION, "entity": "RAG__house___Ragstone"}
        return await librechat("rag_api.mjs", {**task, **asked})


async def test_a_librechat_keeps_searches_reads_and_deletes_its_files(told: dict[str, Any]):
    assert told["health"] == 200
    assert [(answer["status"], answer["known_type"]) for answer in told["uploads"]] == [(True, True)] * 2
    assert [answer["filename"] for answer in told["uploads"]] == [file["name"] for file in FILES]
    assert "forty tonnes" in told["text"]["text"]
    best = told["hits"][0]
    assert (best["file_id"], best["filename"]) == (FILES[0]["id"], FILES[0]["name"])
    assert "forty tonnes" in best["content"]
    assert all(0 <= hit["distance"] <= 1 for hit in told["hits"])
    assert best in told["cited"]
    assert all(hit["file_id"] == FILES[0]["id"] for hit in told["cited"])
    assert "forty tonnes" in told["attached"][0][0][0]["page_content"]
    assert told["contexts"][0].startswith(FILES[0]["name"])
    assert "Adele Quist" in told["contexts"][0]
    assert told["foreign"] == {"hits": [], "context": 404, "removal": 404}
    assert told["removed"] == {"message": "Documents for 1 file deleted successfully"}
    assert told["after"] == {"again": 404, "pairs": []}
