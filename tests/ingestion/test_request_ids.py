"""A request's id goes with the job that it submits, into the worker's log lines."""

from __future__ import annotations

from pathlib import Path

import structlog

from ragstone.storage.database import scoped
from ragstone.storage.schema import jobs
from ragstone.vocabulary import DEFAULT_TENANT, Scope
from tests.api.conftest import calling, running
from tests.platforms import small_platform
from tests.waiting import until


def lines_of(events: list[structlog.typing.EventDict], name: str) -> list[dict[str, object]]:
    return [dict(event) for event in events if event["event"] == name]


async def test_a_job_carries_the_id_of_its_request_into_the_table_and_the_workers_lines(tmp_path: Path):
    capture = structlog.testing.capture_logs([structlog.contextvars.merge_contextvars])
    async with small_platform(tmp_path) as platform, running(platform) as app, calling(app) as client:
        with capture as events:
            answers = [
                await client.post(
                    "/api/documents",
                    files={"files": (name, f"Words of {name}.".encode())},
                    headers={"x-request-id": f"order-{name[:2]}"},
                )
                for name in ("a1.txt", "b2.txt")
            ]
            await until(lambda: len(lines_of(events, "ingest.done")) == 2)
        submitted = {answer.json()["id"] for answer in answers}
        async with platform.storage.database.read(DEFAULT_TENANT) as connection:
            rows = (await connection.execute(scoped(jobs, DEFAULT_TENANT))).mappings().all()
    requests = {row["id"]: row["request_id"] for row in rows}
    assert set(requests) == submitted
    assert {answer.headers["x-request-id"] for answer in answers} == set(requests.values())
    done = lines_of(events, "ingest.done")
    assert {(line["job"], line["request_id"], line["tenant"]) for line in done} == {
        (job, request, DEFAULT_TENANT) for job, request in requests.items()
    }


async def test_a_job_without_a_request_has_no_request_id(tmp_path: Path):
    async with small_platform(tmp_path / "data") as platform:
        (tmp_path / "a.txt").write_text("Words.")
        await platform.corpus.ingestion.submit_paths(Scope(DEFAULT_TENANT, "default"), [tmp_path / "a.txt"])
        async with platform.storage.database.read(DEFAULT_TENANT) as connection:
            rows = (await connection.execute(scoped(jobs, DEFAULT_TENANT, jobs.c.request_id))).all()
    assert [row.request_id for row in rows] == [""]
