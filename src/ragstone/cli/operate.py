"""Command group `ragstone operate`: maintenance and monitoring of an installation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import AsJson, DataDir, ExitCode, opened, run, settings_for
from ragstone.cli.doctor.report import validate_config
from ragstone.cli.errors import errors
from ragstone.cli.load_test import FORWARDED, load_test
from ragstone.cli.metrics import circuits, metrics
from ragstone.cli.output import complain, say, say_json, say_table
from ragstone.errors import InvalidInput

if TYPE_CHECKING:
    from ragstone.ingestion.tenant_deletion import Report
    from ragstone.services import Services

operate = typer.Typer(help="Maintain and monitor the installation.", no_args_is_help=True, rich_markup_mode=None)
operate.command("validate-config")(validate_config)
operate.command("metrics")(metrics)
operate.command("circuits")(circuits)
operate.command("errors")(errors)
operate.command("load-test", context_settings=FORWARDED, add_help_option=False)(load_test)


@operate.command("verify-deleted")
@run
async def verify_deleted(
    *,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="A tenant that was deleted.")] = None,
    document: Annotated[str | None, typer.Option(metavar="ID", help="A document that was removed.")] = None,
    conversation: Annotated[str | None, typer.Option(metavar="ID", help="A conversation that was deleted.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Count what is left of deleted data.

    Exit code 0 means that nothing is left except the audit log and the ledger, which are kept.
    """
    if [tenant, document, conversation].count(None) != 2:
        raise InvalidInput("Name what was deleted with one of --tenant, --document and --conversation.")
    async with opened(data_dir) as services:
        report = await _deletion_report(services, tenant, document, conversation)
    _show_report(report, as_json=as_json)
    return ExitCode.OK if report.is_gone else ExitCode.FAILED


@operate.command()
@run
async def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the copy.")],
    *,
    data_dir: DataDir = None,
) -> ExitCode:
    """Copy the data directory while it is in use.

    Copies the database, the documents' bytes and the secret. A server rebuilds the index from
    them. To restore, use the copy as the data directory.
    """
    settings = settings_for(data_dir)
    from ragstone.storage.backup import back_up

    made = await asyncio.to_thread(back_up, settings.data_dir, folder)
    say(f"{made.folder} has {made.blobs} document files, {made.size_bytes:,} bytes in all.")
    if settings.database.url:
        say("The rows are in PostgreSQL: copy them with pg_dump before the document files.")
    return ExitCode.OK


async def _deletion_report(
    services: Services, tenant: str | None, document: str | None, conversation: str | None
) -> Report:
    if tenant is not None:
        return await services.corpus.deletion_check.of_tenant(tenant)
    if document is not None:
        return await services.corpus.deletion_check.of_document(document)
    return await services.corpus.deletion_check.of_conversation(conversation or "")


def _show_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        places = [{"name": each.name, "left": each.left, "stays": each.stays} for each in report.places]
        say_json({"subject": report.subject, "gone": report.is_gone, "places": places})
        return
    say_table(
        ("PLACE", "LEFT", ""),
        [(each.name, each.left, "kept as a record" if each.stays else "") for each in report.places],
    )
    if report.is_gone:
        say(f"Nothing is left of {report.subject} except records that are kept.")
    else:
        complain(f"Some data of {report.subject} is left. A running worker deletes it; check again in a minute.")
