"""What LiteLLM makes of our answers; it runs in an environment of its own, and reaches loopback only."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import Any

import litellm  # type: ignore[import-not-found]  # the hook is set before anything is imported

strangers: list[str] = []


def _watch(event: str, details: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(details[1], tuple) and details[1][0] not in {"127.0.0.1", "::1"}:
        strangers.append(str(details[1][0]))
        raise OSError(f"A package wants to reach {details[1][0]}.")


sys.addaudithook(_watch)


litellm.telemetry = False


def _called(make: Any, **given: Any) -> dict[str, Any]:
    try:
        return {"error": None, **make(**given)}
    except Exception as error:  # noqa: BLE001  # the report says what it was
        return {"error": type(error).__name__, "message": str(error), "status": getattr(error, "status_code", None)}


def _whole(**given: Any) -> dict[str, Any]:
    answer = litellm.completion(**given)
    return {"text": answer.choices[0].message.content, "usage": answer.usage.total_tokens}


def _streamed(**given: Any) -> dict[str, Any]:
    text, reason = "", None
    for chunk in litellm.completion(stream=True, **given):
        text += chunk.choices[0].delta.content or ""
        reason = chunk.choices[0].finish_reason or reason
    return {"text": text, "reason": reason}


def _embedded(**given: Any) -> dict[str, Any]:
    return {"vectors": [list(each["embedding"]) for each in litellm.embedding(**given).data]}


MAKES = {"whole": _whole, "streamed": _streamed, "embedded": _embedded}


def main() -> None:
    """Report on each call of the task, in order."""
    task = json.load(sys.stdin)
    common = {"api_key": task["key"], "num_retries": 0, "timeout": 20}
    with redirect_stdout(sys.stderr):  # LiteLLM prints where an error may be reported
        reports = [_called(MAKES[call.pop("make")], **common, **call) for call in task["calls"]]
    json.dump({"calls": reports, "strangers": strangers}, sys.stdout)


main()
