"""Pipelines as a place of knowledge: over real connections to a server on loopback, alone and beside the index."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.documents.canonical import canonical_text
from ragstone.errors import IndexUnavailable, InvalidInput, InvalidQuestion, NotFound, Overloaded, UpstreamUnavailable
from ragstone.generation.answer import Generator
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.ingestion.submit import Upload
from ragstone.resilience.http_client import HttpClient
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.retrieval.base import Retrieval
from ragstone.retrieval.router import INDEX_GONE, PIPELINE_GONE, FusedRetriever, Knowledge, RetrieverRouter, fused
from ragstone.retrieval.vectorize.client import PipelineDocument, RemotePipeline, VectorizeClient, pipeline_address
from ragstone.retrieval.vectorize.retriever import (
    DOCUMENT_PREFIX,
    FLOOR,
    NOT_ASKED,
    STAGE,
    PipelineOptions,
    VectorizeRetriever,
    passage_of,
)
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Citation, Filters, Query, Scope
from tests.generation.passages import passage
from tests.platforms import small_platform
from tests.retrieval.vectorize_server import (
    BRIDGE,
    TOWER,
    a_pipeline,
    answer,
    document,
    finding,
    hanging,
    jwt,
    refusing,
    serving,
    telling,
    url_of,
)
from tests.waiting import until

QUESTION = Query("How tall is the tower?")
DEFAULTS = PipelineOptions()
NOWHERE = Scope("ours", "exists-only-there")


@pytest.fixture
async def client() -> AsyncIterator[VectorizeClient]:
    http = HttpClient()
    yield VectorizeClient(http, UpstreamPolicies(UpstreamOptions(), metrics=Metrics()))
    await http.close()


def remote(upstream, **changes):
    address = pipeline_address(url=url_of(upstream), trusted=True)
    return RemotePipeline(**{"address": address, "token": jwt(), **changes})


def finder(client, upstream, *, metrics=None, options=DEFAULTS, **changes):
    return VectorizeRetriever(client, remote(upstream, **changes), metrics=metrics or Metrics(), options=options)


async def found(client, *documents, query=QUESTION, options=DEFAULTS, **changes):
    """The passages that a pipeline with these documents gives."""
    async with a_pipeline(*documents) as upstream:
        return (await finder(client, upstream, options=options, **changes).search(NOWHERE, query)).passages


class Here:
    """The index of this installation, as far as this test wants it."""

    def __init__(self, *passages, fails=None, waits=False):
        self.asked = 0
        self._found, self._fails, self._waits = Retrieval(tuple(passages)), fails, waits

    async def retrieve(self, scope, query):
        return await self.search(scope, query)

    async def search(self, scope, query):
        self.asked += 1
        if self._waits:
            await asyncio.Event().wait()
        if self._fails:
            raise self._fails
        return self._found

    async def check(self, scope, query):
        if self._fails:
            raise self._fails


async def test_a_document_of_a_pipeline_becomes_a_passage(client):
    (one,) = await found(client, TOWER)
    chunk = one.chunk
    assert re.fullmatch(r"vectorize-[0-9a-f]{40}", chunk.document_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", chunk.id)
    assert (chunk.version, chunk.start, chunk.end, chunk.text) == (1, 0, len(TOWER["text"]), TOWER["text"])
    assert (one.title, one.source, one.chunk.page_first) == ("tower.pdf", "uploads/tower.pdf", 7)
    assert (one.hit.score, one.hit.stages[STAGE].rank, one.hit.stages[STAGE].score) == (0.8, 1, 0.8)
    assert chunk.token_count == 22  # 86 characters


async def test_the_same_chunk_has_the_same_ids_whenever_it_is_found(client):
    chunks = document("One.", chunk=1), document("Two.", chunk=2), document("One.", name="other.pdf", chunk=1)
    once = await found(client, *chunks)
    again = await found(client, *reversed(chunks))
    assert {one.chunk.id for one in once} == {one.chunk.id for one in again}
    assert len({one.chunk.id for one in once}) == 3
    assert len({one.chunk.document_id for one in once}) == 2


async def test_ids_do_not_depend_on_where_one_part_ends_and_the_next_begins(client):
    one = document("x", unique_source="ab", chunk_id="c")
    other = document("x", unique_source="a", chunk_id="bc")
    assert len({found.chunk.id for found in await found(client, one, other)}) == 2


async def test_a_chunk_that_is_listed_twice_is_one_passage(client):
    assert len(await found(client, TOWER, TOWER, BRIDGE)) == 2


@pytest.mark.parametrize(("rerank", "scores"), [(True, (0.9, 0.6)), (False, (0.8, 0.5))])
async def test_the_score_is_the_rerankers_where_there_is_one_else_the_vectors(client, rerank, scores):
    passages = await found(client, BRIDGE, TOWER, rerank=rerank)
    assert tuple(one.hit.score for one in passages) == scores
    assert [one.hit.stages[STAGE].rank for one in passages] == [1, 2]


async def test_what_lies_below_the_floor_is_not_found(client):
    at, below = document("At.", chunk=1, similarity=FLOOR), document("Below.", chunk=2, similarity=FLOOR - 0.01)
    assert [one.chunk.text for one in await found(client, at, below)] == ["At."]
    assert len(await found(client, at, below, options=PipelineOptions(floor=0.0))) == 2


async def test_without_any_score_nothing_bears_on_the_question(client):
    assert not await found(client, document("x", similarity=None, relevancy="high"))


async def test_what_a_reader_cannot_see_does_not_get_through(client):
    hidden = "Pay\u202e\u200b here\x00.\ud800 \x1b[31mNow"
    (one,) = await found(client, document(hidden, source_display_name="a\x1b[0m\nb", source="s\u202e\n\tt"))
    assert one.chunk.text == "Pay here.\ufffd [31mNow"
    assert (one.title, one.source) == ("a[0m b", "s t")
    assert one.chunk.end == len(one.chunk.text)


words = st.text(st.characters(), max_size=40)  # half pairs and invisible characters among them


@given(st.builds(PipelineDocument, text=words, id=words, chunk_id=words, name=words, source=words, unique_source=words))
def test_every_passage_is_canonical_text_with_ids_and_a_title(found):
    one = passage_of(found, score=0.5, rank=1)
    if one is None:
        assert not canonical_text(found.text)
        return
    assert (one.chunk.text, one.chunk.end) == (canonical_text(found.text), len(one.chunk.text))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", made) for made in (one.chunk.id, one.chunk.document_id))
    assert one.title == " ".join(canonical_text(one.title).split())
    assert one.title


@pytest.mark.parametrize(
    ("names", "title"),
    [
        ({"source_display_name": ""}, "tower.pdf"),
        ({"source_display_name": None, "source": ""}, "Untitled"),
        ({"source_display_name": "x" * 900}, "x" * 300),
    ],
)
async def test_there_is_always_a_title(client, names, title):
    (one,) = await found(client, {**TOWER, **names})
    assert one.title == title


async def test_no_more_passages_than_asked_for(client):
    async with serving(telling(json.dumps(answer([TOWER, BRIDGE])).encode())) as upstream:
        passages = (await finder(client, upstream).search(NOWHERE, Query("x", limit=1))).passages
    assert len(passages) == 1
    assert upstream.bodies[0]["numResults"] == 1


async def test_what_is_handed_to_an_answerer_fits_its_context(client):
    long = [document("word " * 200, chunk=number) for number in range(5)]
    async with a_pipeline(*long) as upstream:
        one = finder(client, upstream, options=PipelineOptions(context_tokens=600))
        assert len((await one.retrieve(NOWHERE, QUESTION)).passages) == 2


@pytest.mark.parametrize(
    ("query", "error"),
    [(Query(" "), InvalidQuestion), (Query("x" * 5000), InvalidQuestion), (Query("x", limit=0), InvalidInput)],
)
async def test_what_cannot_be_searched_for_is_refused_before_anything_is_sent(client, query, error):
    async with a_pipeline(TOWER) as upstream:
        one = finder(client, upstream)
        for ask in (one.check, one.search, one.retrieve):
            with pytest.raises(error):
                await ask(NOWHERE, query)
    assert not upstream.paths


async def test_a_pipeline_that_fails_is_unavailable(client):
    async with serving(refusing(500)) as upstream:
        with pytest.raises(UpstreamUnavailable):
            await finder(client, upstream).search(NOWHERE, QUESTION)


GERMAN = document("Auf Deutsch.", chunk=1, lang="de", year=2024)
ENGLISH = document("In English.", chunk=2, lang="en", year="2024")
BOTH = document("Beides.", chunk=3, lang=["de", "en"])
BARE = document("No field.", chunk=4)


def narrowed(**metadata):
    return Query("x", filters=Filters(metadata=metadata))


async def test_metadata_filters_are_sent_and_seen_to(client):
    async with a_pipeline(GERMAN, ENGLISH, BOTH, BARE) as upstream:
        passages = (await finder(client, upstream).search(NOWHERE, narrowed(lang=("de",), year=(2024,)))).passages
    assert upstream.bodies[0]["metadata-filters"] == [{"lang": ["de"]}, {"year": [2024]}]
    assert [one.chunk.text for one in passages] == ["Auf Deutsch."]


@pytest.mark.parametrize(
    ("metadata", "texts"),
    [
        ({"lang": ("de",)}, {"Auf Deutsch.", "Beides."}),
        ({"lang": ("de", "en")}, {"Auf Deutsch.", "In English.", "Beides."}),
        ({"year": (2024,)}, {"Auf Deutsch.", "In English."}),
        ({"unheard_of": (True,)}, set()),
    ],
)
async def test_a_filter_lets_nothing_through_that_does_not_hold_whatever_the_service_makes_of_it(
    client, metadata, texts
):
    passages = await found(client, GERMAN, ENGLISH, BOTH, BARE, query=narrowed(**metadata))
    assert {one.chunk.text for one in passages} == texts


async def test_filters_of_the_pipeline_hold_beside_those_of_a_question(client):
    async with a_pipeline(GERMAN, ENGLISH, BOTH) as upstream:
        one = finder(client, upstream, filters=({"lang": ["en"]},))
        passages = (await one.search(NOWHERE, narrowed(year=(2024,)))).passages
    assert upstream.bodies[0]["metadata-filters"] == [{"lang": ["en"]}, {"year": [2024]}]
    assert [one.chunk.text for one in passages] == ["In English."]


async def test_filters_that_cannot_be_seen_to_are_not_combined(client):
    own = ({"year": {"$gt": 2020}},)
    assert len(await found(client, GERMAN, ENGLISH, filters=own)) == 2
    with pytest.raises(InvalidInput, match="without a metadata filter"):
        await found(client, GERMAN, query=narrowed(lang=("de",)), filters=own)


async def test_documents_are_known_by_their_ids(client):
    tower, _ = await found(client, TOWER, BRIDGE)
    chosen = Query("x", filters=Filters(documents=(tower.chunk.document_id, "0f" * 16)))
    assert [one.title for one in await found(client, TOWER, BRIDGE, query=chosen)] == ["tower.pdf"]


@pytest.mark.parametrize(
    ("filters", "degraded"),
    [(Filters(documents=("0f" * 16,)), ()), (Filters(media_types=("application/pdf",)), (NOT_ASKED,))],
)
async def test_what_cannot_lie_in_a_pipeline_is_not_asked_of_it(client, filters, degraded):
    async with a_pipeline(TOWER) as upstream:
        result = await finder(client, upstream).search(NOWHERE, Query("x", filters=filters))
    assert result == Retrieval((), degraded)
    assert not upstream.paths


async def test_an_answer_from_a_pipeline_cites_the_very_words_of_what_was_retrieved(client):
    generator = Generator(answerer=ExtractiveAnswerer(), fallback=ExtractiveAnswerer(), metrics=Metrics())
    async with a_pipeline(BRIDGE, TOWER) as upstream:
        passages = (await finder(client, upstream).retrieve(NOWHERE, QUESTION)).passages
    events = [event async for event in generator.answer(QUESTION.text, passages)]
    citations = [event for event in events if isinstance(event, Citation)]
    (answered,) = (event for event in events if isinstance(event, Answer))
    assert "330 metres" in answered.text
    assert citations
    for citation in citations:
        cited = passages[citation.marker - 1]
        assert cited.chunk.text[citation.start : citation.end] == citation.quote
        assert (citation.verified, citation.page, citation.document_id) == (True, 7, cited.chunk.document_id)


def both(here, there, **options):
    return FusedRetriever(here, there, metrics=Metrics(), **options)


async def test_both_places_are_asked_and_neither_outvotes_the_other(client):
    here = Here(passage("A local note.", document="d1"), passage("Another one.", document="d2"))
    async with a_pipeline(TOWER, BRIDGE) as upstream:
        result = await both(here, finder(client, upstream)).search(Scope(), QUESTION)
    assert not result.degraded
    titles = [one.title for one in result.passages]
    assert {titles[0], titles[1]} == {"Handbook", "tower.pdf"}
    assert {titles[2], titles[3]} == {"Handbook", "bridge.pdf"}


async def test_the_same_text_in_both_is_one_passage_that_goes_before_all(client):
    here = Here(passage("A local note.", document="d1"), passage(f"{TOWER['text']}\n", document="d2"))
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
    here = Here(*(passage(f"Note {number}.", document=f"d{number}") for number in range(5)))
    async with a_pipeline(TOWER, BRIDGE) as upstream:
        assert len((await both(here, finder(client, upstream)).search(Scope(), Query("x", limit=3))).passages) == 3


@pytest.mark.parametrize("script", [refusing(500), refusing(401), hanging], ids=["fails", "refuses", "hangs"])
async def test_without_the_pipeline_the_index_answers_and_says_so(client, script):
    metrics = Metrics()
    async with serving(script) as upstream:
        there = finder(client, upstream, timeout_s=0.2)
        here = Here(passage("A local note."))
        result = await FusedRetriever(here, there, metrics=metrics).search(Scope(), QUESTION)
    assert ([one.chunk.text for one in result.passages], result.degraded) == (["A local note."], (PIPELINE_GONE,))
    assert f'ragstone_degraded_total{{policy="{PIPELINE_GONE}"}} 1.0' in metrics.render().decode()


@pytest.mark.parametrize(
    "here",
    [Here(fails=IndexUnavailable("Down.")), Here(fails=Overloaded("Full.")), Here(waits=True)],
    ids=["down", "full", "hangs"],
)
async def test_without_the_index_the_pipeline_answers_and_says_so(client, here):
    async with a_pipeline(TOWER) as upstream:
        result = await both(here, finder(client, upstream), local_s=0.2).search(Scope(), QUESTION)
    assert ([one.title for one in result.passages], result.degraded) == (["tower.pdf"], (INDEX_GONE,))


async def test_without_both_nothing_is_made_up(client):
    async with serving(refusing(500)) as upstream:
        with pytest.raises(IndexUnavailable, match="Neither"):
            await both(Here(fails=IndexUnavailable("Down.")), finder(client, upstream)).search(Scope(), QUESTION)


async def test_a_collection_that_only_the_pipeline_has_is_searched_there(client):
    missing = Here(fails=NotFound("No such collection."))
    async with a_pipeline(TOWER) as upstream:
        one = both(missing, finder(client, upstream))
        await one.check(NOWHERE, QUESTION)
        result = await one.search(NOWHERE, QUESTION)
    assert ([one.title for one in result.passages], result.degraded) == (["tower.pdf"], ())


async def test_filters_that_the_pipeline_cannot_combine_leave_the_index_to_answer(client):
    async with a_pipeline(GERMAN) as upstream:
        there = finder(client, upstream, filters=({"year": {"$gt": 2020}},))
        result = await both(Here(passage("A local note.")), there).search(Scope(), narrowed(lang=("de",)))
    assert (len(result.passages), result.degraded) == (1, (NOT_ASKED,))
    assert not upstream.paths


async def test_a_fault_of_our_own_is_raised_as_what_it_is(client):
    async with serving(hanging) as upstream:
        with pytest.raises(ZeroDivisionError):
            await both(Here(fails=ZeroDivisionError()), finder(client, upstream)).search(Scope(), QUESTION)


async def test_leaving_early_leaves_the_pipeline_too(client):
    async with serving(hanging) as upstream:
        asking = asyncio.create_task(both(Here(), finder(client, upstream)).search(Scope(), QUESTION))
        await until(lambda: bool(upstream.paths))
        asking.cancel()
        await asyncio.wait_for(upstream.hung_up.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await asking


def routed(client, here, known):
    async def knowledge_of(scope):
        return known.get(scope.tenant)

    return RetrieverRouter(here, knowledge_of=knowledge_of, client=client, metrics=Metrics(), options=PipelineOptions())


async def test_each_tenants_questions_go_where_its_knowledge_lies_and_nowhere_else(client):
    here = Here(passage("A local note."))
    async with a_pipeline(TOWER) as ours, a_pipeline(BRIDGE) as theirs:
        known = {
            "ours": Knowledge("alone", remote(ours, token="token-of-ours")),
            "theirs": Knowledge("alone", remote(theirs, token="token-of-theirs")),
        }
        one = routed(client, here, known)
        tenants = ("ours", "theirs", "third")
        questions = [(Scope(tenant), Query(f"{tenant} asks")) for tenant in tenants * 10]
        results = await asyncio.gather(*(one.retrieve(*question) for question in questions))
    titles = [result.passages[0].title for result in results]
    assert titles == ["tower.pdf", "bridge.pdf", "Handbook"] * 10
    assert {body["question"] for body in ours.bodies} == {"ours asks"}
    assert {head["authorization"] for head in ours.headers} == {"Bearer token-of-ours"}
    assert {body["question"] for body in theirs.bodies} == {"theirs asks"}
    assert {head["authorization"] for head in theirs.headers} == {"Bearer token-of-theirs"}
    assert here.asked == 10


async def test_alone_means_that_the_index_is_not_even_asked(client):
    here = Here(fails=NotFound("No such collection."))
    async with a_pipeline(TOWER) as upstream:
        one = routed(client, here, {"ours": Knowledge("alone", remote(upstream))})
        await one.check(NOWHERE, QUESTION)
        assert (await one.search(NOWHERE, QUESTION)).passages
    assert not here.asked


async def test_documents_of_this_installation_are_looked_for_here(client):
    here = Here(passage("A local note."))
    chosen = Query("x", filters=Filters(documents=("0f" * 16,)))
    async with a_pipeline(TOWER) as upstream:
        one = routed(client, here, {"ours": Knowledge("alone", remote(upstream))})
        assert (await one.search(Scope("ours"), chosen)).passages[0].title == "Handbook"
    assert not upstream.paths


async def test_what_a_tenant_changed_holds_for_the_next_question(client):
    known: dict[str, Knowledge] = {}
    one = routed(client, Here(passage("A local note.")), known)
    assert (await one.search(Scope("ours"), QUESTION)).passages[0].title == "Handbook"
    async with a_pipeline(TOWER) as upstream:
        known["ours"] = Knowledge("alone", remote(upstream), floor=0.95)
        assert not (await one.search(Scope("ours"), QUESTION)).passages
        known["ours"] = Knowledge("fused", remote(upstream), floor=0.0)
        assert len((await one.search(Scope("ours"), QUESTION)).passages) == 2


async def test_a_real_index_and_a_pipeline_answer_together(client, tmp_path: Path):
    text = "The tower has 1,665 steps from the ground to the top."
    async with small_platform(tmp_path) as platform, serving(finding(TOWER)) as upstream:
        job = await platform.ingestion.submit(Scope(), [Upload("text:steps", "Steps", text.encode())])
        await platform.ingestion.work(until_job=(Scope(), job.id))
        one = routed(client, platform.retriever, {"default": Knowledge("fused", remote(upstream))})
        result = await one.retrieve(Scope(), Query("How many steps has the tower?"))
    assert not result.degraded
    by_place = {found.chunk.document_id.startswith(DOCUMENT_PREFIX): found for found in result.passages}
    assert by_place[True].chunk.text == TOWER["text"]
    assert by_place[False].chunk.text == text
    assert {"dense", "fused", "routed"} <= by_place[False].hit.stages.keys()
