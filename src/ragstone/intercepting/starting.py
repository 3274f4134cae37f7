"""The first image of the process: it checks what can be wrong, and makes way for the one that serves.

Reading settings takes pydantic, bringing tables up to date takes Alembic, and a command line
takes its own. None is needed afterwards, and no memory that Python has taken comes back: so
the process replaces its own image, and keeps nothing but the port and a pipe.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

from ragstone.errors import ConfigurationError
from ragstone.http.server import listen
from ragstone.intercepting.handing_over import handed_over
from ragstone.wiring import check_address

if TYPE_CHECKING:
    from ragstone.settings import Settings

IMAGE = "ragstone.intercepting"
ARENAS = "MALLOC_ARENA_MAX"
"""How many pools of memory glibc keeps: by itself eight a core, and each thread that allocates fills one of its own."""


async def prepared(settings: Settings, host: str | None, port: int | None) -> socket.socket:
    """The port, bound, when the database is up to date and everything else that can be checked was.

    Raises:
        ConfigurationError: a setting needs mending; or nobody owns the installation, and it is not for loopback only.
        DataDirectoryError: the data directory or the database cannot be used.
        PortInUse: another process listens there.
    """
    if sys.platform == "win32":
        raise ConfigurationError("A process cannot be replaced on Windows. Run `ragstone serve` there.")
    from ragstone.wiring import open_records

    address = host or settings.server.host
    await check_address(settings, address)
    async with open_records(settings):  # which brings its tables up to date
        return listen(address, settings.server.port if port is None else port)


def become(settings: Settings, listener: socket.socket) -> NoReturn:
    """Replace this process's image with the one that serves. Raises: ConfigurationError."""
    pipe = handed_over(settings)
    listener.set_inheritable(True)
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = [sys.executable, "-P", "-m", IMAGE, str(listener.fileno()), str(pipe)]
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("RAGSTONE_")}
    os.execve(sys.executable, arguments, {ARENAS: "2", **kept})  # noqa: S606 — ourselves, without a shell
