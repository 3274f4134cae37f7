"""Search: the passages that bear on a question, and what a collection holds."""

from __future__ import annotations

from fastapi import APIRouter

from ragstone.api.requests import SearchBody
from ragstone.api.responses import SearchOut, StatsOut
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, AdmittedAsking, AdmittedScope, OpenPlatform, admitted_router
from ragstone.principals import Permission
from ragstone.retrieval.base import Retrieval
from ragstone.storage.library import Stats
from ragstone.vocabulary import Query

router = admitted_router(tag="search", needs=Permission.CHAT, metered=True)
stats_router = admitted_router(tag="search", needs=Permission.READ)


@router.post("/api/search", response_model=SearchOut, summary="Find passages", responses=problems(400, 404, 413, 503))
async def search(body: SearchBody, principal: Admitted, platform: OpenPlatform, asking: AdmittedAsking) -> Retrieval:
    """The passages that bear on a query, best first, with rank and score of each in every stage."""
    scope = principal.scope(body.collection)
    query = Query(body.query, filters=body.filters.inside(), limit=body.limit)
    await platform.retriever.check(scope, query)
    bill = await asking.bill("search")
    bill.embedded(len(platform.embedder.token_offsets(body.query)))
    return await platform.retriever.search(scope, query)


@stats_router.get("/api/stats", response_model=StatsOut, summary="Count what there is")
async def stats(scope: AdmittedScope, platform: OpenPlatform) -> Stats:
    """Documents, chunks, bytes and jobs of a collection."""
    return await platform.library.stats(scope)


ROUTERS: tuple[APIRouter, ...] = (router, stats_router)
