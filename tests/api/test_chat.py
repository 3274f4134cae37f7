"""Questions over HTTP: searched, answered, streamed, remembered."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.calls import NOTES, parsed, upload
from tests.servers import events_of, serving

QUESTION = "Where does water boil at 100 degrees?"  # answered by its words: the hashing embedder knows no meaning
UNKNOWN = "0" * 32


@pytest.fixture
async def library(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client of a server that knows the notes."""
    await upload(
        client, {"notes.md": NOTES, "de.md": "# Notizen\n\nWasser kocht bei 100 Grad."}, metadata='{"kind": "note"}'
    )
    return client


async def test_a_search_says_rank_and_score_of_each_stage(library: httpx2.AsyncClient):
    found = (await library.post("/api/search", json={"query": QUESTION})).json()
    best = found["passages"][0]
    assert "Water boils" in best["text"]
    assert best["source"] == "upload:notes.md"
    assert set(best["stages"]) >= {"sparse", "fused"}
    assert all(set(standing) == {"rank", "score"} for standing in best["stages"].values())
    assert found["degraded"] == []
    text = (await library.get(f"/api/documents/{best['document_id']}/text")).json()["text"]
    assert text[best["start"] : best["end"]] == best["text"]


async def test_filters_narrow_a_search(library: httpx2.AsyncClient):
    await upload(library, {"other.md": NOTES}, metadata='{"kind": "other", "year": 2026}')
    for filters in ({"metadata": {"kind": ["other"]}}, {"metadata": {"year": [2026]}}):
        found = (await library.post("/api/search", json={"query": QUESTION, "filters": filters})).json()
        assert {passage["source"] for passage in found["passages"]} == {"upload:other.md"}
    only = [found["passages"][0]["document_id"]]
    found = (await library.post("/api/search", json={"query": QUESTION, "filters": {"documents": only}})).json()
    assert {passage["document_id"] for passage in found["passages"]} == set(only)
    nothing = {"media_types": ["application/pdf"]}
    assert (await library.post("/api/search", json={"query": QUESTION, "filters": nothing})).json()["passages"] == []


async def test_an_answer_cites_exact_spans(library: httpx2.AsyncClient):
    answer = (await library.post("/api/chat", json={"question": QUESTION})).json()
    assert "100 degrees" in answer["text"]
    assert not answer["abstained"]
    assert answer["usage"]["model"] == "extractive"
    for citation in answer["citations"]:
        text = (await library.get(f"/api/documents/{citation['document_id']}/text")).json()["text"]
        assert text[citation["start"] : citation["end"]] == citation["quote"]
        assert f"[{citation['marker']}]" in answer["text"]


async def test_a_stream_ends_with_the_answer_its_deltas_wrote(library: httpx2.AsyncClient):
    response = await library.post("/api/chat", json={"question": QUESTION, "stream": True})
    events = parsed(response.text)
    assert events[0][0] == "retrieved"
    assert events[0][1]["passages"][0]["source"] == "upload:notes.md"
    assert events[-1][0] == "done"
    done = events[-1][1]
    assert "".join(data["text"] for name, data in events if name == "delta") == done["text"]
    assert [data for name, data in events if name == "citation"] == done["citations"]
    assert {name for name, _ in events} == {"retrieved", "delta", "citation", "done"}
    assert done["conversation_id"]


async def test_a_stream_arrives_over_a_socket(app: FastAPI, library: httpx2.AsyncClient):
    async with serving(app) as url, httpx2.AsyncClient() as client:
        body = {"question": QUESTION, "stream": True}
        async with client.stream("POST", f"{url}/api/chat", json=body) as response:
            names = [event.name async for event in events_of(response)]
    assert names[0] == "retrieved"
    assert names[-1] == "done"


async def test_a_conversation_goes_on_and_is_kept_until_removed(library: httpx2.AsyncClient):
    first = (await library.post("/api/chat", json={"question": QUESTION})).json()
    follow_up = {"question": "And iron?", "conversation_id": first["conversation_id"]}
    second = (await library.post("/api/chat", json=follow_up)).json()
    assert second["conversation_id"] == first["conversation_id"]
    (listed,) = (await library.get("/api/conversations")).json()["conversations"]
    assert listed["id"] == first["conversation_id"]
    path = f"/api/conversations/{first['conversation_id']}"
    shown = (await library.get(path)).json()
    assert [turn["question"] for turn in shown["turns"]] == [QUESTION, "And iron?"]
    assert shown["turns"][0]["answer"] == first["text"]
    assert shown["turns"][0]["citations"] == first["citations"]
    assert (await library.get(path, params={"collection": "other"})).status_code == 404
    assert (await library.delete(path)).status_code == 204
    assert (await library.get(path)).status_code == 404


async def test_an_unknown_conversation_is_a_404(client: httpx2.AsyncClient):
    for method in ("GET", "DELETE"):
        assert (await client.request(method, f"/api/conversations/{UNKNOWN}")).status_code == 404
        assert (await client.request(method, "/api/conversations/a.b")).status_code == 422


async def test_stats_count_one_collection(library: httpx2.AsyncClient):
    stats = (await library.get("/api/stats")).json()
    assert (stats["documents"], stats["jobs"]["done"]) == (2, 1)
    assert stats["chunks"] >= 2
    assert stats["bytes"] > len(NOTES)
    assert (await library.get("/api/stats", params={"collection": "empty"})).json()["documents"] == 0
