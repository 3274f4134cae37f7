"""Every error Ragstone raises on purpose, in one tree.

    RagstoneError
    ├── InvalidInput            400  the caller sent something that cannot be used
    │   ├── InvalidQuestion     400
    │   ├── InvalidVector       400
    │   └── TooLarge            413
    ├── Unauthenticated         401  no key, or an unknown one
    ├── Forbidden               403  the caller lacks the permission, or its origin is not allowed
    ├── NotFound                404  also for objects of another tenant
    │   └── NoIndex             404  this process has no index of its own
    ├── Unsupported             415  a media type no parser reads
    ├── UnreadableDocument      422  parsing failed; the message says why
    │   ├── EmptyDocument       422
    │   ├── EncryptedDocument   422
    │   └── ParserLimit         422  memory, CPU, wall time, pages or expanded size
    ├── Conflict                409  the present state forbids the operation
    ├── QuotaExceeded           402  the plan has no room for more documents, bytes or pages
    ├── RateLimited             429  too many requests, streams or attempts; says when to try again
    ├── ConfigurationError      500  the operator has to change a setting
    │   ├── DataDirectoryError  500  missing, read-only, full, or of a newer version
    │   ├── PortInUse           500
    │   └── ModelFileError      500  missing or altered weights
    └── Unavailable             503  a component is down; the same call may work later
        ├── IndexUnavailable    503
        ├── ModelUnavailable    503
        ├── UpstreamUnavailable 503  a server that requests are forwarded to, or a pipeline
        ├── CircuitOpen         503  it failed too often and is not called for a moment
        └── Overloaded          503  the concurrency limit is reached; says when to try again

A message is one or two sentences: what is wrong, and what to do next. `code` is stable
and machine-readable, `status` is the HTTP status, `retryable` says whether the same
call may succeed later without a change.
"""

from __future__ import annotations

from typing import ClassVar


class RagstoneError(Exception):
    """Root of all errors raised on purpose."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    @property
    def message(self) -> str:
        """The message for the user."""
        return str(self)


class InvalidInput(RagstoneError):
    """What the caller sent cannot be used as it is."""

    code = "invalid_input"
    status = 400


class InvalidQuestion(InvalidInput):
    """A question that is empty, too long or not text."""

    code = "invalid_question"


class InvalidVector(InvalidInput):
    """A vector of the wrong size, or with NaN or infinity in it."""

    code = "invalid_vector"


class TooLarge(InvalidInput):
    """More bytes or items than the limit allows."""

    code = "too_large"
    status = 413


class Unauthenticated(RagstoneError):
    """No key was sent, or an unknown one."""

    code = "unauthenticated"
    status = 401


class Forbidden(RagstoneError):
    """The caller lacks the permission, or its origin is not allowed."""

    code = "forbidden"
    status = 403


class NotFound(RagstoneError):
    """No such object in this scope."""

    code = "not_found"
    status = 404


class NoIndex(NotFound):
    """The requested collection is in an index, and this process has none."""

    code = "no_index"


class Unsupported(RagstoneError):
    """No parser reads this kind of file."""

    code = "unsupported_media_type"
    status = 415


class UnreadableDocument(RagstoneError):
    """The kind of the file is supported, but parsing failed."""

    code = "unreadable_document"
    status = 422


class EmptyDocument(UnreadableDocument):
    """The file holds no text."""

    code = "empty_document"


class EncryptedDocument(UnreadableDocument):
    """The file needs a password."""

    code = "encrypted_document"


class ParserLimit(UnreadableDocument):
    """The parser exceeded one of its limits and was stopped."""

    code = "parser_limit"


class Conflict(RagstoneError):
    """The present state forbids the operation."""

    code = "conflict"
    status = 409


class QuotaExceeded(RagstoneError):
    """The tenant's plan has no room for more."""

    code = "quota_exceeded"
    status = 402


class RateLimited(RagstoneError):
    """Too many requests, streams or attempts; `retry_after_s` says when there is room again."""

    code = "rate_limited"
    status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ConfigurationError(RagstoneError):
    """A setting, or what it points to, has to be changed by the operator."""

    code = "configuration"


class DataDirectoryError(ConfigurationError):
    """The data directory is missing, read-only, full or of a newer version."""

    code = "data_directory"


class PortInUse(ConfigurationError):
    """Another process listens on the address."""

    code = "port_in_use"


class ModelFileError(ConfigurationError):
    """Model weights are missing, or their hash is not the pinned one."""

    code = "model_file"


class Unavailable(RagstoneError):
    """A component is temporarily down."""

    code = "unavailable"
    status = 503
    retryable = True


class IndexUnavailable(Unavailable):
    """The search index does not answer."""

    code = "index_unavailable"


class ModelUnavailable(Unavailable):
    """A language or embedding model does not answer."""

    code = "model_unavailable"


class UpstreamUnavailable(Unavailable):
    """A server that was called does not answer, or its answer is not valid."""

    code = "upstream_unavailable"


class CircuitOpen(Unavailable):
    """A server failed too often and is not called; `retry_after_s` says when it is tried again."""

    code = "circuit_open"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """The concurrency limit is reached; `retry_after_s` says when to try again."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
