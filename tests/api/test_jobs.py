"""Folders and texts of the server, and the jobs they become."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from ragstone.api.jobs import folder_within
from ragstone.errors import Forbidden, InvalidInput
from tests.api.calls import NOTES, finished, parsed, upload

UNKNOWN = "0" * 32


async def test_a_text_becomes_a_document(client: httpx2.AsyncClient):
    body = {"title": "Opening hours", "text": "# Hours\n\nWe open at nine.", "metadata": {"lang": "en"}}
    response = await client.post("/api/ingest", json=body)
    assert response.status_code == 202
    job = await finished(client, response.json())
    assert (job["done"], job["files"][0]["source"]) == (1, "text:Opening hours")
    (document,) = (await client.get("/api/documents")).json()["documents"]
    assert (document["title"], document["metadata"]) == ("Opening hours", {"lang": "en"})


async def test_a_folder_within_the_root_is_ingested(client: httpx2.AsyncClient, root: Path):
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "docs" / "a.md").write_text(NOTES)
    (root / "docs" / "deep" / "b.txt").write_text("Plain words.")
    for directory in ("docs", str(root / "docs")):
        response = await client.post("/api/ingest", json={"directory": directory})
        assert response.status_code == 202, response.text
        job = await finished(client, response.json())
        assert job["done"] + job["skipped"] == 2
    assert len((await client.get("/api/documents")).json()["documents"]) == 2


async def test_a_vanished_file_is_removed_with_prune(client: httpx2.AsyncClient, root: Path):
    for name in ("a.md", "b.md"):
        (root / name).write_text(NOTES + name)
    await finished(client, (await client.post("/api/ingest", json={"directory": "."})).json())
    (root / "b.md").unlink()
    job = await finished(client, (await client.post("/api/ingest", json={"directory": ".", "prune": True})).json())
    assert (job["skipped"], job["removed"]) == (1, 1)


async def test_nothing_outside_the_root_can_be_ingested_or_explored(client: httpx2.AsyncClient, root: Path):
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("# Secret")
    (root / "link").symlink_to(outside)
    (root / "file.md").write_text(NOTES)
    details = set()
    for directory in ("../outside", str(outside), "link", "../missing", "missing", "/etc", "file.md", "~", "x" * 4000):
        response = await client.post("/api/ingest", json={"directory": directory})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_input"), directory
        details.add(response.json()["detail"].replace(repr(directory), "it"))
    assert len(details) == 1
    assert str(root) not in details.pop()


async def test_a_link_inside_a_folder_leads_nowhere(client: httpx2.AsyncClient, root: Path):
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("# Secret")
    (root / "docs").mkdir()
    (root / "docs" / "a.md").write_text(NOTES)
    (root / "docs" / "link.md").symlink_to(outside / "secret.md")
    (root / "docs" / "folder").symlink_to(outside)
    job = await finished(client, (await client.post("/api/ingest", json={"directory": "docs"})).json())
    assert "secret" not in str(job)
    texts = [document["title"] for document in (await client.get("/api/documents")).json()["documents"]]
    assert "Secret" not in texts


def test_without_a_root_no_folder_is_read():
    with pytest.raises(Forbidden, match="RAGSTONE_INGESTION__ALLOWED_ROOT"):
        folder_within(None, "docs")


def test_a_root_that_is_gone_refuses(tmp_path: Path):
    with pytest.raises(InvalidInput):
        folder_within(tmp_path / "gone", ".")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "either directory, or text and title"),
        ({"directory": ".", "text": "a", "title": "b"}, "either directory, or text and title"),
        ({"text": "a"}, "needs a title"),
        ({"text": "a", "title": ""}, "title"),
        ({"text": "a", "title": "b", "prune": True}, "prune cannot go with text"),
        ({"directory": ".", "metadata": {}}, "metadata cannot go with directory"),
        ({"directory": ".", "path": "x"}, "path: is not a field"),
        ({"directory": "a\0b"}, "NUL"),
        ({"text": "a\0b", "title": "b"}, "NUL"),
        ({"text": "a", "title": "b", "metadata": {"a": [1]}}, "metadata"),
        ({"text": "a", "title": "b", "metadata": {str(n): n for n in range(33)}}, "metadata"),
    ],
)
async def test_a_body_that_does_not_fit_says_why(client: httpx2.AsyncClient, body: dict[str, object], reason: str):
    response = await client.post("/api/ingest", json=body)
    assert response.status_code == 422
    assert reason in response.json()["detail"]


async def test_a_title_of_nothing_visible_is_refused(client: httpx2.AsyncClient):
    response = await client.post("/api/ingest", json={"text": "a", "title": "\u200b"})
    assert response.status_code == 400


async def test_jobs_are_listed_newest_first_and_shown_with_their_files(client: httpx2.AsyncClient):
    first = await upload(client, {"a.md": "# A"})
    second = await upload(client, {"b.md": "# B"})
    jobs = (await client.get("/api/jobs")).json()["jobs"]
    assert [job["id"] for job in jobs] == [second["id"], first["id"]]
    assert len((await client.get("/api/jobs", params={"limit": 1})).json()["jobs"]) == 1
    shown = (await client.get(f"/api/jobs/{first['id']}")).json()
    assert shown == first
    assert shown["files"][0]["state"] == "done"


async def test_a_finished_job_streams_one_event_and_ends(client: httpx2.AsyncClient):
    job = await upload(client, {"a.md": "# A"})
    response = await client.get(f"/api/jobs/{job['id']}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert parsed(response.text) == [("done", job)]


@pytest.mark.parametrize("path", ["/api/jobs/{}", "/api/jobs/{}/events"])
async def test_an_unknown_job_is_a_404_and_a_malformed_id_a_422(client: httpx2.AsyncClient, path: str):
    response = await client.get(path.format(UNKNOWN))
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert (await client.get(path.format("a.b"))).status_code == 422


async def test_a_job_of_another_collection_is_not_found(client: httpx2.AsyncClient):
    job = await upload(client, {"a.md": "# A"}, collection="science")
    assert (await client.get(f"/api/jobs/{job['id']}")).status_code == 404
    assert (await client.get(f"/api/jobs/{job['id']}/events")).status_code == 404
    assert (await client.get("/api/jobs")).json()["jobs"] == []
