"""Serving: a station behind a door, and the little that goes on beside."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import structlog
import uvicorn

from ragstone.errors import RagstoneError
from ragstone.http.server import configuration, keep_out_of_collections, meanwhile, signals_end_the_server_only, where
from ragstone.intercepting.app import create_app
from ragstone.intercepting.station import Station, open_station
from ragstone.storage.failure_log import FailureLog, run_flush

if TYPE_CHECKING:
    from ragstone.settings import Settings

FAILURES_S = 2.0  # as in the worker

log = structlog.get_logger()


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on an open port until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: a setting, the data directory or the database needs mending.
    """
    async with AsyncExitStack() as stack:
        station = await stack.enter_async_context(open_station(settings))
        server = uvicorn.Server(configuration(create_app(station)))
        for work in (
            station.base.identity.admission.watch(),
            station.base.operations.metrics.watch_loop(),
            note_failures(station),
        ):
            await stack.enter_async_context(meanwhile(work))
        await _announce(station, listener)
        keep_out_of_collections()
        stack.enter_context(signals_end_the_server_only())
        await server.serve(sockets=[listener])


async def note_failures(station: Station) -> None:
    """Write down what failed in this process, every few seconds."""
    written = FailureLog(station.base.storage.database, most=station.settings.telemetry.max_failures)
    while True:
        await asyncio.sleep(FAILURES_S)
        try:
            await run_flush(station.base.operations.failures, written)
        except RagstoneError as error:
            log.warning("intercept.failures_kept", error=error.code)


async def _announce(station: Station, listener: socket.socket) -> None:
    closed = bool(station.settings.server.api_keys) or await station.base.identity.admission.has_accounts()
    log.info("intercept.listening", port=listener.getsockname()[1])
    sys.stdout.write(where(listener, with_keys=closed) + "\n")
    sys.stdout.flush()  # whoever started it waits for this line
