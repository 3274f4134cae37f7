"""The router and the fused retriever: each query goes to the source of its scope, alone or beside the index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragstone.errors import IndexUnavailable, NotFound, Overloaded
from ragstone.ingestion.submit import Upload
from ragstone.retrieval.base import PIPELINE_NOT_ASKED
from ragstone.retrieval.router import (
    INDEX_UNAVAILABLE,
    PIPELINE_UNAVAILABLE,
    FusedRetriever,
    RemoteSource,
    RetrieverRouter,
    fused,
)
from ragstone.retrieval.vectorize.client import VectorizeClient
from ragstone.retrieval.vectorize.retriever import DOCUMENT_PREFIX, FLOOR, STAGE, PipelineOptions
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Filters, Query, Scope
from tests.generation.passages import passage
from tests.platforms import small_platform
from tests.retrieval.sources import Local, finder, vectorize_client
from tests.retrieval.vectorize_server import BRIDGE, TOWER, a_pipeline, finding, hanging, refusing, serving
from tests.waiting import until

QUESTION = Query("How tall is the tower?")
NOWHERE = Scope("ours", "exists-only-there")


@pytest.fixture
async def client() -> AsyncIterator[VectorizeClient]:
    async with vectorize_client() as opened:
        yield opened


def both(here, there, **options):
    return FusedRetriever(here, there, metrics=Metrics(), **options)


async def test_both_places_are_asked_and_neither_outvotes_the_other(client):
    here = Local(passage("A local note.", document="d1"), passage("Another one.", document="d2"))
    async with a_pipeline(TOWER, BRIDGE) as upstream:
        result = await both(here, finder(client, upstream)).search(Scope(), QUESTION)
    assert not result.degraded
    titles = [one.title for one in result.passages]
    assert {titles[0], titles[1]} == {"Handbook", "tower.pdf"}
    assert {titles[2], titles[3]} == {"Handbook", "bridge.pdf"}


async def test_the_same_text_in_both_is_one_passage_that_goes_before_all(client):
    here = Local(passage("A local note.", document="d1"), passage(f"{TOWER['text']}\n", document="d2"))
    async with a_pipeline(BRIDGE, TOWER) as upstream:
        result = await both(here, finder(client, upstream)).search(Scope(), QUESTION)
    first, *others = result.passages
    assert len(others) == 2
    assert (first.chunk.document_id, first.hit.stages[STAGE].rank, first.hit.stages["routed"].rank) == ("d2", 1, 1)
    assert first.hit.score == pytest.approx(1 / 62 + 1 / 61)


def test_fusion_counts_a_text_once_for_each_list_at_its_best_rank():
    one, twin, other = (passage(text, document=name) for text, name in (("A.", "d1"), ("A. ", "d2"), ("B.", "d3")))
    first, second = fused([(one, twin, other)])
    assert first.chunk.document_id == "d1"
    assert first.hit.score == pytest.approx(1 / 61)
    assert second.hit.score == pytest.approx(1 / 63)


async def test_equal_places_are_always_in_the_same_order():
    one, other = passage("A.", document="d1"), passage("B.", document="d2")
    assert fused([(one,), (other,)]) == fused([(one,), (other,)])
    assert [found.chunk.document_id for found in fused([(other,), (one,)])] == ["d1", "d2"]


async def test_no_more_than_asked_for_of_both_together(client):
    here = Local(*(passage(f"Note {number}.", document=f"d{number}") for number in range(5)))
    async with a_pipeline(TOWER, BRIDGE) as upstream:
        assert len((await both(here, finder(client, upstream)).search(Scope(), Query("x", limit=3))).passages) == 3


@pytest.mark.parametrize("script", [refusing(500), refusing(401), hanging], ids=["fails", "refuses", "hangs"])
async def test_without_the_pipeline_the_index_answers_and_says_so(client, script):
    metrics = Metrics()
    async with serving(script) as upstream:
        there = finder(client, upstream, timeout_s=0.2)
        here = Local(passage("A local note."))
        result = await FusedRetriever(here, there, metrics=metrics).search(Scope(), QUESTION)
    assert ([one.chunk.text for one in result.passages], result.degraded) == (
        ["A local note."],
        (PIPELINE_UNAVAILABLE,),
    )
    assert f'ragstone_degraded_total{{policy="{PIPELINE_UNAVAILABLE}"}} 1.0' in metrics.render().decode()


@pytest.mark.parametrize(
    "here",
    [
        Local(fails=IndexUnavailable("Down.")),
        Local(fails=Overloaded("Full.")),
        Local(waits=True),
    ],
    ids=["down", "full", "hangs"],
)
async def test_without_the_index_the_pipeline_answers_and_says_so(client, here):
    async with a_pipeline(TOWER) as upstream:
        result = await both(here, finder(client, upstream), local_timeout_s=0.2).search(Scope(), QUESTION)
    assert ([one.title for one in result.passages], result.degraded) == (["tower.pdf"], (INDEX_UNAVAILABLE,))


async def test_without_both_nothing_is_made_up(client):
    async with serving(refusing(500)) as upstream:
        with pytest.raises(IndexUnavailable, match="Neither"):
            await both(Local(fails=IndexUnavailable("Down.")), finder(client, upstream)).search(Scope(), QUESTION)


async def test_a_collection_that_only_the_pipeline_has_is_searched_there(client):
    missing = Local(fails=NotFound("No such collection."))
    async with a_pipeline(TOWER) as upstream:
        one = both(missing, finder(client, upstream))
        await one.check(NOWHERE, QUESTION)
        result = await one.search(NOWHERE, QUESTION)
    assert ([one.title for one in result.passages], result.degraded) == (["tower.pdf"], ())


async def test_filters_that_the_pipeline_cannot_combine_leave_the_index_to_answer(client):
    async with a_pipeline(TOWER) as upstream:
        there = finder(client, upstream, filters=({"year": {"$gt": 2020}},))
        german = Query("x", filters=Filters(metadata={"lang": ("de",)}))
        result = await both(Local(passage("A local note.")), there).search(Scope(), german)
    assert (len(result.passages), result.degraded) == (1, (PIPELINE_NOT_ASKED,))
    assert not upstream.paths


async def test_a_fault_of_our_own_is_raised_as_what_it_is(client):
    async with serving(hanging) as upstream:
        with pytest.raises(ZeroDivisionError):
            await both(Local(fails=ZeroDivisionError()), finder(client, upstream)).search(Scope(), QUESTION)


async def test_leaving_early_leaves_the_pipeline_too(client):
    async with serving(hanging) as upstream:
        asking = asyncio.create_task(both(Local(), finder(client, upstream)).search(Scope(), QUESTION))
        await until(lambda: bool(upstream.paths))
        asking.cancel()
        await asyncio.wait_for(upstream.hung_up.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await asking


def source(client, upstream, mode="alone", *, floor=FLOOR, **changes):
    """The pipeline as the source of a scope."""
    retriever = finder(client, upstream, options=PipelineOptions(floor=floor), **changes)
    return RemoteSource(mode, retriever, DOCUMENT_PREFIX)


def routed(here, known):
    async def source_of(scope):
        return known.get(scope.tenant)

    return RetrieverRouter(here, source_of=source_of, metrics=Metrics())


async def test_each_tenants_questions_go_where_its_knowledge_lies_and_nowhere_else(client):
    here = Local(passage("A local note."))
    async with a_pipeline(TOWER) as ours, a_pipeline(BRIDGE) as theirs:
        known = {
            "ours": source(client, ours, "alone", token="token-of-ours"),
            "theirs": source(client, theirs, "alone", token="token-of-theirs"),
        }
        one = routed(here, known)
        tenants = ("ours", "theirs", "third")
        questions = [(Scope(tenant), Query(f"{tenant} asks")) for tenant in tenants * 10]
        results = await asyncio.gather(*(one.search(*question) for question in questions))
    titles = [result.passages[0].title for result in results]
    assert titles == ["tower.pdf", "bridge.pdf", "Handbook"] * 10
    assert {body["question"] for body in ours.bodies} == {"ours asks"}
    assert {head["authorization"] for head in ours.headers} == {"Bearer token-of-ours"}
    assert {body["question"] for body in theirs.bodies} == {"theirs asks"}
    assert {head["authorization"] for head in theirs.headers} == {"Bearer token-of-theirs"}
    assert here.asked == 10


async def test_alone_means_that_the_index_is_not_even_asked(client):
    here = Local(fails=NotFound("No such collection."))
    async with a_pipeline(TOWER) as upstream:
        one = routed(here, {"ours": source(client, upstream, "alone")})
        await one.check(NOWHERE, QUESTION)
        assert (await one.search(NOWHERE, QUESTION)).passages
    assert not here.asked


async def test_documents_of_this_installation_are_looked_for_here(client):
    here = Local(passage("A local note."))
    chosen = Query("x", filters=Filters(documents=("0f" * 16,)))
    async with a_pipeline(TOWER) as upstream:
        one = routed(here, {"ours": source(client, upstream, "alone")})
        assert (await one.search(Scope("ours"), chosen)).passages[0].title == "Handbook"
    assert not upstream.paths


async def test_what_a_tenant_changed_holds_for_the_next_question(client):
    known: dict[str, RemoteSource] = {}
    one = routed(Local(passage("A local note.")), known)
    assert (await one.search(Scope("ours"), QUESTION)).passages[0].title == "Handbook"
    async with a_pipeline(TOWER) as upstream:
        known["ours"] = source(client, upstream, "alone", floor=0.95)
        assert not (await one.search(Scope("ours"), QUESTION)).passages
        known["ours"] = source(client, upstream, "fused", floor=0.0)
        assert len((await one.search(Scope("ours"), QUESTION)).passages) == 2


async def test_a_real_index_and_a_pipeline_answer_together(client, tmp_path: Path):
    text = "The tower has 1,665 steps from the ground to the top."
    async with small_platform(tmp_path) as platform, serving(finding(TOWER)) as upstream:
        job = await platform.corpus.ingestion.submit(Scope(), [Upload("text:steps", "Steps", text.encode())])
        await platform.corpus.ingestion.work(until_job=(Scope(), job.id))
        one = routed(platform.answers.retriever, {"default": source(client, upstream, "fused")})
        result = await one.search(Scope(), Query("How many steps has the tower?"))
    assert not result.degraded
    by_place = {found.chunk.document_id.startswith(DOCUMENT_PREFIX): found for found in result.passages}
    assert by_place[True].chunk.text == TOWER["text"]
    assert by_place[False].chunk.text == text
    assert {"dense", "fused", "routed"} <= by_place[False].hit.stages.keys()
