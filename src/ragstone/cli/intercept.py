"""`ragstone intercept`: the interceptor alone, in a small process."""

from __future__ import annotations

from typing import Annotated

import typer

from ragstone.cli.command import DataDir, ExitCode, run, settings_for


@run
async def intercept(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. [default: 8000]")
    ] = None,
    data_dir: DataDir = None,
) -> ExitCode:
    """Serve the interceptor alone.

    Chats under /v1 go on to a model's server, enriched from pipelines; there is no index, no model
    and no worker in it, so it takes a fraction of the memory. Ends with Ctrl-C or SIGTERM.
    """
    settings = settings_for(data_dir)
    from ragstone.intercepting.starting import become, prepared

    listener = await prepared(settings, host, port)
    become(settings, listener)
