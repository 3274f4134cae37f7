"""A vendor's failure in our words. Its own may echo a key or a prompt, so none of them pass."""

from __future__ import annotations

import httpx2

from ragstone.errors import ConfigurationError, ModelUnavailable

TRANSPORT_FAULTS = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    ValueError,
    AttributeError,
    TypeError,
)
"""What the SDKs let through as it is: cut connections, half JSON, text in no encoding. The last two are
replies of another shape."""

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


def unavailable(model: str, error: Exception) -> ModelUnavailable:
    """What `error`, of an SDK or of its transport, means for whoever asked."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return ModelUnavailable(f"The server of model {model} {_ADVICE.get(status, _SERVER_FAULT)} (HTTP {status}).")
    kind = type(error).__name__
    if "Timeout" in kind and not _while_connecting(error):
        return ModelUnavailable(f"The server of model {model} was silent for too long. Ask again, or raise the limit.")
    return ModelUnavailable(
        f"The server of model {model} did not answer as it should ({kind}). "
        "Check RAGSTONE_ANSWER__BASE_URL and that the server runs, then ask again."
    )


def _while_connecting(error: BaseException | None) -> bool:
    """Whether the server was never reached; its transport calls a refused connection a timeout too."""
    while error is not None:
        if "Connect" in type(error).__name__:
            return True
        error = error.__cause__ or error.__context__
    return False


def broken_off(model: str) -> ModelUnavailable:
    """The stream ended without saying that it ended."""
    return ModelUnavailable(f"The answer of model {model} broke off before its end. Ask again.")


def withheld(model: str, reason: str) -> ModelUnavailable:
    """The vendor's filter, or the model itself, gave no answer."""
    return ModelUnavailable(f"The model {model} withheld its answer ({reason}). Put the question another way.")


def missing_package(vendor: str) -> ConfigurationError:
    """The SDK is not installed."""
    return ConfigurationError(
        f"The provider {vendor} needs a package that is not installed. Run: pip install 'ragstone[{vendor}]'"
    )


def missing_key(vendor: str) -> ConfigurationError:
    """No key, and a server that asks for one."""
    return ConfigurationError(
        f"The provider {vendor} needs a key: set RAGSTONE_ANSWER__API_KEY. "
        "To go on without a key, set RAGSTONE_ANSWER__PROVIDER=extractive."
    )
