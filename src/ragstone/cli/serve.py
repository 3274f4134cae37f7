"""`ragstone serve`: the HTTP server and its worker."""

from __future__ import annotations

from typing import Annotated

import typer

from ragstone.cli.command import DataDir, ExitCode, run


@run
async def serve(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. [default: 8000]")
    ] = None,
    data_dir: DataDir = None,
) -> ExitCode:
    """Serve the HTTP API.

    Works on submitted documents too, until interrupted with Ctrl-C.
    """
    return ExitCode.OK
