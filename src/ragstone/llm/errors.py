"""Translates SDK errors. Vendor messages are dropped: they may contain keys or prompts."""

from __future__ import annotations

from ragstone.errors import ConfigurationError, ModelUnavailable

_ADVICE = {
    400: "refused the request; check the model's name and that it takes this many tokens",
    401: "refused the key; check RAGSTONE_ANSWER__API_KEY",
    402: "asks for payment; check the account",
    403: "forbids this key the model; check the key's rights",
    404: "knows no such model or address; check RAGSTONE_ANSWER__MODEL and RAGSTONE_ANSWER__BASE_URL",
    408: "gave up waiting; ask again",
    413: "finds the request too large; ask for fewer passages",
    422: "refused the request; check the model's name",
    429: "limits the rate or the budget; wait, or raise the limit of the account",
    529: "is overloaded; ask again in a while",
}
_SERVER_FAULT = "has a fault of its own; ask again in a while"

_AGAIN = frozenset({408, 409, 429})  # and all from 500 on: what both vendors' SDKs try again
_NO_MONEY = "insufficient_quota"  # OpenAI's code for a 429 that no waiting helps against
_MAX_RETRY_AFTER_CHARS = 12


def transport_faults() -> tuple[type[Exception], ...]:
    """Errors that the SDKs pass on: cut connections, half JSON, undecodable text, and replies of another shape.

    Only a process with an SDK has httpx2, which both SDKs are built on.
    """
    import httpx2

    return (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ValueError, AttributeError, TypeError)


class ModelFault(ModelUnavailable):
    """The failure of a model, with its meaning for the next call.

    Attributes:
        again: The same call may be made again at once: its server did no work for it.
        refused: The server works, and refuses this call, or this key for now.
        retry_after_s: How long the server asks to be left alone, in seconds.
    """

    def __init__(
        self, message: str, *, again: bool = False, refused: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.again = again
        self.refused = refused
        self.retry_after_s = retry_after_s


def unavailable(model: str, error: Exception) -> ModelFault:
    """Translate an error of an SDK or of its transport into a `ModelFault`."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return ModelFault(
            f"The server of model {model} {_ADVICE.get(status, _SERVER_FAULT)} (HTTP {status}).",
            again=(status in _AGAIN or status >= 500) and getattr(error, "code", None) != _NO_MONEY,
            refused=status < 500,
            retry_after_s=_retry_after_s(error),
        )
    kind = type(error).__name__
    if "Timeout" in kind and not _while_connecting(error):
        # Not again: the server has the request, and may be at work on it, and bill it.
        return ModelFault(f"The server of model {model} was silent for too long. Ask again, or raise the limit.")
    return ModelFault(
        f"The server of model {model} did not answer as it should ({kind}). "
        "Check RAGSTONE_ANSWER__BASE_URL and that the server runs, then ask again.",
        # A transport fault comes from the body of an answer: the server was reached.
        again=_while_connecting(error) and not isinstance(error, transport_faults()),
    )


def _retry_after_s(error: Exception) -> float | None:
    """Seconds of the retry headers that the SDKs' errors carry; None for a date or a malformed number."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = str(headers.get(name, "")).strip()
        if len(said) <= _MAX_RETRY_AFTER_CHARS and said.isascii() and said.replace(".", "", 1).isdigit():
            return float(said) * unit_s
    return None


def _while_connecting(error: BaseException | None) -> bool:
    """Whether the server was never reached. The transport calls a refused connection a timeout too."""
    while error is not None:
        if "Connect" in type(error).__name__:
            return True
        error = error.__cause__ or error.__context__
    return False


def broken_off(model: str) -> ModelFault:
    """The error of a stream that ends without an end marker."""
    return ModelFault(f"The answer of model {model} broke off before its end. Ask again.")


def withheld(model: str, reason: str) -> ModelFault:
    """The error of an answer that the vendor's filter or the model withholds."""
    return ModelFault(f"The model {model} withheld its answer ({reason}). Put the question another way.", refused=True)


def missing_package(vendor: str) -> ConfigurationError:
    """The error of an SDK that is not installed."""
    return ConfigurationError(
        f"The provider {vendor} needs a package that is not installed. Run: pip install 'ragstone[{vendor}]'"
    )


def missing_key(vendor: str) -> ConfigurationError:
    """The error of a missing key, where the server asks for one."""
    return ConfigurationError(
        f"The provider {vendor} needs a key: set RAGSTONE_ANSWER__API_KEY. "
        "To go on without a key, set RAGSTONE_ANSWER__PROVIDER=extractive."
    )
