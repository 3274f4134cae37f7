"""What failed lately, kept in memory until it is written down: names and classes, no text of anybody."""

from __future__ import annotations

import re
import secrets
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from ragstone.telemetry.request_id import request_id

MOST = 1000  # failures kept between two writes
INTERNAL = "internal"
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure.

    Args:
        id: 32 hexadecimal digits.
        at: When, in UTC.
        stage: Of which story or call, such as retrieve, answer, upstream, ingest, http.
        code: The error's code, or `internal`.
        error: The exception's class; "" where there was none.
        upstream: The server that was asked; "" where there was none.
        tenant: Whose request it was; "" where that is not known.
        request_id: Of the request; "" outside of one.
    """

    id: str
    at: datetime
    stage: str
    code: str
    error: str = ""
    upstream: str = ""
    tenant: str = ""
    request_id: str = ""


class Failures:
    """Collects failures; when it is full, the oldest make room."""

    def __init__(self, *, most: int = MOST) -> None:
        self._kept: deque[Failure] = deque(maxlen=most)

    def note(self, stage: str, error: BaseException | str, *, upstream: str = "", tenant: str = "") -> None:
        """Keep one: an exception, or a code such as `no_answer`. It waits for nothing and raises nothing."""
        code = error if isinstance(error, str) else getattr(error, "code", INTERNAL)
        self._kept.append(
            Failure(
                id=secrets.token_hex(16),
                at=datetime.now(UTC),
                stage=_name(stage, 64),
                code=code if isinstance(code, str) and _CODE.fullmatch(code) else INTERNAL,
                error="" if isinstance(error, str) else type(error).__name__[:128],
                upstream=_name(upstream, 128),
                tenant=_name(tenant, 64),
                request_id=request_id(),
            )
        )

    def take(self) -> list[Failure]:
        """What was noted since the last time, oldest first."""
        taken = []
        while self._kept:
            taken.append(self._kept.popleft())
        return taken

    def give_back(self, failures: list[Failure]) -> None:
        """Keep what could not be written, as far as there is room beside what came meanwhile."""
        room = (self._kept.maxlen or 0) - len(self._kept)
        self._kept.extendleft(reversed(failures[max(0, len(failures) - room) :]))


def _name(text: str, most_chars: int) -> str:
    """Without what a database may refuse: one such row would keep back all others."""
    return "".join(character for character in text[:most_chars] if character.isprintable())
