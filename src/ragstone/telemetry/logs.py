"""Logs as events on stderr: JSON lines for machines, short lines for a terminal.

Events carry ids, counts and seconds, never document text. Secrets and personal data are masked in each
text of each event, of exceptions and of other libraries' records, at each level. stdout is reserved for
the output of commands.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Literal

import stamina
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ragstone.telemetry.redaction import Redactor

Level = Literal["debug", "info", "warning", "error"]

MASK = "[hidden]"
_SECRET_NAMES = ("api_key", "authorization", "password", "secret", "cookie", "credential")
_OURS = ("timestamp", "level")  # written by this module, so not masked
_ID = re.compile(r"[0-9a-f]{32}")
_HANDLER = "ragstone"
_CHATTY = ("aiosqlite", "asyncio", "httpcore2", "httpx2", "sqlalchemy")  # their debug records can contain document text
_DEEPEST = 6  # nested lists and mappings in a value
_REMEMBERED = 4096  # remembered texts without a match
_REMEMBERED_CHARS = 64  # maximum length of a remembered text
_OF_RECORDS = (frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}) - {"exc_info", "stack_info"}


def configure_logs(level: Level = "info", json: bool | None = None, redactor: Redactor | None = None) -> None:
    """Send the logs of Ragstone and its libraries to stderr, from `level` up.

    `json=None` writes JSON lines unless stderr is a terminal. A further call replaces the
    configuration.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    stamina.instrumentation.set_on_retry_hooks(())  # its hook logs each retry again, with the unmasked error
    as_json = not sys.stderr.isatty() if json is None else json
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _Masking(redactor or Redactor()),
            *_renderers(as_json),
        ],
    )
    _handle(formatter, threshold)


def leave_logs_to_the_host(redactor: Redactor | None = None) -> None:
    """Pass events to the standard `logging` for use as a library, unless the host configured structlog.

    The host formats them like the records of any other library. An exception is passed as masked text in
    the event, because the host would format it unmasked.
    """
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.processors.format_exc_info,
            _Masking(redactor or Redactor()),
            _append_exception,
            _leave_names_of_records,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _leave_names_of_records(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Rename keys such as `args` to `args_`: `logging` refuses keys that are attributes of its records."""
    return {f"{name}_" if name in _OF_RECORDS else name: value for name, value in event.items()}


class _Masking:
    """Processor that masks all values of an event, nested ones too, and converts other types to text."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._clean: set[str] = set()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {name: value if name in _OURS else self._named(name, value, 0) for name, value in event.items()}

    def _named(self, name: str, value: object, depth: int) -> object:
        return MASK if _names_a_secret(name) else self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        match value:
            case str():
                return self._text(value)
            case None | bool() | int() | float():
                return value
            case Mapping() if depth < _DEEPEST:
                return {self._text(str(name)): self._named(str(name), each, depth + 1) for name, each in value.items()}
            case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
                return [self._value(each, depth + 1) for each in value]
            case BaseException():
                return self._text(f"{type(value).__name__}: {value}")
            case _:
                return self._text(repr(value))

    def _text(self, text: str) -> str:
        if text in self._clean or _ID.fullmatch(text):
            return str(text)
        masked = self._redactor.masked(text)
        if masked == text and len(text) <= _REMEMBERED_CHARS:
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean.add(text)
        return masked


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return any(secret in name.lower() for secret in _SECRET_NAMES)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # its stream is any text stream
    """Handler that writes to stderr and never shows a record that cannot be formatted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 — the name of the standard library
        """Report a lost record without its contents, which the standard handler would print."""
        error = sys.exc_info()[0]
        lost = f'{{"event": "log.lost", "level": "error", "error": "{error.__name__ if error else ""}"}}\n'
        with suppress(OSError, ValueError):  # a closed stderr must not end the caller
            self.stream.write(lost)


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderers(as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return [_escape_controls, structlog.dev.ConsoleRenderer(colors=colors)]


def _handle(formatter: logging.Formatter, threshold: int) -> None:
    handler = _Handler(sys.stderr)
    handler.name = _HANDLER
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if other.name != _HANDLER] + [handler]
    root.setLevel(threshold)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _append_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    told = {name: value for name, value in event.items() if name != "exception"}
    return told | {"event": f"{event['event']}\n{event['exception']}"} if "exception" in event else told


def _escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters for the terminal (JSON escapes them itself). A traceback keeps its lines."""
    return {
        name: _visible(value, kept="\n" if name == "exception" else "") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _visible(text: str, kept: str = "") -> str:
    return "".join(
        f"\\u{ord(character):04x}"
        if character not in kept and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}
        else character
        for character in text
    )
