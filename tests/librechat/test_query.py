"""What is found in a file, how far off it says it is, and that no failure of it ends a chat."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from ragstone.errors import ConfigurationError, IndexUnavailable, InvalidQuestion, NotFound, RagstoneError, Unavailable
from ragstone.librechat.files import Caller
from ragstone.librechat.query import distance, query_files, searchable
from ragstone.retrieval.base import Retrieval, Retriever
from ragstone.vocabulary import Query, Scope
from tests.api.conftest import calling, running
from tests.api.people import Installation
from tests.documents.builders import pdf
from tests.librechat.setup import ALICE, Calls, minted, parts_of
from tests.platforms import with_retriever

SCOPE = Scope("default", "librechat")
GUIDE = "# Metals\n\n## Iron\n\nIron melts at 1538 degrees.\n\n## Lead\n\nLead melts at 327 degrees.\n"
QUESTION = "At how many degrees does iron melt?"
LIBRECHATS_LEAST = 0.45  # minRelevanceScore, by default


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [(-1.0, 1.0), (0.0, 1.0), (0.2, 0.775), (0.4, 0.55), (0.9, 0.275), (1.4, 0.0), (2.0, 0.0)],
)
def test_distance_falls_as_evidence_grows(evidence: float, expected: float):
    assert distance(evidence) == pytest.approx(expected)


async def test_a_pair_has_what_librechat_reads(alice: Calls):
    await alice.embed("f-1", GUIDE, name="metals_0123456789abcdef0123456789abcdef.md")
    ((document, far),) = (await alice.query("f-1", QUESTION, k=1)).json()
    assert document.keys() == {"id", "metadata", "page_content", "type"}
    assert (document["id"], document["type"]) == (None, "Document")
    assert "Iron melts at 1538 degrees." in document["page_content"]
    fields = document["metadata"]
    assert (fields["file_id"], fields["user_id"], fields["source"]) == ("f-1", ALICE, "metals.md")
    assert fields["digest"] == hashlib.md5(document["page_content"].encode()).hexdigest()
    assert GUIDE[fields["start"] : fields["end"]].strip() == document["page_content"].strip()
    assert "page" not in fields
    assert 0 <= far <= 1 - LIBRECHATS_LEAST


async def test_pages_begin_with_one(alice: Calls):
    await alice.embed("f-1", pdf(["Iron melts at 1538 degrees."]), name="metals.pdf")
    ((document, _),) = (await alice.query("f-1", QUESTION)).json()
    assert document["metadata"]["page"] == 1


async def test_nearest_comes_first_and_no_more_than_asked_for(alice: Calls):
    await alice.embed("f-1", "\n\n".join(f"## Metal {n}\n\n{'Filler words. ' * 150}" for n in range(8)) + GUIDE)
    for k, most in {2: 2, 4: 4, 50: 50, 1000: 50, 0: 1, -5: 1}.items():
        found = (await alice.query("f-1", QUESTION, k=k)).json()
        far = [pair[1] for pair in found]
        assert 0 < len(found) <= most
        assert far == sorted(far)
        assert all(0 <= each <= 1 for each in far)
    assert len((await alice.query("f-1", QUESTION)).json()) == 4


async def test_distances_of_several_files_are_of_one_scale(alice: Calls):
    """LibreChat asks file by file, and sorts what all of them answer."""
    await alice.embed("good", GUIDE)
    await alice.embed("poor", "The harbour opens at nine. Ships wait for the pilot.")
    (good,) = {pair[1] for pair in (await alice.query("good", QUESTION, k=1)).json()}
    (poor,) = {pair[1] for pair in (await alice.query("poor", QUESTION, k=1)).json()}
    assert good <= 1 - LIBRECHATS_LEAST < poor
    together = {"query": QUESTION, "file_ids": ["good", "poor"], "k": 9}
    pairs = (await alice.client.post("/librechat/query_multiple", json=together)).json()
    assert [pair[0]["metadata"]["file_id"] for pair in pairs] == ["good", "poor"][: len(pairs)]
    assert pairs[0][1] == good


@pytest.mark.parametrize("question", ["Sum this up, please!", "", "   ", "\x00", "🙂"])
async def test_what_asks_for_the_file_as_a_whole_gets_its_beginning(alice: Calls, question: str):
    await alice.embed("f-1", GUIDE)
    found = (await alice.query("f-1", question)).json()
    assert found[0][0]["metadata"]["start"] == 0
    assert all(far > 1 - LIBRECHATS_LEAST for _, far in found)


async def test_a_message_of_any_length_is_asked(alice: Calls):
    await alice.embed("f-1", GUIDE)
    long = f"{QUESTION} {'Some pasted text. ' * 20_000}"
    assert "Iron melts" in (await alice.query("f-1", long)).text


def test_of_a_long_message_both_ends_are_asked():
    assert searchable("abcdefghij", max_chars=4) == "abij"
    assert searchable("abcdefghij", max_chars=5) == "abhij"
    assert searchable("  abc\ud800\x00d ", max_chars=9) == "abc d"


async def test_unknown_files_are_empty_answers(alice: Calls):
    response = await alice.query("f-1", QUESTION)
    assert (response.status_code, response.json()) == (200, [])
    several = {"query": QUESTION, "file_ids": ["f-1"]}
    response = await alice.client.post("/librechat/query_multiple", json=several)
    assert (response.status_code, response.json()) == (404, {"detail": "No documents found for the given query"})


async def test_a_null_entity_is_none(alice: Calls):
    await alice.embed("f-1", GUIDE)
    assert "Iron" in (await alice.query("f-1", QUESTION, entity_id=None)).text


class TurnedFinder:
    """A search that finds the worst first."""

    def __init__(self, inner: Retriever) -> None:
        self._inner = inner

    async def retrieve(self, scope: Scope, query: Query) -> Retrieval:
        return await self.search(scope, query)

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        found = await self._inner.search(scope, query)
        return replace(found, passages=found.passages[::-1])

    async def check(self, scope: Scope, query: Query) -> None:
        await self._inner.check(scope, query)


async def test_the_order_is_that_of_the_distances_whatever_ranked_them(made: Installation, alice: Calls):
    await alice.embed("f-1", "\n\n".join(f"## Metal {n}\n\n{'Filler words. ' * 150}" for n in range(4)) + GUIDE)
    services = made.platform.services
    turned = parts_of(with_retriever(services, TurnedFinder(services.answers.retriever)))
    pairs = await query_files(turned, SCOPE, Caller(ALICE), question=QUESTION, file_ids=["f-1"], k=4)
    far = [each for _, each in pairs]
    assert len(set(far)) > 1
    assert far == sorted(far)


class FailingFinder:
    """A search that fails, or never ends."""

    def __init__(self, error: RagstoneError | None) -> None:
        self._error = error

    async def retrieve(self, scope: Scope, query: Query) -> Retrieval:
        return await self.search(scope, query)

    async def search(self, _scope: Scope, _query: Query) -> Retrieval:
        if self._error:
            raise self._error
        await asyncio.Event().wait()
        raise AssertionError

    async def check(self, scope: Scope, query: Query) -> None:
        pass


@asynccontextmanager
async def failing(made: Installation, error: RagstoneError | None) -> AsyncIterator[Calls]:
    """Alice's calls of a second server on the same platform, whose searches fail."""
    finder: Retriever = FailingFinder(error)
    shown = f"Bearer {minted()}"
    async with (
        running(with_retriever(made.platform.services, finder)) as app,
        calling(app, authorization=shown) as client,
    ):
        yield Calls(client)


@pytest.mark.parametrize("kind", [IndexUnavailable, Unavailable, InvalidQuestion, NotFound, ConfigurationError])
async def test_a_search_that_fails_is_an_empty_answer_that_is_counted(
    made: Installation, alice: Calls, kind: type[RagstoneError]
):
    await alice.embed("f-1", GUIDE)
    async with failing(made, kind("It is broken.")) as calls:
        response = await calls.query("f-1", QUESTION)
        assert (response.status_code, response.json()) == (200, [])
        assert b'ragstone_degraded_total{policy="librechat_query"} 1.0' in made.platform.operations.metrics.render()
        refused: httpx2.Response = await calls.query("f-1", QUESTION, k="many")
        assert refused.status_code == 422


async def test_a_search_that_does_not_end_is_ended(made: Installation, alice: Calls):
    await alice.embed("f-1", GUIDE)
    hanging = parts_of(with_retriever(made.platform.services, FailingFinder(None)))
    with pytest.raises(Unavailable, match="took longer"):
        await query_files(hanging, SCOPE, Caller(ALICE), question=QUESTION, file_ids=["f-1"], k=4, budget_s=0.01)


async def test_what_is_asked_is_on_the_bill(made: Installation, alice: Calls):
    await alice.embed("f-1", GUIDE)
    await alice.query("f-1", QUESTION)
    now = datetime.now(UTC)
    since, until = now - timedelta(hours=1), now + timedelta(hours=1)
    records = [each async for each in made.platform.billing.ledger.records("default", since=since, until=until)]
    (asked,) = (each for each in records if each.kind == "search")
    assert asked.principal == f"librechat:{ALICE}"
    assert asked.embedding_tokens > 0
