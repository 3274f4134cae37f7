"""A word that no document of the collection holds is searched for in a near spelling that some hold, and it is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ragstone.ingestion.submit import Upload
from ragstone.retrieval.base import Retrieval, corrected
from ragstone.retrieval.cache import dumps, loads
from ragstone.retrieval.spelling import edits, is_plain, one_edit
from ragstone.vocabulary import Query, Scope, SpellingCorrection
from tests.api.calls import parsed
from tests.api.conftest import calling, running
from tests.platforms import OpenedPlatform, default_settings, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACME, OTHER = Scope(), Scope(collection="other")
TEXTS = {
    "sessions": "A session cookie lasts thirty minutes. The password must be changed after ninety days.",
    "backups": "A backup of the database is made every night. Encryption is required for it.",
    "urlaub": "Jeder Angestellte hat dreißig Tage Urlaub. Die Kündigungsfrist beträgt vier Wochen.",
    "reise": "Das Reisekostenformular liegt im Sekretariat.",
    "tasks": "A worker picks up tasks from the queue. They take a minute each.",
    "vacaciones": "Cada empleado tiene treinta días de vacaciones.",
}


async def fill(platform: OpenedPlatform, scope: Scope, texts: dict[str, str]) -> None:
    uploads = [Upload(f"text:{title}", title, text.encode()) for title, text in texts.items()]
    job = await platform.corpus.ingestion.submit(scope, uploads)
    await platform.corpus.ingestion.work(until_job=(scope, job.id))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "edge"])
async def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OpenedPlatform]:
    """The real embedding model: it tells a common word from one that is written wrongly."""
    folder: Path = tmp_path_factory.mktemp("data")
    async with opened(default_settings(folder, index={"engine": request.param})) as platform:
        await fill(platform, ACME, TEXTS)
        await fill(platform, OTHER, {"secret": "The kubernetes cluster has nine nodes, and nginx runs on each."})
        yield platform


async def searched(platform: OpenedPlatform, question: str, scope: Scope = ACME) -> Retrieval:
    return await platform.answers.retriever.search(scope, Query(question))


@pytest.mark.parametrize(
    ("question", "typed", "near"),
    [
        ("How long does a session cookei last?", "cookei", "cookie"),
        ("When must the pasword be changed?", "pasword", "password"),
        ("How often is the databse saved?", "databse", "database"),
        ("Which queue holds the taks?", "taks", "tasks"),  # a missing letter is likelier than another one
        ("Is encription required?", "encription", "Encryption"),
        ("Wie viele Tage Urlab gibt es?", "Urlab", "Urlaub"),
        ("Wo liegt das Reisekostnformluar?", "Reisekostnformluar", "Reisekostenformular"),
        ("¿Cuántos días de vaccaciones hay?", "vaccaciones", "vacaciones"),
    ],
)
async def test_a_slip_of_the_pen_finds_the_word_that_was_meant(platform, question: str, typed: str, near: str):
    found = await searched(platform, question)
    assert found.corrections == (SpellingCorrection(typed, near),)
    assert near.casefold() in found.passages[0].chunk.text.casefold()


@pytest.mark.parametrize(
    "question",
    [
        "How long does a session cookie last?",
        "When was the horse sold?",  # a common word, although it is near to others
        "What is kubernetes?",
        "What does sesion_cookie2 do?",
        "Wie heißt das Pferd?",
        "Wie lang ist eine Sessiom?",  # a German question takes no word of an English text
        "What is a bakcup-plan.md?",
        "PASWORD",
        "🚀🚀 días",
    ],
)
async def test_what_is_known_common_foreign_or_a_code_stays(platform, question: str):
    assert (await searched(platform, question)).corrections == ()


async def test_no_word_of_another_collection_or_tenant_is_offered(platform):
    stranger = Scope("stranger")
    await fill(platform, stranger, {"own": "The canteen opens at noon."})
    assert (await searched(platform, "Where does kuberntes run?", OTHER)).corrections[0].searched == "kubernetes"
    for scope in (ACME, stranger):
        assert (await searched(platform, "Where does kuberntes run?", scope)).corrections == ()


async def test_a_word_is_offered_no_longer_than_a_document_holds_it(platform):
    scope = Scope(collection="brief")
    await fill(platform, scope, {"a": "The zeppelin lands at dawn.", "b": "The canteen opens at noon."})
    found = await searched(platform, "When does the zepelin land?", scope)
    assert [one.searched for one in found.corrections] == ["zeppelin"]
    await platform.corpus.ingestion.remove(scope, found.passages[0].chunk.document_id)
    assert (await searched(platform, "When does the zepelin land?", scope)).corrections == ()


async def test_the_second_time_it_comes_from_the_cache_with_its_correction(platform):
    first, second = [await searched(platform, "Who changes the pasword?") for _ in range(2)]
    assert first.corrections == second.corrections != ()


async def test_an_answer_is_made_of_the_corrected_question_and_says_so(platform):
    answer = await platform.ask("How long does a session cookei last?")
    assert "thirty minutes" in answer.text
    assert answer.corrections == (SpellingCorrection("cookei", "cookie"),)


async def test_the_api_names_the_words_that_it_searched_for(platform):
    question = "How long does a session cookei last?"
    named = [{"typed": "cookei", "searched": "cookie"}]
    async with running(platform) as app, calling(app) as client:
        found = (await client.post("/api/search", json={"query": question})).json()
        stream = await client.post("/api/chat", json={"question": question, "stream": True})
        plain = (await client.post("/api/search", json={"query": "Who changes the password?"})).json()
    (first, retrieved), *_ = parsed(stream.text)
    assert first == "retrieved"
    assert found["corrections"] == retrieved["corrections"] == named
    assert "cookie" in retrieved["question"]
    assert plain["corrections"] == []


async def test_corrections_survive_being_stored():
    found = Retrieval((), corrections=(SpellingCorrection("cookei", "cookie"),))
    assert loads(dumps(found, ACME), ACME) == found


async def test_only_whole_words_are_replaced():
    corrections = [SpellingCorrection("form", r"\1 from")]
    assert corrected("form forms a form.", corrections) == r"\1 from forms a \1 from."


async def test_edits_count_exchanged_neighbours_once():
    pairs = {("cookei", "cookie"): 1, ("abcd", "abcd"): 0, ("urlab", "urlaub"): 1, ("encrpytoin", "encryption"): 2}
    assert {pair: edits(*pair, most=2) for pair in pairs} == pairs
    assert edits("short", "much longer", most=2) == 3


async def test_every_word_within_one_edit_is_asked_for():
    assert {"cookie", "cooke", "cooei", "cookeis"} <= one_edit("cookei")
    assert all(edits("cookei", other, most=1) == 1 for other in one_edit("cookei"))
    assert "ключи" in one_edit("ключ")


async def test_only_plain_words_may_be_slips():
    assert [word for word in ("pasword", "getUser", "NASA", "welche", "泵站水位") if is_plain(word)] == ["pasword"]
