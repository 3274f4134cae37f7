"""Command group `ragstone evaluate`: measures an installation on questions whose answers are known."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import AsJson, DataDir, ExitCode, opened, run, scope_of
from ragstone.cli.ingest import conclude, work_on
from ragstone.cli.output import complain, say, say_json, say_table
from ragstone.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from ragstone.evaluation.answers import GradedAnswer, GradedQuestion, Share, SourceText
    from ragstone.services import Services
    from ragstone.vocabulary import Answer, Scope

DOCUMENTS_PAGE = 500  # documents read in one statement
REMOVAL_ATTEMPTS, REMOVAL_PAUSE_S = 50, 0.1  # the index process ends within a second of its last client
REPORT_EVERY = 20  # questions between two lines of progress

evaluate = typer.Typer(
    help="Measure on questions whose answers are known.", no_args_is_help=True, rich_markup_mode=None
)


@evaluate.callback()
def _group() -> None:
    """Measure on questions whose answers are known."""


@evaluate.command()
@run
async def answers(
    *,
    questions: Annotated[
        list[Path], typer.Option("--questions", metavar="FILE", help="Questions, as JSON lines; repeatable.")
    ],
    documents: Annotated[
        list[str] | None,
        typer.Option("--documents", metavar="CORPUS=PATH", help="Ingest a file or folder first; repeatable."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Ask questions with known answers, and grade the answers.

    The questions of a corpus are asked of the collection of that name. `--documents` ingests into it first, and skips
    unchanged files. Without `--data-dir` everything is done in a temporary folder.
    """
    from ragstone.evaluation.answers import read_questions

    asked = [question for file in questions for question in read_questions(file)]
    folders = _folders(documents or [])
    if data_dir is None and not folders:
        raise InvalidInput("Name the documents with --documents CORPUS=PATH, or a --data-dir that has them.")
    async with _folder(data_dir) as folder, opened(folder) as services:
        await _ingest(services, folders)
        graded = await _graded(services, [each for each in asked if not folders or each.corpus in folders])
    _report(graded, left_out=len(asked) - len(graded), as_json=as_json)
    return ExitCode.OK


def _folders(documents: Sequence[str]) -> dict[str, list[Path]]:
    """Paths by corpus, of arguments such as `rust=books/rust`."""
    folders: dict[str, list[Path]] = {}
    for each in documents:
        corpus, separator, path = each.partition("=")
        if not separator:
            raise InvalidInput(
                f"{each[:80]!r} is not CORPUS=PATH. Name the corpus of the questions, as in docs=./docs."
            )
        if not Path(path).exists():
            raise NotFound(f"There is no file or folder {path}. Nothing was ingested.")
        folders.setdefault(corpus, []).append(Path(path))
    return folders


@asynccontextmanager
async def _folder(data_dir: Path | None) -> AsyncIterator[Path]:
    """The data directory that was named, or a temporary one."""
    if data_dir is not None:
        yield data_dir
        return
    folder = Path(tempfile.mkdtemp(prefix="ragstone-evaluate-"))
    try:
        yield folder
    finally:
        await _remove(folder)


async def _remove(folder: Path) -> None:
    """Remove a folder; the process of the index may write into it until it has noticed that its client left."""
    for _ in range(REMOVAL_ATTEMPTS):
        try:
            await asyncio.to_thread(shutil.rmtree, folder)
        except OSError:
            await asyncio.sleep(REMOVAL_PAUSE_S)
        else:
            return


async def _ingest(services: Services, folders: Mapping[str, Sequence[Path]]) -> None:
    for corpus, paths in folders.items():
        scope = scope_of(corpus)
        job = await services.corpus.ingestion.submit_paths(scope, list(paths), pattern="**/*", prune=False)
        finished = await work_on(services, scope, job)
        if finished.failed or finished.error:
            conclude(finished, as_json=True)


async def _graded(services: Services, questions: Sequence[GradedQuestion]) -> list[GradedAnswer]:
    from ragstone.evaluation.answers import GradedAnswer, gold_blocks, grade

    graded: list[GradedAnswer] = []
    for corpus in sorted({question.corpus for question in questions}):
        scope, of_corpus = scope_of(corpus), [question for question in questions if question.corpus == corpus]
        sources = await gold_documents(services, scope, of_corpus)
        for question in of_corpus:
            blocks = gold_blocks(question, sources)
            if question.answerable and not blocks:
                complain(f"{question.id}: its gold passage is in no document of the collection {corpus}.")
            answer = await _answer(services, scope, question)
            graded.append(GradedAnswer(question, answer, grade(question, answer, blocks)))
            if len(graded) % REPORT_EVERY == 0:
                complain(f"{len(graded)} of {len(questions)} questions")
    return graded


async def gold_documents(services: Services, scope: Scope, questions: Sequence[GradedQuestion]) -> list[SourceText]:
    """The documents of the collection that hold a gold passage, with their texts."""
    from ragstone.evaluation.answers import SourceText, names_source

    library, found, last = services.storage.library, [], None
    while page := await library.documents(scope, limit=DOCUMENTS_PAGE, after=last):
        for document in page:
            if any(names_source(gold, document.source) for question in questions for gold in question.gold):
                text = await library.text(scope, document.id)
                found.append(SourceText(document.id, document.source, text))
        last = page[-1].id
    return found


async def _answer(services: Services, scope: Scope, question: GradedQuestion) -> Answer:
    """Ask the questions of the history and then the question, in one conversation."""
    from ragstone.chat.ask import Finished

    conversation, answer = None, None
    for text in (*question.history, question.question):
        async for event in services.answers.chat.ask(scope, text, conversation_id=conversation):
            if isinstance(event, Finished):
                conversation, answer = event.conversation_id, event.answer
    assert answer is not None  # a question that is answered ends with `Finished`
    return answer


def _report(graded: Sequence[GradedAnswer], *, left_out: int, as_json: bool) -> None:
    from ragstone.evaluation.answers import Grade, counts_by_kind, shares

    kinds, found = counts_by_kind(graded), shares(graded)
    if left_out:
        complain(f"{left_out} questions were left out: their corpus was not named.")
    if as_json:
        totals = {
            name: {"hits": each.hits, "total": each.total, "interval": each.interval} for name, each in found.items()
        }
        say_json({"shares": totals, "kinds": kinds, "rows": [_row(each) for each in graded]})
        return
    say_table(
        ("KIND", "QUESTIONS", *(grade.value.upper() for grade in Grade)),
        [(kind, counts.total(), *(counts[grade] for grade in Grade)) for kind, counts in kinds.items()],
    )
    say()
    say_table(("MEASURE", "SHARE", "95 %", "OF"), [_share_row(name, share) for name, share in found.items()])


def _share_row(name: str, share: Share) -> tuple[object, ...]:
    low, high = share.interval
    return name, f"{share.share:.3f}", f"{low:.3f}-{high:.3f}", f"{share.hits}/{share.total}"


def _row(graded: GradedAnswer) -> dict[str, object]:
    """One question for `--json`: what was asked, what came back, and its grade."""
    question, answer = graded.question, graded.answer
    return {
        "id": question.id,
        "kind": question.kind,
        "corpus": question.corpus,
        "history": question.history,
        "question": question.question,
        "grade": graded.grade,
        "gold": [(gold.document, [pattern.pattern for pattern in gold.patterns]) for gold in question.gold],
        "outcome": answer.outcome,
        "text": answer.text,
        "citations": answer.citations,
        "closest": answer.closest,
    }
