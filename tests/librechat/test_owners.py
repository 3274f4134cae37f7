"""Users of one LibreChat never read, change or notice each other's files: every endpoint, every way to lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from ragstone.librechat.files import Caller, LibreChatFile, filters_of, may_read, may_remove, may_replace
from ragstone.retrieval.base import Retrieval, Retriever
from ragstone.vocabulary import Query, Scope
from tests.api.conftest import calling, running
from tests.api.people import Installation
from tests.librechat.setup import ALICE, BOB, Calls, minted
from tests.platforms import with_retriever

MARK = "wombat2c9a"
AGENT = "agent_7"
QUESTION = "What does the wombat dig?"
UNKNOWN = "unknown-file"
Asked = Callable[[Calls, str, str], Awaitable[httpx2.Response]]


def form(calls: Calls, path: str, part: str) -> Asked:
    async def send(_: Calls, file_id: str, entity: str) -> httpx2.Response:
        fields = {"file_id": file_id, "entity_id": entity}
        return await calls.client.post(f"{calls.base}{path}", data=fields, files={part: ("b.md", "Of Bob.")})

    return send


async def several(calls: Calls, file_id: str, entity: str) -> httpx2.Response:
    body = {"query": QUESTION, "file_ids": [file_id, UNKNOWN], "k": 50, "entity_id": entity}
    return await calls.client.post(f"{calls.base}/query_multiple", json=body)


READING: dict[str, Asked] = {
    "query": lambda calls, file_id, entity: calls.query(file_id, QUESTION, entity_id=entity, k=50),
    "query for the beginning": lambda calls, file_id, entity: calls.query(file_id, "", entity_id=entity),
    "query_multiple": several,
    "documents": lambda calls, file_id, entity: calls.get("/documents", ids=[file_id], entity_id=entity),
    "context": lambda calls, file_id, entity: calls.get(f"/documents/{file_id}/context", entity_id=entity),
    "ids": lambda calls, file_id, entity: calls.get("/ids", entity_id=entity),
}
"""Every way to read a file of that id, in the name of an entity."""


@pytest.fixture
async def shelved(alice: Calls, bob: Calls) -> None:
    """A file of Alice's own, one of an agent that she made, and one of Bob's."""
    for file_id, entity in {"alices": None, "agents": AGENT}.items():
        kept = await alice.embed(file_id, f"The {MARK} digs. A wombat is {MARK}.", entity_id=entity)
        assert kept.json()["status"] is True
    assert (await bob.embed("bobs", "The quokka smiles.")).json()["status"] is True


@pytest.mark.usefixtures("shelved")
@pytest.mark.parametrize("how", READING)
async def test_what_is_anothers_is_as_if_it_were_not_there(bob: Calls, how: str):
    ask = READING[how]
    for file_id, entities in {
        "alices": ["", ALICE, BOB, AGENT, "librechat:alices", "*", "%"],
        "agents": ["", ALICE, BOB, "agent_", "agent_77", "AGENT_7", "agent_7 ", "*"],
    }.items():
        for entity in entities:
            theirs, none = await ask(bob, file_id, entity), await ask(bob, UNKNOWN, entity)
            assert MARK not in theirs.text, (file_id, entity)
            assert (theirs.status_code, theirs.text) == (none.status_code, none.text), (file_id, entity)


@pytest.mark.usefixtures("shelved")
@pytest.mark.parametrize("how", READING)
async def test_its_owner_reads_it_whatever_entity_is_named(alice: Calls, how: str):
    """LibreChat up to 0.8.7 names one with every file, the user's own too."""
    for entity in ("", AGENT, "RAG__rag-default___RAG", "endpoint__a/b ü"):
        response = await READING[how](alice, "alices", entity)
        assert response.status_code == 200
        assert (MARK if how != "ids" else "alices") in response.text


@pytest.mark.usefixtures("shelved")
@pytest.mark.parametrize("how", READING)
async def test_an_agents_file_is_for_every_user_of_the_agent(alice: Calls, bob: Calls, how: str):
    for calls in (alice, bob):
        response = await READING[how](calls, "agents", AGENT)
        assert response.status_code == 200
        assert (MARK if how != "ids" else "agents") in response.text
        assert MARK not in (await READING[how](calls, "agents", "")).text.replace("alices", "")


@pytest.mark.usefixtures("shelved")
async def test_several_files_are_searched_each_by_its_own_rule(alice: Calls, bob: Calls):
    body = {"query": QUESTION, "file_ids": ["alices", "agents", "bobs"], "k": 50, "entity_id": AGENT}
    found = {}
    for name, calls in {"alice": alice, "bob": bob}.items():
        pairs = (await calls.client.post("/librechat/query_multiple", json=body)).json()
        found[name] = {pair[0]["metadata"]["file_id"] for pair in pairs}
    assert found == {"alice": {"alices", "agents"}, "bob": {"agents", "bobs"}}


@pytest.mark.usefixtures("shelved")
@pytest.mark.parametrize("file_id", ["alices", "agents"])
@pytest.mark.parametrize(("path", "part"), [("/embed", "file"), ("/embed-upload", "uploaded_file")])
async def test_no_file_is_overwritten_by_another_user(alice: Calls, bob: Calls, path: str, part: str, file_id: str):
    for entity in ("", ALICE, AGENT):
        response = await form(bob, path, part)(bob, file_id, entity)
        assert response.status_code == 200
        assert response.json()["status"] is False
        assert "in use" in response.json()["message"]
    kept = await alice.get(f"/documents/{file_id}/context", entity_id=AGENT)
    assert MARK in kept.text
    assert "Bob" not in kept.text


@pytest.mark.usefixtures("shelved")
async def test_a_users_file_is_deleted_by_that_user_only(alice: Calls, bob: Calls):
    refused, unknown = await bob.delete("alices"), await bob.delete(UNKNOWN)
    assert refused.status_code == unknown.status_code == 404
    assert refused.text == unknown.text
    assert MARK in (await alice.query("alices", QUESTION)).text
    assert (await alice.delete("alices")).json() == {"message": "Documents for 1 file deleted successfully"}
    assert (await alice.query("alices", QUESTION)).json() == []


@pytest.mark.usefixtures("shelved")
async def test_an_agents_file_is_deleted_by_a_user_whom_librechat_lets(alice: Calls, bob: Calls):
    assert (await bob.delete("agents")).status_code == 200
    assert (await alice.query("agents", QUESTION, entity_id=AGENT)).json() == []


@pytest.mark.usefixtures("shelved")
async def test_of_several_those_are_deleted_that_may_be(alice: Calls, bob: Calls):
    assert (await bob.delete("alices", "bobs", UNKNOWN)).status_code == 404
    assert (await bob.get("/ids")).json() == []
    assert (await alice.get("/ids")).json() == ["alices"]


@pytest.mark.usefixtures("shelved")
async def test_naming_somebody_as_an_entity_puts_nothing_among_their_files(alice: Calls, bob: Calls):
    assert (await bob.embed("planted", "The wombat digs gold.", entity_id=ALICE)).json()["status"] is True
    assert (await alice.get("/ids")).json() == ["alices"]
    assert (await alice.query("planted", QUESTION)).json() == []


@pytest.mark.usefixtures("shelved")
async def test_the_text_of_a_file_leaves_no_trace(alice: Calls, bob: Calls):
    extracted = await form(bob, "/text", "file")(bob, "alices", "")
    assert extracted.json()["text"] == "Of Bob."
    assert MARK in (await alice.query("alices", QUESTION)).text
    assert (await bob.get("/ids")).json() == ["bobs"]


@pytest.mark.usefixtures("shelved")
async def test_two_spellings_of_a_name_are_two_users(made: Installation):
    """Names are compared as they are, not as they look."""
    composed, decomposed = "J\u00f6rg", "Jo\u0308rg"
    async with made.calling(minted(composed)) as first, made.calling(minted(decomposed)) as second:
        await Calls(first).embed("his", f"The {MARK} digs.")
        assert MARK in (await Calls(first).query("his", QUESTION)).text
        assert (await Calls(second).query("his", QUESTION)).json() == []
        assert (await Calls(second).get("/ids")).json() == []


class LyingFinder:
    """A search that passes no filter on."""

    def __init__(self, honest: Retriever) -> None:
        self._honest = honest

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        return await self._honest.search(scope, Query(query.text, limit=query.limit))

    async def check(self, scope: Scope, query: Query) -> None:
        await self._honest.check(scope, query)


@asynccontextmanager
async def with_finder(made: Installation, finder: Retriever, user: str) -> AsyncIterator[Calls]:
    """A second server on the same platform, that searches another way."""
    shown = f"Bearer {minted(user)}"
    async with (
        running(with_retriever(made.platform.services, finder)) as app,
        calling(app, authorization=shown) as client,
    ):
        yield Calls(client)


@pytest.mark.usefixtures("shelved")
async def test_an_index_that_lies_shows_nothing_of_others(made: Installation):
    async with with_finder(made, LyingFinder(made.platform.answers.retriever), BOB) as bob:
        found = await bob.query("bobs", f"{QUESTION} {MARK}", k=50)
        assert [pair[0]["metadata"]["file_id"] for pair in found.json()] == ["bobs"] * len(found.json())
        assert MARK not in found.text


@pytest.mark.usefixtures("shelved")
async def test_the_filter_alone_would_keep_them_apart_too(made: Installation):
    """The index knows the owners: a document's id is not the only thing that is asked for."""
    scope = Scope("default", "librechat")
    (row,) = [
        each for each in await made.platform.storage.library.documents(scope) if each.source == "librechat:alices"
    ]
    stolen = LibreChatFile(row.id, "alices", "notes.md", BOB, "", 1)  # a row that was tampered with
    found = await made.platform.answers.retriever.search(scope, Query(QUESTION, filters_of([stolen])))
    assert found.passages == ()


@pytest.mark.parametrize(
    ("user", "entity", "owner_user", "owner_entity", "reads", "removes", "replaces"),
    [
        ("u", "", "u", "", True, True, True),
        ("u", "e", "u", "", True, True, False),
        ("u", "e", "u", "e", True, True, True),
        ("u", "e", "v", "e", True, True, False),
        ("u", "", "u", "e", False, True, False),
        ("u", "f", "u", "e", False, True, False),
        ("u", "v", "v", "", False, False, False),
        ("u", "", "v", "", False, False, False),
        ("u", "u", "v", "", False, False, False),
        ("u", "", "v", "u", False, True, False),
    ],
)
def test_the_rule_case_by_case(
    user: str, entity: str, owner_user: str, owner_entity: str, reads: bool, removes: bool, replaces: bool
):
    caller, file = Caller(user, entity), LibreChatFile("d", "f", "n", owner_user, owner_entity, 1)
    assert (may_read(caller, file), may_remove(caller, file), may_replace(caller, file)) == (reads, removes, replaces)
