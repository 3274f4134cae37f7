"""The retriever of a pipeline, over real connections to a server on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.documents.canonical import canonical_text
from ragstone.errors import InvalidInput, InvalidQuestion, UpstreamUnavailable
from ragstone.generation.answer import Generator
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.retrieval.base import PIPELINE_NOT_ASKED, Retrieval, within_budget
from ragstone.retrieval.vectorize.client import PipelineDocument, VectorizeClient
from ragstone.retrieval.vectorize.retriever import (
    FLOOR,
    STAGE,
    PipelineOptions,
    passage_of,
)
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Citation, Filters, Query, Scope
from tests.retrieval.sources import DEFAULTS, finder, vectorize_client
from tests.retrieval.vectorize_server import (
    BRIDGE,
    TOWER,
    a_pipeline,
    answer,
    document,
    refusing,
    serving,
    telling,
)

QUESTION = Query("How tall is the tower?")
NOWHERE = Scope("ours", "exists-only-there")


@pytest.fixture
async def client() -> AsyncIterator[VectorizeClient]:
    async with vectorize_client() as opened:
        yield opened


async def found(client, *documents, query=QUESTION, options=DEFAULTS, **changes):
    """The passages that a pipeline with these documents gives."""
    async with a_pipeline(*documents) as upstream:
        return (await finder(client, upstream, options=options, **changes).search(NOWHERE, query)).passages


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
        passages = (await finder(client, upstream).search(NOWHERE, QUESTION)).passages
    assert len(within_budget(passages, 600)) == 2


@pytest.mark.parametrize(
    ("query", "error"),
    [(Query(" "), InvalidQuestion), (Query("x" * 5000), InvalidQuestion), (Query("x", limit=0), InvalidInput)],
)
async def test_what_cannot_be_searched_for_is_refused_before_anything_is_sent(client, query, error):
    async with a_pipeline(TOWER) as upstream:
        one = finder(client, upstream)
        for ask in (one.check, one.search):
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
    [(Filters(documents=("0f" * 16,)), ()), (Filters(media_types=("application/pdf",)), (PIPELINE_NOT_ASKED,))],
)
async def test_what_cannot_lie_in_a_pipeline_is_not_asked_of_it(client, filters, degraded):
    async with a_pipeline(TOWER) as upstream:
        result = await finder(client, upstream).search(NOWHERE, Query("x", filters=filters))
    assert result == Retrieval((), degraded)
    assert not upstream.paths


async def test_an_answer_from_a_pipeline_cites_the_very_words_of_what_was_retrieved(client):
    generator = Generator(answerer=ExtractiveAnswerer(), fallback=ExtractiveAnswerer(), metrics=Metrics())
    async with a_pipeline(BRIDGE, TOWER) as upstream:
        passages = (await finder(client, upstream).search(NOWHERE, QUESTION)).passages
    events = [event async for event in generator.answer(QUESTION.text, passages)]
    citations = [event for event in events if isinstance(event, Citation)]
    (answered,) = (event for event in events if isinstance(event, Answer))
    assert "330 metres" in answered.text
    assert citations
    for citation in citations:
        cited = passages[citation.marker - 1]
        assert cited.chunk.text[citation.start : citation.end] == citation.quote
        assert (citation.verified, citation.page, citation.document_id) == (True, 7, cited.chunk.document_id)
