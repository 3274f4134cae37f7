"""An installation with a document, between a client and a model's server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from ragstone.app import create_app
from tests.platforms import OpenedPlatform, small_platform
from tests.servers import serving

TEXT = (
    "# The harbour\n\nThe harbour crane lifts forty tonnes.\n\nIts operator is called Adele Quist.\n\n"
    "# The lighthouse\n\nThe lighthouse keeper trims the lamp every evening at nine.\n"
)
QUESTION = "How many tonnes does the harbour crane lift?"
KEY = "stand-key-" + "k" * 40
UPSTREAM_KEY = "sk-theirs-123456"


@dataclass(frozen=True, slots=True)
class Stand:
    """The installation, served on loopback."""

    platform: OpenedPlatform
    url: str

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """A raw client with the key."""
        return httpx2.AsyncClient(
            base_url=self.url, timeout=30, headers={"authorization": f"Bearer {KEY}", **headers}, trust_env=False
        )

    async def chat(self, body: Mapping[str, Any] | None = None, **headers: str) -> httpx2.Response:
        """One chat completion."""
        async with self.client(**{name.replace("_", "-"): value for name, value in headers.items()}) as client:
            return await client.post("/v1/chat/completions", json=asking() if body is None else body)


def asking(question: str = QUESTION, **more: object) -> dict[str, Any]:
    """The body of a chat completion."""
    return {"model": "mock", "messages": [{"role": "user", "content": question}], **more}


@asynccontextmanager
async def stand(folder: Path, upstream_url: str | None = None, **groups: Any) -> AsyncIterator[Stand]:
    """Open it; with `upstream_url`, chats go on to that server, of either wire format."""
    interceptor = {"budget_s": 5, **groups.pop("interceptor", {})}  # what is slow here is the machine of the tests
    if upstream_url:
        interceptor = {
            "upstream_url": f"{upstream_url}/v1",
            "upstream_key": UPSTREAM_KEY,
            "anthropic_url": upstream_url,
            "anthropic_key": UPSTREAM_KEY,
            **interceptor,
        }
    server = {"api_keys": [KEY], "public_url": "https://rag.example.org", **groups.pop("server", {})}
    async with small_platform(folder / "data", server=server, interceptor=interceptor, **groups) as platform:
        await platform.ingest(_written(folder))
        app = create_app(platform.services, works=False)
        async with app.router.lifespan_context(app), serving(app) as url:
            yield Stand(platform, url)


def _written(folder: Path) -> Path:
    file = folder / "harbour.md"
    file.write_text(TEXT, encoding="utf-8")
    return file


def content_of(events: Sequence[Mapping[str, Any]]) -> str:
    """The text that streamed chunks add up to."""
    choices = [choice for event in events for choice in event.get("choices", ())]
    return "".join(choice.get("delta", {}).get("content") or "" for choice in choices)
