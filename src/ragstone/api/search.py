"""Search: the passages that bear on a question, and what a collection holds."""

from __future__ import annotations

from fastapi import APIRouter

from ragstone.api.requests import SearchBody
from ragstone.api.responses import SearchOut, StatsOut
from ragstone.http.capabilities import EmbedderDep, LibraryDep, RetrieverDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, AdmittedAsking, AdmittedScope, admitted_router
from ragstone.principals import Permission
from ragstone.retrieval.base import Retrieval
from ragstone.storage.library import Stats
from ragstone.vocabulary import Query

router = admitted_router(tag="search", needs=Permission.CHAT, metered=True)
stats_router = admitted_router(tag="search", needs=Permission.READ)


@router.post("/api/search", response_model=SearchOut, summary="Find passages", responses=problems(400, 404, 413, 503))
async def search(
    body: SearchBody, principal: Admitted, retriever: RetrieverDep, embedder: EmbedderDep, asking: AdmittedAsking
) -> Retrieval:
    """The passages that bear on a query, best first, with rank and score of each in every stage."""
    scope = principal.scope(body.collection)
    query = Query(body.query, filters=body.filters.inside(), limit=body.limit)
    await retriever.check(scope, query)
    bill = await asking.meter("search")
    bill.embedded(len(embedder.token_offsets(body.query)))
    return await retriever.search(scope, query)


@stats_router.get("/api/stats", response_model=StatsOut, summary="Count what there is")
async def stats(scope: AdmittedScope, library: LibraryDep) -> Stats:
    """Documents, chunks, bytes and jobs of a collection."""
    return await library.stats(scope)


ROUTERS: tuple[APIRouter, ...] = (router, stats_router)
