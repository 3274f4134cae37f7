"""Servers and workers are processes of their own on one data directory; any of them may be killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.commands import running_server
from tests.waiting import until

QUICK = {
    "RAGSTONE_EMBEDDING__MODEL": "hashing",
    "RAGSTONE_INGESTION__LEASE_S": "1",
    "RAGSTONE_LOG__LEVEL": "warning",
}
FILES = 60


@contextmanager
def running_worker(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a worker and wait until it works; end it after, if it has not ended yet."""
    command = [sys.executable, "-m", "ragstone", "--data-dir", str(data_dir), "worker"]
    environment = {**os.environ, **QUICK}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        assert process.stdout
        assert "waits for work" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def command(data_dir: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ragstone", "--data-dir", str(data_dir), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **QUICK},
        timeout=60,
    )
    return done.returncode, done.stdout


def jobs_of(client: httpx2.Client) -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get("/api/jobs").json()["jobs"]
    return found


def submit(client: httpx2.Client, first: int, count: int) -> None:
    for number in range(first, first + count):
        text = f"zebra{number} sleeps in the shade.\n\n" * 20
        answer = client.post("/api/ingest", json={"title": f"{number}.md", "text": text})
        assert answer.status_code == 202, answer.text


async def test_two_workers_share_the_work_of_a_server_and_a_killed_one_is_made_up_for(tmp_path: Path):
    data = tmp_path / "data"
    with (
        running_server(data, "--no-worker", **QUICK) as url,
        httpx2.Client(base_url=url, timeout=30) as client,
        running_worker(data) as first,
        running_worker(data),
    ):
        submit(client, 0, FILES // 2)
        await until(lambda: any(job["state"] == "done" for job in jobs_of(client)))
        first.send_signal(signal.SIGKILL)
        submit(client, FILES // 2, FILES // 2)
        await until(lambda: all(job["state"] == "done" for job in jobs_of(client)))
        documents = client.get("/api/documents", params={"limit": 100}).json()["documents"]
        assert len(documents) == FILES
        assert {document["state"] for document in documents} == {"ready"}
        found = client.post("/api/search", json={"query": f"zebra{FILES - 1}"}).json()
        assert found["passages"][0]["title"] == f"{FILES - 1}.md"
        ready = client.get("/ready").json()
        assert ready["ready"]
        assert "elsewhere" in ready["parts"]["worker"]["detail"]


async def test_sigterm_ends_a_worker_after_what_it_has_in_hand(tmp_path: Path):
    data = tmp_path / "data"
    with running_server(data, "--no-worker", **QUICK) as url, httpx2.Client(base_url=url, timeout=30) as client:
        with running_worker(data) as worker:
            submit(client, 0, 10)
            await until(lambda: any(job["state"] == "done" for job in jobs_of(client)))
            worker.send_signal(signal.SIGTERM)
            await asyncio.to_thread(worker.wait, 20)
            assert worker.returncode == 0
        assert {job["failed"] for job in jobs_of(client)} == {0}
        with running_worker(data):
            await until(lambda: all(job["state"] == "done" for job in jobs_of(client)))


async def test_a_removed_document_is_shown_to_be_gone(tmp_path: Path):
    data = tmp_path / "data"
    (tmp_path / "zoo.md").write_text("The zebra sleeps in the shade.")
    await asyncio.to_thread(command, data, "ingest", str(tmp_path / "zoo.md"))
    _, listed = await asyncio.to_thread(command, data, "documents", "list", "--json")
    document_id = json.loads(listed)[0]["id"]
    code, report = await asyncio.to_thread(
        command, data, "operate", "verify-deleted", "--document", document_id, "--json"
    )
    assert code == 1
    assert not json.loads(report)["gone"]
    await asyncio.to_thread(command, data, "documents", "remove", document_id)
    code, report = await asyncio.to_thread(
        command, data, "operate", "verify-deleted", "--document", document_id, "--json"
    )
    assert code == 0, report
    assert json.loads(report)["gone"]
