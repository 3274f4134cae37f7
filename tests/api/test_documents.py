"""Documents over HTTP: sent, listed, read, removed."""

from __future__ import annotations

import httpx2
import pytest

from tests.api.calls import NOTES, upload

UNKNOWN = "0" * 32


async def test_sent_files_become_documents_that_are_found(client: httpx2.AsyncClient):
    job = await upload(client, {"notes.md": NOTES, "b.txt": "Plain words."}, metadata='{"lang": "en", "year": 2026}')
    assert (job["state"], job["done"], job["failed"]) == ("done", 2, 0)
    listed = (await client.get("/api/documents")).json()
    assert [document["source"] for document in listed["documents"]] == ["upload:b.txt", "upload:notes.md"]
    assert listed["next"] is None
    assert listed["documents"][1]["metadata"] == {"lang": "en", "year": 2026}
    shown = await client.get(f"/api/documents/{listed['documents'][1]['id']}")
    assert shown.json() == listed["documents"][1]
    assert shown.json()["state"] == "ready"


async def test_the_answer_to_an_upload_is_the_queued_job(client: httpx2.AsyncClient):
    response = await client.post("/api/documents", files={"files": ("notes.md", NOTES)})
    assert response.status_code == 202
    assert response.json()["total"] == 1
    assert response.json()["collection"] == "default"


async def test_the_same_bytes_again_are_skipped(client: httpx2.AsyncClient):
    await upload(client, {"notes.md": NOTES})
    assert (await upload(client, {"notes.md": NOTES}))["skipped"] == 1


async def test_one_bad_file_does_not_hold_up_the_others(client: httpx2.AsyncClient):
    job = await upload(
        client, {"notes.md": NOTES, "broken.pdf": b"%PDF-1.7 nothing", "empty.md": b"", "big.txt": b"a" * 200_001}
    )
    fates = {file["source"]: file for file in job["files"]}
    assert fates["upload:notes.md"]["state"] == "done"
    for name, code in {
        "broken.pdf": "unreadable_document",
        "empty.md": "empty_document",
        "big.txt": "too_large",
    }.items():
        assert (fates[f"upload:{name}"]["state"], fates[f"upload:{name}"]["error_code"]) == ("failed", code)
        assert fates[f"upload:{name}"]["error"]
    assert (job["state"], job["done"], job["failed"]) == ("done", 1, 3)


async def test_pages_follow_each_other_without_gap_or_overlap(client: httpx2.AsyncClient):
    await upload(client, {f"{number}.md": f"# Number {number}" for number in range(5)})
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await client.get("/api/documents", params={"limit": 2, **after})).json()
        seen += [document["title"] for document in page["documents"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [f"Number {number}" for number in range(5)]


async def test_a_page_that_is_exactly_full_is_the_last(client: httpx2.AsyncClient):
    await upload(client, {"a.md": "# A", "b.md": "# B"})
    assert (await client.get("/api/documents", params={"limit": 2})).json()["next"] is None


async def test_a_span_of_a_text_is_exact(client: httpx2.AsyncClient):
    job = await upload(client, {"notes.md": NOTES})
    path = f"/api/documents/{job['files'][0]['document_id']}/text"
    whole = (await client.get(path)).json()
    assert "Water boils" in whole["text"]
    assert (whole["start"], whole["end"], whole["version"]) == (0, whole["length"], 1)
    start = whole["text"].index("Water boils")
    span = (await client.get(path, params={"start": start, "end": start + 11, "version": 1})).json()
    assert (span["text"], span["start"], span["end"], span["length"]) == (
        "Water boils",
        start,
        start + 11,
        whole["length"],
    )


@pytest.mark.parametrize("span", [{"start": 5, "end": 4}, {"end": 10_000}, {"start": 10_000}])
async def test_a_span_outside_the_text_is_refused_with_its_length(client: httpx2.AsyncClient, span: dict[str, int]):
    job = await upload(client, {"notes.md": NOTES})
    response = await client.get(f"/api/documents/{job['files'][0]['document_id']}/text", params=span)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_input")
    assert "characters" in response.json()["detail"]


async def test_a_replaced_version_is_refused(client: httpx2.AsyncClient):
    job = await upload(client, {"notes.md": NOTES})
    await upload(client, {"notes.md": NOTES + "More."})
    path = f"/api/documents/{job['files'][0]['document_id']}/text"
    assert (await client.get(path, params={"version": 1})).status_code == 404
    assert (await client.get(path)).json()["version"] == 2


async def test_a_removed_document_is_gone_from_everywhere(client: httpx2.AsyncClient):
    job = await upload(client, {"notes.md": NOTES})
    path = f"/api/documents/{job['files'][0]['document_id']}"
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404
    assert (await client.get("/api/documents")).json()["documents"] == []
    found = await client.post("/api/search", json={"query": "boils"})
    assert found.json().get("passages", []) == []


async def test_a_document_of_another_collection_is_not_found(client: httpx2.AsyncClient):
    job = await upload(client, {"notes.md": NOTES}, collection="science")
    path = f"/api/documents/{job['files'][0]['document_id']}"
    for response in (
        await client.get(path),
        await client.get(f"{path}/text"),
        await client.delete(path),
        await client.get("/api/documents", params={"after": job["files"][0]["document_id"]}),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert (await client.get(path, params={"collection": "science"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/documents/{}"), ("DELETE", "/api/documents/{}"), ("GET", "/api/documents/{}/text")],
)
async def test_an_unknown_document_is_a_404_and_a_malformed_id_a_422(
    client: httpx2.AsyncClient, method: str, path: str
):
    assert (await client.request(method, path.format(UNKNOWN))).status_code == 404
    assert (await client.request(method, path.format("a'b"))).status_code == 422
    assert (await client.request(method, path.format("a" * 65))).status_code == 422


async def test_names_lose_their_folders_and_what_turns_them(client: httpx2.AsyncClient):
    job = await upload(client, {"../../etc/a\u202efdp.md": NOTES, "C:\\temp\\b.md": NOTES})
    assert [file["source"] for file in job["files"]] == ["upload:afdp.md", "upload:b.md"]


@pytest.mark.parametrize("names", [("a/readme.md", "b/readme.md"), ("..", "x.md"), ("\u202e", "x.md")])
async def test_names_that_clash_or_are_none_are_refused(client: httpx2.AsyncClient, names: tuple[str, str]):
    response = await client.post("/api/documents", files=[("files", (name, "text")) for name in names])
    assert response.status_code == 400
    assert (await client.get("/api/documents")).json()["documents"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"collection": "../x"},
        {"metdata": "{}"},
        {"metadata": "no json"},
        {"metadata": "[1]"},
        {"metadata": '{"a": [1]}'},
        {"metadata": '{"a": NaN}'},
        {"metadata": '{"a": {"$ref": 1}}'},
        {"metadata": '{"a b": 1}'},
        {"metadata": "[" * 10_000},
        {"metadata": '{"a": "\\u0000"}'},
        {"metadata": '{"a": "\\ud800"}'},
    ],
)
async def test_fields_that_do_not_fit_are_refused_and_nothing_is_stored(
    client: httpx2.AsyncClient, fields: dict[str, str]
):
    response = await client.post("/api/documents", files={"files": ("notes.md", NOTES)}, data=fields)
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"
    assert (await client.get("/api/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(
    "content",
    [b"", b"--b\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", b"-" * 100_000],
)
async def test_a_broken_multipart_body_is_a_problem(client: httpx2.AsyncClient, content: bytes):
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = await client.post("/api/documents", content=content, headers=headers)
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


async def test_too_many_parts_are_refused(client: httpx2.AsyncClient):
    many_fields = b"".join(b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' for _ in range(10_000))
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = await client.post("/api/documents", content=many_fields + b"--b--\r\n", headers=headers)
    assert response.status_code == 400
    assert "Too many fields" in response.json()["detail"]


async def test_json_where_files_belong_is_refused(client: httpx2.AsyncClient):
    response = await client.post("/api/documents", json={"files": ["x"]})
    assert response.status_code == 422
