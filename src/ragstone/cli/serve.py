"""`ragstone serve`: the HTTP server and its worker."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ragstone.cli.command import DataDir, ExitCode, run, settings_for
from ragstone.cli.output import say


@run
async def serve(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. [default: 8000]")
    ] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Leave the work on documents to others.")] = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Serve the HTTP API.

    Works on submitted documents too, until interrupted with Ctrl-C. With --no-worker it only
    answers: start `ragstone worker` beside it.
    """
    settings = settings_for(data_dir)
    from ragstone import app
    from ragstone.telemetry.logs import configure_logs
    from ragstone.telemetry.redaction import Redactor

    configure_logs(settings.log.level, settings.log.json_lines, Redactor(settings.privacy.patterns))
    await app.serve(settings, host, port, works=not no_worker, announce=_announce)
    return ExitCode.OK


def _announce(sentence: str) -> None:
    say(sentence)
    sys.stdout.flush()  # whoever started the server waits for this line
