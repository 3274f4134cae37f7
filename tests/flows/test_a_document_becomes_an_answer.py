"""The main promise, on the defaults of a first run: files in, checked citations out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragstone.chat.ask import Finished, Retrieved
from ragstone.generation.base import Delta
from ragstone.vocabulary import Answer, Citation, FileState, JobState, Scope
from tests.documents.builders import pdf
from tests.platforms import OpenedPlatform, default_platform

SCOPE = Scope()
LEAVE = """# Leave

Employees have 28 days of paid leave per year. Unused days expire on 31 March.

## Parental leave

Parents may take up to 14 months of parental leave. The request is due seven weeks before it begins.
"""
NOTICE = """# Notice

The notice period is six weeks to the end of a quarter. During probation it is two weeks.
"""
MENU = "# Canteen\n\nOn Fridays the canteen serves fish. Vegetarian dishes cost 4.20 euros.\n"


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name, text in {"leave.md": LEAVE, "notice.md": NOTICE, "menu.md": MENU}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
async def platform(tmp_path: Path, handbook: Path, database_url: str) -> AsyncIterator[OpenedPlatform]:
    async with default_platform(tmp_path / "data", database={"url": database_url}) as opened:
        job = await opened.ingest(handbook)
        assert (job.state, job.done, job.failed) == (JobState.DONE, 3, 0)
        yield opened


async def text_of(platform: OpenedPlatform, citation: Citation) -> str:
    return await platform.storage.library.text(SCOPE, citation.document_id, version=citation.version)


async def test_an_answer_quotes_the_exact_span_of_its_source(platform: OpenedPlatform):
    answer = await platform.ask("How many days of paid leave do employees have?")
    assert "28 days" in answer.text
    assert not answer.abstained
    assert answer.degraded == ()
    assert answer.citations
    for citation in answer.citations:
        assert (await text_of(platform, citation))[citation.start : citation.end] == citation.quote
        assert citation.verified
        assert f"[{citation.marker}]" in answer.text
    first = answer.citations[0]
    assert first.source.endswith("/handbook/leave.md")
    assert "28 days" in first.quote
    assert first.heading_path == ("Leave",)


async def test_a_citation_names_the_page_and_the_section_of_its_sentence(platform: OpenedPlatform, tmp_path: Path):
    (tmp_path / "manual.pdf").write_bytes(
        pdf(["The pump weighs 40 kilograms when it is empty."], ["The valve opens at a pressure of 12 bar."])
    )
    await platform.ingest(tmp_path / "manual.pdf")
    answer = await platform.ask("At which pressure does the valve open?")
    assert "12 bar" in answer.text
    assert answer.citations[0].page == 2
    parents = await platform.ask("When is the request for parental leave due?")
    assert parents.citations[0].heading_path == ("Leave", "Parental leave")


async def test_a_question_that_the_documents_do_not_cover_is_not_answered(platform: OpenedPlatform):
    answer = await platform.ask("Who won the chess world championship in 1972?")
    assert answer.abstained
    assert answer.citations == ()


async def test_events_come_in_order_and_the_deltas_are_the_answer(platform: OpenedPlatform):
    events = [event async for event in platform.answers.chat.ask(SCOPE, "How long is the notice period?")]
    assert isinstance(events[0], Retrieved)
    assert isinstance(events[-1], Finished)
    answer = events[-1].answer
    assert isinstance(answer, Answer)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == answer.text
    assert tuple(event for event in events if isinstance(event, Citation)) == answer.citations


async def test_a_follow_up_is_understood_with_the_question_before(platform: OpenedPlatform):
    first = [event async for event in platform.answers.chat.ask(SCOPE, "How long is the notice period?")][-1]
    assert isinstance(first, Finished)
    again = platform.answers.chat.ask(SCOPE, "And during probation?", conversation_id=first.conversation_id)
    second = [event async for event in again][-1]
    assert isinstance(second, Finished)
    assert "two weeks" in second.answer.text
    saved = await platform.answers.conversations.get(SCOPE, first.conversation_id)
    assert [turn.question for turn in saved.turns] == ["How long is the notice period?", "And during probation?"]


async def test_every_hit_says_its_rank_and_score_in_each_stage(platform: OpenedPlatform):
    found = await platform.search("vegetarian dishes")
    assert found.passages[0].title == "Canteen"
    stages = found.passages[0].hit.stages
    assert {"dense", "sparse", "fused"} <= set(stages)
    assert all(standing.rank >= 1 for standing in stages.values())


async def test_unchanged_files_are_skipped_and_a_changed_one_is_replaced(platform: OpenedPlatform, handbook: Path):
    assert (await platform.ingest(handbook)).skipped == 3
    (handbook / "leave.md").write_text(LEAVE.replace("28", "30"), encoding="utf-8")
    job = await platform.ingest(handbook)
    assert (job.done, job.skipped) == (1, 2)
    answer = await platform.ask("How many days of paid leave do employees have?")
    assert "30 days" in answer.text
    assert "28" not in answer.text
    assert answer.citations[0].version == 2


async def test_a_vanished_file_stays_until_it_is_pruned(platform: OpenedPlatform, handbook: Path):
    (handbook / "menu.md").unlink()
    assert (await platform.ingest(handbook)).removed == 0
    assert (await platform.search("vegetarian dishes")).passages
    job = await platform.ingest(handbook, prune=True)
    assert [file.source.rsplit("/", 1)[-1] for file in job.files if file.state is FileState.REMOVED] == ["menu.md"]
    assert not [item for item in (await platform.search("vegetarian dishes")).passages if item.title == "Canteen"]


async def test_a_broken_file_fails_with_a_sentence_and_the_rest_goes_on(platform: OpenedPlatform, handbook: Path):
    (handbook / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a document")
    (handbook / "old.doc").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
    (handbook / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")  # of no readable kind: passed over
    (handbook / "new.md").write_text("# Parking\n\nParking is free on weekends.\n", encoding="utf-8")
    job = await platform.ingest(handbook)
    assert (job.state, job.done, job.failed) == (JobState.DONE, 1, 2)
    failed = {file.source.rsplit("/", 1)[-1]: file.error for file in job.files if file.state is FileState.FAILED}
    assert set(failed) == {"broken.pdf", "old.doc"}
    assert all(failed.values())
    assert "free on weekends" in (await platform.ask("When is parking free?")).text


async def test_the_index_can_be_made_again_from_the_truth(platform: OpenedPlatform):
    before = await platform.search("parental leave")
    assert await platform.corpus.ingestion.rebuild() > 0
    after = await platform.search("parental leave")
    assert [item.chunk.id for item in after.passages] == [item.chunk.id for item in before.passages]


async def test_what_was_ingested_is_there_after_a_restart(tmp_path: Path, handbook: Path):
    async with default_platform(tmp_path / "data") as first:
        await first.ingest(handbook)
    async with default_platform(tmp_path / "data") as second:
        assert "six weeks" in (await second.ask("How long is the notice period?")).text
