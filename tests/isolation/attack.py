"""Requests made from lines of the table, and what two answers have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import httpx2

from tests.isolation.setup import Customer, Headers
from tests.isolation.table import Line, Slot

UNUSED = {"collection": "unused-books", "tenant": "unused-inc", "email": "user@unused.example"}
UNUSED_ID = "0f" * 16
PASSING = ("x-request-id", "date", "content-length", "ratelimit", "x-ratelimit", "retry-after")
"""How the names of headers begin that differ from answer to answer."""

_ID = re.compile(r"[0-9a-f]{32}|rs_\w{2}_\w+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)?")


def unused(kind: str) -> str:
    """A name of the kind's form that is in no use."""
    return UNUSED.get(kind, UNUSED_ID)


async def send(
    client: httpx2.AsyncClient,
    line: Line,
    caller: Customer,
    headers: Headers,
    *,
    slot: Slot | None = None,
    value: str = "",
) -> httpx2.Response:
    """Call a line's route with the caller's own things, but `value` in `slot`."""
    names = {name: caller.ids[kind] for name in _in_path(line) if (kind := line.kind(name))}
    names |= _filled(dict(line.values), caller)
    query, body = _filled(dict(line.query), caller), _filled(deepcopy(line.body), caller)
    form = _filled(dict(line.form), caller) if line.form is not None else None
    match slot:
        case Slot(where="path"):
            names[slot.name] = value
        case Slot(where="query"):
            query[slot.name] = value
        case Slot(where="body") if form is not None:
            form[slot.name] = value
        case Slot(where="body"):
            body = _with(body or {}, slot.keys, [value] if slot.many else value)
    url = line.path.format(**names)
    if form is not None:
        files = [(line.file, ("note.md", b"# Note\n\nThe tide is out."))]
        return await client.request(line.method, url, params=query, data=form, files=files, headers=dict(headers))
    return await client.request(line.method, url, params=query, json=body, headers=dict(headers))


def _in_path(line: Line) -> list[str]:
    return re.findall(r"{(\w+)(?::\w+)?}", line.path)


def _filled(value: Any, caller: Customer) -> Any:
    """`value` with each string `{kind}` replaced by the caller's own of that kind; `{mark}` is its mark."""
    match value:
        case str():
            whole = re.fullmatch(r"{([\w ]+)}", value)
            return ({**caller.ids, "mark": caller.mark, "origin": caller.origin}[whole[1]]) if whole else value
        case Mapping():
            return {key: _filled(inner, caller) for key, inner in value.items()}
        case list():
            return [_filled(inner, caller) for inner in value]
        case _:
            return value


def _with(body: Mapping[str, Any], keys: tuple[str, ...], value: object) -> dict[str, Any]:
    first, *rest = keys
    inner = body.get(first)
    within = inner if isinstance(inner, Mapping) else {}
    return {**body, first: _with(within, tuple(rest), value) if rest else value}


def shape(response: httpx2.Response, sent: str, *, moves: bool) -> object:
    """What must not depend on whether `sent` is another customer's or unused."""
    headers = {name: value for name, value in response.headers.items() if not name.startswith(PASSING)}
    if moves and response.is_success:
        return response.status_code, sorted(headers)
    return response.status_code, headers, _TIME.sub("<time>", _ID.sub("<id>", response.text.replace(sent, "<id>")))


def apart(one: object, other: object) -> str:
    """Where two shapes first differ, in few words."""
    first, second = repr(one), repr(other)
    at = next((i for i, (x, y) in enumerate(zip(first, second, strict=False)) if x != y), min(len(first), len(second)))
    return f"…{first[max(at - 40, 0) : at + 120]}… is not …{second[max(at - 40, 0) : at + 120]}…"


def leaks(text: str, stranger: Customer, *, but: str = "") -> list[str]:
    """What of the stranger's shows in a text, other than what the caller has sent."""
    text = text.replace(but, "<sent>").lower() if but else text.lower()
    return [what for what in (stranger.mark, *stranger.ids.values()) if what in text]


def shown(response: httpx2.Response) -> str:
    """All that a response says."""
    return json.dumps(list(response.headers.items())) + response.text
