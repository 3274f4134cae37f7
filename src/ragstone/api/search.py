"""Routes of search and of the statistics of a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import AliasPath, ConfigDict, Field

from ragstone.api.bodies import DOCUMENT_ID, MAX_PASSAGES, Collection, FilterBody, Out, Request, shown
from ragstone.http.capabilities import EmbedderDep, LibraryDep, RetrieverDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, AdmittedAsking, AdmittedScope, admitted_router
from ragstone.identity.fields import PlainText
from ragstone.principals import Permission
from ragstone.retrieval.base import Retrieval
from ragstone.storage.library import Stats
from ragstone.vocabulary import DEFAULT_COLLECTION, JobState, Query

router = admitted_router(tag="search", needs=Permission.CHAT, metered=True)
stats_router = admitted_router(tag="search", needs=Permission.READ)


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


class SearchBody(Request):
    """A query and its filters."""

    model_config = ConfigDict(json_schema_extra=shown({"query": "At what temperature does water boil?", "limit": 3}))

    query: PlainText = Field(description="A question or key words.")
    collection: Collection = DEFAULT_COLLECTION
    filters: FilterBody = FilterBody()
    limit: int = Field(8, ge=1, le=MAX_PASSAGES, description="Passages to return, at most.")


class StandingOut(Out):
    """The result of one stage for a passage: rank from 1, score in the unit of the stage."""

    rank: int
    score: float


class PassageOut(Out):
    """A relevant part of a document, with its rank and score in each stage."""

    chunk_id: str = Field(validation_alias=AliasPath("chunk", "id"))
    document_id: str = Field(validation_alias=AliasPath("chunk", "document_id"))
    version: int = Field(validation_alias=AliasPath("chunk", "version"))
    title: str
    source: str
    media_type: str
    heading_path: list[str] = Field(validation_alias=AliasPath("chunk", "heading_path"))
    page_first: int | None = Field(validation_alias=AliasPath("chunk", "page_first"))
    page_last: int | None = Field(validation_alias=AliasPath("chunk", "page_last"))
    start: int = Field(validation_alias=AliasPath("chunk", "start"))
    end: int = Field(validation_alias=AliasPath("chunk", "end"))
    text: str = Field(validation_alias=AliasPath("chunk", "text"))
    score: float = Field(validation_alias=AliasPath("hit", "score"), description="Score of the last stage.")
    stages: Mapping[str, StandingOut] = Field(
        validation_alias=AliasPath("hit", "stages"),
        description="`dense` (cosine), `sparse` (BM25) and `fused`; a stage without the passage is missing.",
    )


class CorrectionOut(Out):
    """A word of the question that no document holds, and the one that was searched for instead."""

    typed: str
    searched: str


class SearchOut(Out):
    """Passages, best first."""

    model_config = ConfigDict(json_schema_extra=shown({"passages": [PASSAGE], "degraded": [], "corrections": []}))

    passages: list[PassageOut]
    degraded: list[str] = Field(description="Fallbacks that were used, for example because sparse search was down.")
    corrections: list[CorrectionOut] = Field(
        description="Words of the query that were searched for in another spelling."
    )


class StatsOut(Out):
    """The size of a collection."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"documents": 1, "chunks": 1, "bytes": 60, "jobs": {"queued": 0, "running": 0, "done": 1, "failed": 0}}
        )
    )

    documents: int
    chunks: int
    bytes: int = Field(description="Bytes of the files as they were submitted.")
    jobs: Mapping[JobState, int]


@router.post("/api/search", response_model=SearchOut, summary="Find passages", responses=problems(400, 404, 413, 503))
async def search(
    body: SearchBody, principal: Admitted, retriever: RetrieverDep, embedder: EmbedderDep, asking: AdmittedAsking
) -> Retrieval:
    """The passages relevant to a query, best first, each with its rank and score in every stage."""
    scope = principal.scope(body.collection)
    query = Query(body.query, filters=body.filters.to_domain(), limit=body.limit)
    await retriever.check(scope, query)
    usage = await asking.meter("search")
    usage.embedded(len(embedder.token_offsets(body.query)))
    return await retriever.search(scope, query)


@stats_router.get("/api/stats", response_model=StatsOut, summary="Count documents, chunks and jobs")
async def stats(scope: AdmittedScope, library: LibraryDep) -> Stats:
    """Documents, chunks, bytes and jobs of a collection."""
    return await library.stats(scope)


ROUTERS: tuple[APIRouter, ...] = (router, stats_router)
