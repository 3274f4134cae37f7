"""Commands `ragstone ask` and `ragstone search`: answer a question, or find passages."""

from __future__ import annotations

import sys
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from ragstone.cli.command import AsJson, CollectionName, DataDir, ExitCode, opened, run, scope_of, settings_for, text_of
from ragstone.cli.models import suggestion
from ragstone.cli.output import complain, one_line, say, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragstone.chat.ask import Finished
    from ragstone.services import Services
    from ragstone.vocabulary import Answer, Citation, Passage, Scope, SpellingCorrection

SNIPPET_CHARS = 160
QUOTE_CHARS = 300
VERDICTS = {
    "quoted": "quoted word for word",
    "borne_out": "restated from the source",
    "doubtful": "not certain, please check",
    "contradicted": "the source says something else",
}
"""What the command line calls a verdict: how a sentence relates to its source, not whether it answers rightly."""
WARNINGS = {
    "answer_off_target": "The model's answer was about something else than the question, and was withdrawn.",
    "contradicted_sentence_dropped": "A sentence that its source contradicts was left out.",
    "contradicted_sentence_rewritten": "A sentence that its source contradicts was written again.",
}
RESTARTED = "\n(The answer starts again.)\n"

Question = Annotated[str, typer.Argument(metavar="QUESTION", help="The question; - reads it from stdin.")]
Limit = Annotated[int | None, typer.Option(min=1, max=100, help="Number of passages. [default: 8]")]


@run
async def ask(
    question: Question,
    *,
    conversation: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue a conversation; `ask` prints its id.")
    ] = None,
    limit: Limit = None,
    collection: CollectionName = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Answer a question, with sources.

    Lists the source of each sentence. Exit code 6 means that the documents do not contain
    the answer: the text then shows the closest passages, or says that there is nothing.
    """
    text, scope = text_of(question), scope_of(collection)
    streams = sys.stdout.isatty() and not as_json
    async with opened(data_dir) as services:
        finished = await _answer(services, scope, text, conversation, limit, streams=streams)
    answer = finished.answer
    if as_json:
        say_json({"question": text, "conversation_id": finished.conversation_id, **_as_object(answer)})
    else:
        if not streams:
            say(answer.text)
        _say_corrections(text, answer.corrections)
        _list_sources(answer)
        complain(f"\nContinue with: ragstone ask --conversation {finished.conversation_id} QUESTION")
        if line := await suggestion(settings_for(data_dir)):
            complain(line)
    return ExitCode.ABSTAINED if answer.abstained else ExitCode.OK


async def _answer(
    services: Services, scope: Scope, question: str, conversation: str | None, limit: int | None, *, streams: bool
) -> Finished:
    """Ask the question, stream its text to a terminal, and return the finished answer."""
    from ragstone.chat.ask import Finished
    from ragstone.generation.base import Delta

    shown = ""
    events = services.answers.chat.ask(scope, question, conversation_id=conversation, limit=limit)
    async with aclosing(events):
        async for event in events:
            match event:
                case Delta(text=text, restart=restart) if streams:
                    say(RESTARTED * (restart and bool(shown)) + text, end="")
                    sys.stdout.flush()
                    shown = text if restart else shown + text
                case Finished():
                    finished = event
    if streams:
        say("" if shown == finished.answer.text else f"\n{finished.answer.text}")
    return finished


def _say_corrections(question: str, corrections: Sequence[SpellingCorrection]) -> None:
    """Name the words that were searched for in another spelling."""
    from ragstone.generation.notices import searched_for

    if corrections:
        complain(one_line(searched_for(question, corrections)))


def _as_object(answer: Answer) -> dict[str, object]:
    """The fields of an answer, with the two that follow from others."""
    fields = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
    citations = [{**asdict(citation), "verified": citation.verified} for citation in answer.citations]
    return {**fields, "abstained": answer.abstained, "citations": citations}


def _list_sources(answer: Answer) -> None:
    from ragstone.documents.inline import plain_text

    for policy in answer.degraded:
        complain(f"\nDegraded: {policy}. A part was not available for this answer; see docs/troubleshooting.md.")
    for warning in answer.warnings:
        complain(f"\nNote: {WARNINGS.get(warning, warning)}")
    if answer.citations:
        say("\nSources")
    if answer.closest:  # the text shows what they say
        for one in sorted(answer.closest, key=lambda one: one.marker):
            say(f"[{one.marker}] {_place(one.source, one.page, one.title, one.heading_path)}")
        return
    shown = 0
    for citation in _one_per_quote(answer.citations):
        if citation.marker != shown:
            shown = citation.marker
            say(f"[{shown}] {_place(citation.source, citation.page, citation.title, citation.heading_path)}")
        quote = one_line(plain_text(citation.quote), max_chars=QUOTE_CHARS)
        say(f'    {VERDICTS[citation.verdict]}: "{quote}"')


def _one_per_quote(citations: Sequence[Citation]) -> list[Citation]:
    """Citations with each quote listed once, in order of markers."""
    spans = {(one.marker, one.start, one.end, one.verdict): one for one in citations}
    return sorted(spans.values(), key=lambda one: (one.marker, one.start))


def _place(source: str, page: int | None, title: str, headings: Sequence[str]) -> str:
    """File, page and headings in one line."""
    path = headings if headings[:1] == (title,) else (title, *headings)
    number = f", page {page}" if page else ""
    return one_line(f"{_file_of(source)}{number}: {' > '.join(path)}")


def _file_of(source: str) -> str:
    """Path of a file source relative to the working directory; other sources unchanged."""
    if not source.startswith("file://"):
        return source
    path, here = Path(unquote(urlsplit(source).path)), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


@run
async def search(
    question: Question,
    *,
    limit: Limit = None,
    collection: CollectionName = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Find passages, with their rank in each stage."""
    text, scope = text_of(question), scope_of(collection)
    async with opened(data_dir) as services:
        from ragstone.vocabulary import Query

        query = Query(text, limit=limit or services.settings.retrieval.limit)
        found = await services.answers.retriever.search(scope, query)
    if as_json:
        say_json(found)
        return ExitCode.OK
    for policy in found.degraded:
        complain(f"Degraded: {policy}. See docs/troubleshooting.md.")
    _say_corrections(text, found.corrections)
    if found.passages:
        _list_passages(found.passages)
    else:
        complain("Nothing found.")
    return ExitCode.OK


def _list_passages(passages: Sequence[Passage]) -> None:
    stages = list(dict.fromkeys(stage for passage in passages for stage in passage.hit.stages))
    columns = ("#", *(stage.upper() for stage in stages), "PASSAGE")
    say_table(columns, [_row(rank, passage, stages) for rank, passage in enumerate(passages, start=1)])


def _row(rank: int, passage: Passage, stages: Sequence[str]) -> tuple[object, ...]:
    standings = (passage.hit.stages.get(stage) for stage in stages)
    cells = (f"{standing.rank} ({standing.score:.3f})" if standing else "-" for standing in standings)
    chunk = passage.chunk
    place = _place(passage.source, chunk.page_first, passage.title, chunk.heading_path)
    text = " ".join(line for line in chunk.text.splitlines() if not line.startswith("#"))
    return rank, *cells, f"{place}\n{one_line(text, max_chars=SNIPPET_CHARS)}"
