"""Command group `ragstone jobs`: ingestion jobs and dead letters."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ragstone.cli.command import AsJson, CollectionName, DataDir, ExitCode, opened, opened_records, run, scope_of
from ragstone.cli.ingest import conclude, work_on
from ragstone.cli.output import complain, one_line, say, say_json, say_table
from ragstone.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from ragstone.ingestion.dead_letters import DeadFile, DeadLetters, Replay
    from ragstone.vocabulary import Job

COMMAND_OF_NONE = "list"
"""Command of the group that runs if none is named."""


class _ListOrShowByDefault(TyperGroup):
    """Command group with default: `ragstone jobs` lists jobs, and `ragstone jobs ID` shows one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 — typer bundles its own click
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = [COMMAND_OF_NONE, *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest


jobs = typer.Typer(
    cls=_ListOrShowByDefault,
    help="List ingestion jobs, show one, and retry dead letters.",
    rich_markup_mode=None,
)


@jobs.command(COMMAND_OF_NONE)
@run
async def list_(
    job_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Job to show, with the outcome of each file.")
    ] = None,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Work on the job here until it has finished.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Number of jobs.")] = 20,
    collection: CollectionName = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """List ingestion jobs, or show one.

    `ragstone jobs` and `ragstone jobs ID` are short forms.
    """
    scope = scope_of(collection)
    if resume and not job_id:
        raise InvalidInput("--resume needs the id of a job: ragstone jobs ID --resume.")
    from ragstone.ingestion.jobs import Jobs

    async with opened_records(data_dir) as records:
        jobs = Jobs(records.storage.database)
        if job_id is None:
            _list_jobs(await jobs.jobs(scope, limit=limit), as_json=as_json)
            return ExitCode.OK
        job = await jobs.job(scope, job_id)
    if resume:
        async with opened(data_dir) as services:
            job = await work_on(services, scope, job)
    outcome = conclude(job, as_json=as_json)
    return outcome if resume else ExitCode.OK


@jobs.command("dead")
@run
async def dead(*, as_json: AsJson = False, data_dir: DataDir = None) -> ExitCode:
    """List dead letters: files that were given up.

    Lists files of all tenants that failed for a reason outside the file: the index or a model
    was unavailable, or a worker ended. Their bytes are kept.
    """
    from ragstone.ingestion.dead_letters import DeadLetters

    async with opened_records(data_dir) as records:
        found = await DeadLetters(records.storage.database).dead()
    if as_json:
        say_json(found)
    elif found:
        say_table(("ID", "TENANT", "COLLECTION", "JOB", "SOURCE", "ERROR"), [_dead_row(file) for file in found])
    else:
        complain("No dead letters.")
    return ExitCode.OK


@jobs.command("replay")
@run
async def replay(
    which: Annotated[str | None, typer.Argument(metavar="[ID]", help="Id of a file or job in the list.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Retry dead letters.

    A running worker ingests them. Files that were submitted again or removed since then leave the list.
    """
    if (which is None) != every:
        raise InvalidInput("Name a file or a job of `ragstone jobs dead`, or use --all.")
    from ragstone.ingestion.dead_letters import DeadLetters

    async with opened_records(data_dir) as records:
        letters = DeadLetters(records.storage.database)
        chosen = [file for file in await letters.dead(limit=None) if every or which in (str(file.id), file.job_id)]
        if which is not None and not chosen:
            raise NotFound(f"There is no dead letter {which[:80]!r}. List them with `ragstone jobs dead`.")
        outcome = await _replay(letters, chosen)
    if as_json:
        say_json(outcome)
    else:
        say(f"{outcome.replayed} files are queued again; {outcome.superseded} were submitted again or removed.")
    return ExitCode.OK


async def _replay(letters: DeadLetters, files: list[DeadFile]) -> Replay:
    from ragstone.ingestion.dead_letters import Replay

    by_tenant: defaultdict[str, list[int]] = defaultdict(list)
    for file in files:
        by_tenant[file.scope.tenant].append(file.id)
    outcomes = [await letters.replay(tenant, files=ids) for tenant, ids in by_tenant.items()]
    return Replay(sum(each.replayed for each in outcomes), sum(each.superseded for each in outcomes))


def _dead_row(file: DeadFile) -> tuple[object, ...]:
    scope, error = file.scope, one_line(file.error or "")
    return file.id, scope.tenant, scope.collection, file.job_id, one_line(file.source), error


def _list_jobs(found: list[Job], *, as_json: bool) -> None:
    if as_json:
        say_json(found)
    elif found:
        columns = ("ID", "STATE", "FILES", "INGESTED", "UNCHANGED", "REMOVED", "FAILED", "CREATED")
        say_table(columns, [_row(job) for job in found])
    else:
        complain("No jobs yet. Start one with `ragstone ingest PATH`.")


def _row(job: Job) -> tuple[object, ...]:
    created = job.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return job.id, job.state.value, job.total, job.done, job.skipped, job.removed, job.failed, created
