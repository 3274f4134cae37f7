"""A pipeline on loopback that answers in the exact shape of vectorize-client 0.4.0, and fails on demand."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.llm.mock_upstreams import Exchange, Script, Upstream, hanging, serving

PATH = "/v1/org/org-1/pipelines/pipe-1/retrieval"
GATEWAY_PATH = "/api/gateways/service/org-1/pipe-1/retrieve"


def url_of(upstream: Upstream, path: str = PATH) -> str:
    return f"{upstream.url}{path}"


def document(text: str, *, name: str = "handbook.pdf", chunk: int = 0, score: float = 0.9, **more: object) -> Any:
    """One document, with every field that the strict client demands; `more` is metadata, or breaks a field."""
    return {
        "relevancy": score,
        "similarity": round(score - 0.1, 4),
        "id": f"{name}:{chunk}",
        "text": text,
        "chunk_id": str(chunk),
        "total_chunks": "9",
        "origin": "file-upload",
        "origin_id": "origin-1",
        "source": f"uploads/{name}",
        "unique_source": f"file-upload:{name}",
        "source_display_name": name,
        "pipeline_id": "pipe-1",
        "org_id": "org-1",
        **more,
    }


TOWER = document(
    "The tower was completed in March 1889. It is 330 metres tall and weighs 10,100 tonnes.", name="tower.pdf", page=7
)
BRIDGE = document("The bridge opened in 1937. Its main span is 1,280 m long.", name="bridge.pdf", score=0.6)


def answer(documents: Sequence[object], question: str = "") -> dict[str, object]:
    return {"question": question, "documents": list(documents), "average_relevancy": 0.75, "ndcg": 0.9}


def finding(*documents: object) -> Script:
    """A pipeline that finds these documents, whatever is asked, and no more than were asked for."""

    async def script(exchange: Exchange) -> None:
        await exchange.json(200, answer(documents[: exchange.body["numResults"]], exchange.body["question"]))

    return script


def refusing(status: int, *, more: str = "", token: str = "") -> Script:
    """A pipeline that refuses, and is so careless as to repeat the token."""

    async def script(exchange: Exchange) -> None:
        await exchange.json(status, {"error": "no", "details": f"you sent {token}"}, more)

    return script


def telling(body: bytes, *, status: int = 200, length: int | None = None) -> Script:
    """A server that sends these bytes, which need not be as many as it says, nor be JSON."""

    async def script(exchange: Exchange) -> None:
        more = "" if length is None else f"content-length: {length}\r\n"
        await exchange.head(status, "application/json", more)
        await exchange.send(body.decode("latin-1"))

    return script


async def resetting(exchange: Exchange) -> None:
    """Takes the question and cuts the connection."""
    exchange.reset()


def in_turn(*scripts: Script) -> Script:
    """One script for each request; the last for all that follow."""
    left = list(scripts)

    async def script(exchange: Exchange) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return script


def jwt(*, ends: datetime | None = None, header: object = None, payload: object = None) -> str:
    """A token of the documented form; `ends` in a year unless said."""
    ends = ends or datetime.now(UTC) + timedelta(days=365)
    parts = (
        {"alg": "HS256", "typ": "JWT"} if header is None else header,
        {"sub": "canary", "exp": int(ends.timestamp())} if payload is None else payload,
    )
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJlLWNhbmFyeQ"])


@asynccontextmanager
async def a_pipeline(*documents: object) -> AsyncIterator[Upstream]:
    """A running pipeline that finds `documents`."""
    async with serving(finding(*documents)) as upstream:
        yield upstream


__all__ = [
    "BRIDGE",
    "GATEWAY_PATH",
    "PATH",
    "TOWER",
    "a_pipeline",
    "answer",
    "document",
    "finding",
    "hanging",
    "in_turn",
    "jwt",
    "refusing",
    "resetting",
    "serving",
    "telling",
    "url_of",
]
