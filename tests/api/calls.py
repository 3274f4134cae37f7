"""Calls that many tests make."""

from __future__ import annotations

import json
from typing import Any

import httpx2

NOTES = "# Notes\n\n## Water\n\nWater boils at 100 degrees at sea level.\n\n## Iron\n\nIron melts at 1538 degrees.\n"


async def upload(client: httpx2.AsyncClient, files: dict[str, bytes | str], **fields: str) -> dict[str, Any]:
    """Send files and wait for their job.

    Returns:
        The finished job.
    """
    parts = [("files", (name, content)) for name, content in files.items()]
    response = await client.post("/api/documents", files=parts, data=fields)
    assert response.status_code == 202, response.text
    return await finished(client, response.json(), fields.get("collection", "default"))


async def finished(client: httpx2.AsyncClient, job: dict[str, Any], collection: str = "default") -> dict[str, Any]:
    """The job when it has finished, from its stream of events."""
    response = await client.get(f"/api/jobs/{job['id']}/events", params={"collection": collection})
    assert response.status_code == 200, response.text
    name, data = parsed(response.text)[-1]
    assert name == "done", response.text
    return data


def parsed(stream: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of the events of a finished stream."""
    events = []
    for block in stream.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            events.append((lines["event"], json.loads(lines["data"])))
    return events
