"""The image that serves: `ragstone intercept` becomes it. See `starting`."""

from __future__ import annotations

import asyncio
import socket
import sys

from ragstone.intercepting.without_orm import leave_orm_out

sys.modules["rich"] = None  # type: ignore[assignment]  # structlog imports it where it can, and nobody sees its colours
leave_orm_out()


def main(listener: int, pipe: int) -> int:
    """Serve on the inherited port, with the settings in the inherited pipe; the exit code."""
    from ragstone.errors import RagstoneError
    from ragstone.intercepting.handing_over import taken_over
    from ragstone.intercepting.serving import serve
    from ragstone.telemetry.logs import configure_logs
    from ragstone.telemetry.redaction import Redactor

    settings = taken_over(pipe)
    configure_logs(settings.log.level, settings.log.json_lines, Redactor(settings.privacy.patterns))
    try:
        with asyncio.Runner(loop_factory=_quick_loop()) as runner, socket.socket(fileno=listener) as port:
            runner.run(serve(settings, port))
    except RagstoneError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


def _quick_loop() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # there is none for this system
        return None
    return uvloop.Loop


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
