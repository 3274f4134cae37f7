"""Logs as events on stderr: JSON lines for machines, short lines for a terminal.

Events carry ids, counts and seconds, never document text; what looks like a secret by
its name is masked all the same. stdout belongs to the answer of a command.
"""

from __future__ import annotations

import logging
import os
import sys
import unicodedata
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]

MASK = "[hidden]"
_SECRET_NAMES = ("api_key", "authorization", "password", "secret", "cookie", "credential")
_HANDLER = "ragstone"
_CHATTY = ("aiosqlite", "asyncio", "httpcore2", "httpx2", "sqlalchemy")  # their debug lines may hold document text


def configure_logs(level: Level = "info", json: bool | None = None) -> None:
    """Send the logs of Ragstone and its libraries to stderr, from `level` up.

    `json=None` writes JSON lines unless stderr is a terminal. Calling it again replaces
    the configuration.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    as_json = not sys.stderr.isatty() if json is None else json
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(as_json)],
    )
    _handle(formatter, threshold)


def leave_logs_to_the_host() -> None:
    """As a library: hand events to the standard `logging`, unless somebody configured structlog.

    Nothing is printed by itself; the host sees and formats them like any other library's.
    """
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared_processors(), structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]


def _renderers(as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    # The default formatter prints local variables, which hold documents and keys.
    plain = structlog.dev.plain_traceback
    return [_escape_controls, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


def _handle(formatter: logging.Formatter, threshold: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _HANDLER
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if other.name != _HANDLER] + [handler]
    root.setLevel(threshold)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: MASK if any(name in key.lower() for name in _SECRET_NAMES) else event[key] for key in event}


def _escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A file name must not steer the terminal; JSON escapes by itself."""
    return {key: _visible(value) if isinstance(value, str) else value for key, value in event.items()}


def _visible(text: str) -> str:
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in {"Cc", "Cf"} else character
        for character in text
    )
