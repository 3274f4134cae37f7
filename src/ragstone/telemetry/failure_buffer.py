"""In-memory buffer of recent failures until they are written to SQL; holds names and classes, no user text."""

from __future__ import annotations

import re
import secrets
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from ragstone.telemetry.tracing import request_id

MOST = 1000  # failures kept between two writes
INTERNAL = "internal"
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure.

    Args:
        id: 32 hexadecimal digits.
        at: Time in UTC.
        stage: Stage or call that failed, such as retrieve, answer, upstream, ingest, http.
        code: The error's code, or `internal`.
        error: Class of the exception; "" without one.
        upstream: Upstream server; "" without one.
        tenant: Tenant of the request; "" if unknown.
        request_id: Id of the request; "" outside of a request.
    """

    id: str
    at: datetime
    stage: str
    code: str
    error: str = ""
    upstream: str = ""
    tenant: str = ""
    request_id: str = ""


class FailureBuffer:
    """Bounded buffer of failures; a full buffer drops the oldest."""

    def __init__(self, *, most: int = MOST) -> None:
        self._kept: deque[Failure] = deque(maxlen=most)

    def note(self, stage: str, error: BaseException | str, *, upstream: str = "", tenant: str = "") -> None:
        """Add an exception, or a code such as `no_answer`. Never blocks and never raises."""
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

    def drain(self) -> list[Failure]:
        """Remove and return all failures, oldest first."""
        taken = []
        while self._kept:
            taken.append(self._kept.popleft())
        return taken

    def restore(self, failures: list[Failure]) -> None:
        """Put back failures that could not be written, as far as there is room beside newer ones."""
        room = (self._kept.maxlen or 0) - len(self._kept)
        self._kept.extendleft(reversed(failures[max(0, len(failures) - room) :]))


def _name(text: str, most_chars: int) -> str:
    """Remove unprintable characters: a database may refuse the row, and with it the whole batch."""
    return "".join(character for character in text[:most_chars] if character.isprintable())
