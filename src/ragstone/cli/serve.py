"""Commands `ragstone serve` and `ragstone worker`: the server process and the worker process."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import DataDir, ExitCode, opened, run, settings_for
from ragstone.cli.models import suggestion
from ragstone.cli.output import complain, say
from ragstone.errors import ConfigurationError

if TYPE_CHECKING:
    from ragstone.settings import Settings


@run
async def serve(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. [default: 8000]")
    ] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Do not ingest; leave it to `ragstone worker`.")
    ] = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Serve the HTTP API.

    Ingests submitted documents too; Ctrl-C ends it. With --no-worker it does not ingest: start
    `ragstone worker` beside it.
    """
    settings = settings_for(data_dir)
    from ragstone import app
    from ragstone.telemetry.logs import configure_logs
    from ragstone.telemetry.redaction import Redactor

    configure_logs(settings.log.level, settings.log.json_lines, Redactor(settings.privacy.patterns))
    looking = asyncio.create_task(_suggest_a_model(settings))  # beside the start, which does not wait for it
    try:
        await app.serve(settings, host, port, works=not no_worker, announce=_announce)
    finally:
        looking.cancel()
    return ExitCode.OK


async def _suggest_a_model(settings: Settings) -> None:
    with suppress(ConfigurationError):  # the start reports it
        if line := await suggestion(settings):
            complain(line)


def _announce(sentence: str) -> None:
    say(sentence)
    sys.stdout.flush()  # a starting script waits for this line


@run
async def worker(*, data_dir: DataDir = None) -> ExitCode:
    """Process submitted documents, webhooks and deletions.

    Any number of workers can run on one installation, beside servers. After Ctrl-C or SIGTERM
    a worker finishes its current documents and ends.
    """
    settings = settings_for(data_dir)
    from ragstone import worker as story
    from ragstone.telemetry.logs import configure_logs
    from ragstone.telemetry.redaction import Redactor

    async with opened(data_dir) as services:
        configure_logs(settings.log.level, settings.log.json_lines, Redactor(settings.privacy.patterns))
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        say("The worker waits for work.")
        sys.stdout.flush()  # a starting script waits for this line
        watching = asyncio.create_task(services.identity.admission.watch())
        await story.run(services, stop)
        watching.cancel()
    return ExitCode.OK
