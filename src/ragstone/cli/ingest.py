"""Commands `ragstone ingest` and `ragstone rebuild`: ingest files, and rebuild the index."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import AsJson, CollectionName, DataDir, ExitCode, opened, run, scope_of
from ragstone.cli.output import complain, console, one_line, say, say_json
from ragstone.errors import InvalidInput, NotFound, TooLarge

if TYPE_CHECKING:
    from ragstone.services import Services
    from ragstone.vocabulary import Job, Scope

PLAIN_STEPS = 10  # lines of progress where stderr is no terminal

Report = Callable[[int, int], None]
"""Progress callback: finished items and their total."""


@run
async def ingest(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders; - reads one from stdin.")],
    *,
    pattern: Annotated[str, typer.Option(metavar="GLOB", help="Files to take from a folder.")] = "**/*",
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents whose file no longer exists.")] = False,
    title: Annotated[str | None, typer.Option(help="Name of the document from stdin.")] = None,
    collection: CollectionName = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Ingest files and folders.

    Waits until they can be searched. Skips unchanged files, so it can run again at any time.
    """
    scope = scope_of(collection)
    _check_arguments(paths, title)
    async with opened(data_dir) as services:
        if paths == ["-"]:
            job = await _submit_stdin(services, scope, title or "", services.settings.ingestion.max_file_bytes)
        else:
            files = [Path(path) for path in paths]
            job = await services.corpus.ingestion.submit_paths(scope, files, pattern=pattern, prune=prune)
        finished = await work_on(services, scope, job)
    return conclude(finished, as_json=as_json)


def _check_arguments(paths: list[str], title: str | None) -> None:
    """Refuse contradictory arguments before the platform is loaded."""
    if "-" in paths:
        if len(paths) > 1:
            raise InvalidInput("stdin (-) is one document; ingest files with a separate command.")
        if not (title or "").strip():
            raise InvalidInput("A document from stdin needs a name: add --title, for example --title notes.md.")
        return
    if title is not None:
        raise InvalidInput("--title names a document from stdin; files keep their own names.")
    if missing := [path for path in paths if not os.path.exists(path)]:  # noqa: PTH110  # Path.exists raises without rights
        raise NotFound(f"There is no file or folder {missing[0]}. Nothing was ingested.")


async def _submit_stdin(services: Services, scope: Scope, title: str, max_bytes: int) -> Job:
    from ragstone.ingestion.submit import Upload

    content = await asyncio.to_thread(sys.stdin.buffer.read, max_bytes + 1)
    if len(content) > max_bytes:
        raise TooLarge(f"stdin has more than {max_bytes} bytes. Split it, or raise RAGSTONE_INGESTION__MAX_FILE_BYTES.")
    return await services.corpus.ingestion.submit(scope, [Upload(source=f"text:{title}", title=title, content=content)])


async def work_on(services: Services, scope: Scope, job: Job) -> Job:
    """Run a worker and wait until the job has finished, here or in another worker."""
    try:
        async with _worker(services, scope, job.id):
            with _progress("files") as report:
                async for state in services.corpus.ingestion.watch(scope, job.id):
                    report(_finished_files(state), state.total)
    except asyncio.CancelledError:
        complain(
            f"Interrupted. Job {job.id} is stored: a running `ragstone serve` continues it, "
            f"and `ragstone jobs {job.id} --resume` does too."
        )
        raise
    return await services.corpus.ingestion.job(scope, job.id)


@asynccontextmanager
async def _worker(services: Services, scope: Scope, job_id: str) -> AsyncIterator[None]:
    """Run a worker during the block; a failure of the worker ends the block."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(services.corpus.ingestion.work(until_job=(scope, job_id)))
            yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group


def _finished_files(job: Job) -> int:
    return job.done + job.skipped + job.removed + job.failed


def conclude(job: Job, *, as_json: bool) -> ExitCode:
    """Print the result of a job and return the exit code."""
    if as_json:
        say_json(job)
    else:
        say(_summary(job))
    for file in job.files:
        if file.error:
            complain(f"Failed: {one_line(file.source)}: {one_line(file.error)}")
        for warning in file.warnings:
            complain(f"Note: {one_line(file.source)}: {one_line(warning)}")
    if job.error:
        complain(job.error)
    if not job.failed and not job.error:
        return ExitCode.OK
    return ExitCode.PARTLY if job.failed < job.total else ExitCode.FAILED


def _summary(job: Job) -> str:
    counts = {
        "ingested": job.done,
        "unchanged": job.skipped,
        "removed": job.removed,
        "failed": job.failed,
        "waiting": job.total - _finished_files(job),
    }
    parts = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    took = (
        f" in {(job.finished_at - job.started_at).total_seconds():.1f} s" if job.finished_at and job.started_at else ""
    )
    return f"Job {job.id} {job.state.value}: {job.total} files: {parts or 'none'}; {job.chunks} chunks{took}."


@contextmanager
def _progress(unit: str) -> Iterator[Report]:
    """Show progress on stderr: a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_progress(unit)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda finished, total: bar.update(task, completed=finished, total=total)


def _plain_progress(unit: str) -> Report:
    shown = -1

    def report(finished: int, total: int) -> None:
        nonlocal shown
        step = finished * PLAIN_STEPS // total if total else 0
        if step > shown:
            complain(f"{finished} of {total} {unit}")
            shown = step

    return report


@run
async def rebuild(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """Rebuild the search index from the database."""
    async with opened(data_dir, recreate_index=True) as services:
        with _progress("chunks") as report:
            chunks = await services.corpus.ingestion.rebuild(progress=report)
    if as_json:
        say_json({"chunks": chunks})
    else:
        say(f"The index was rebuilt: {chunks} chunks.")
    return ExitCode.OK
