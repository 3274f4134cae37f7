"""Command `ragstone operate errors`: recent failures by code, stage and upstream, with their fixes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import AsJson, DataDir, ExitCode, run, seconds_of, settings_for
from ragstone.cli.output import say, say_json, say_table
from ragstone.errors import InvalidInput

if TYPE_CHECKING:
    from ragstone.settings import Settings
    from ragstone.storage.failure_log import FailureGroup

CHECK_SERVER = "Check it with `ragstone operate circuits`."
UNKNOWN = "Look for its request id in the log of the server; RAGSTONE_LOG__LEVEL=debug adds details."

BY_CODE: Mapping[str, str] = {
    "internal": "A defect, or an error of a library. Look for the request id in the log of the server, and report it.",
    "invalid_input": "Callers send invalid requests. `detail` of the answer names the fault; see docs/api.md.",
    "invalid_question": "Questions were empty or too long. RAGSTONE_RETRIEVAL__MAX_QUESTION_CHARS is the limit.",
    "invalid_vector": "A vector was not finite. Check the embedding model: `ragstone doctor`.",
    "too_large": "Bodies exceed RAGSTONE_SERVER__MAX_BODY_BYTES, or files RAGSTONE_INGESTION__MAX_FILE_BYTES.",
    "unauthenticated": "Keys are missing, wrong or revoked. List the keys with `ragstone accounts keys`.",
    "forbidden": "Keys lack a permission. List their permissions with `ragstone accounts keys`.",
    "not_found": "The object does not exist or belongs to another tenant. List documents with `ragstone documents`.",
    "unsupported_media_type": "No parser reads such files. The formats are in docs/formats.md.",
    "unreadable_document": "Files are damaged. `ragstone jobs` names each file and the reason.",
    "empty_document": "Files have no text, such as scans. `ocrmypdf in.pdf out.pdf` adds text.",
    "encrypted_document": "Files need a password. Save copies without one.",
    "parser_limit": "Files exceed a limit. `ragstone jobs ID` names it; RAGSTONE_PARSER__… raises it.",
    "conflict": "Two callers changed the same thing. Nothing is broken; the later caller has to try again.",
    "quota_exceeded": "A plan is full. Assign another: `ragstone accounts tenants change TENANT --plan …`.",
    "rate_limited": "A plan's limit was reached. `ragstone accounts usage --by-key` shows the callers.",
    "configuration": "A setting is invalid: `ragstone doctor` names it.",
    "data_directory": "The data directory is missing, full or read-only: `ragstone doctor`.",
    "port_in_use": "Another process has the port. End it, or set RAGSTONE_SERVER__PORT.",
    "model_file": "The weights are missing or altered: `ragstone doctor`.",
    "unavailable": "A part does not answer: `ragstone doctor` names it, `/ready` too.",
    "index_unavailable": "The index does not answer. `ragstone doctor`; if it is damaged, `ragstone rebuild`.",
    "model_unavailable": "The model does not answer, or refuses its key: `ragstone doctor` asks it for its list.",
    "upstream_unavailable": f"The upstream server of the chats does not answer, or stops. {CHECK_SERVER}",
    "answer_broke_off": f"Answers ended before they were complete; readers got an error. {CHECK_SERVER}",
    "no_index": "The interceptor alone has no index; it queries a pipeline. Local documents need `ragstone serve`.",
    "circuit_open": f"The server failed too often, so calls stop for RAGSTONE_UPSTREAM__OPEN_S. {CHECK_SERVER}",
    "overloaded": "The call limit was reached. If the server can take more, raise RAGSTONE_UPSTREAM__MAX_CALLS.",
    "timeout": "A time limit was exceeded. `ragstone operate metrics` shows which stage is slow.",
}
"""Hint for each code of `errors.py`, and for failures without an exception."""

BY_STAGE: Mapping[tuple[str, str], str] = {
    (
        "retrieve",
        "timeout",
    ): "Retrieval exceeded RAGSTONE_INTERCEPTOR__BUDGET_S; the chats went on without passages. "
    "`ragstone operate metrics` shows which stage is slow.",
    ("retrieve", "upstream_unavailable"): "The pipeline does not answer; the chats went on without passages. "
    "Check its token and id: `ragstone doctor`.",
    ("retrieve", "configuration"): "The pipeline's token or id is refused; the chats went on without passages: "
    "`ragstone operate validate-config`.",
    ("ingest", "unavailable"): "A part was down during ingestion. `ragstone jobs dead` lists the files, "
    "`ragstone jobs replay --all` retries them.",
    ("ingest", "internal"): "A defect during ingestion: `ragstone jobs dead`, and the log of the worker.",
}
"""Hint for a code at one stage; replaces the hint of the code."""

BY_CLASS: Mapping[str, str] = {
    "TimeoutError": "timeout",
    "ConnectionError": "unavailable",
    "ConnectionRefusedError": "unavailable",
    "ConnectionResetError": "unavailable",
    "OSError": "unavailable",
}
"""Code for exceptions without one."""


def advice(code: str, stage: str, errors: Sequence[str] = ()) -> str:
    """Hint for failures of a code at a stage; `errors` are exception classes, most frequent first."""
    if code == "internal" and errors and errors[0] in BY_CLASS:
        code = BY_CLASS[errors[0]]
    return BY_STAGE.get((stage, code)) or BY_CODE.get(code) or UNKNOWN


WAYS = ("code", "stage", "upstream")
MAX_SINCE_S = 366 * 86_400.0  # longer than the table reaches
EXAMPLES = 3
BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Errors:
    """Group of failures; `*` stands for several values. `share` is of all failures in the period."""

    code: str
    stage: str
    upstream: str
    count: int
    share: float
    first: datetime
    last: datetime
    requests: Sequence[str]
    per_minute: Sequence[int]
    classes: Sequence[str]
    advice: str


@run
async def errors(
    *,
    since: Annotated[str, typer.Option(metavar="TIME", help="Period up to now, such as 30m, 1h or 7d.")] = "1h",
    by: Annotated[
        str | None, typer.Option(metavar="|".join(WAYS), help="Group by one. [default: by all three]")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Show recent failures and their fixes.

    Reads the failure table, which keeps RAGSTONE_TELEMETRY__MAX_FAILURES failures.
    """
    if by is not None and by not in WAYS:
        raise InvalidInput(f"Errors cannot be grouped by {by[:40]!r}. Use one of {', '.join(WAYS)}.")
    groups = await _groups(settings_for(data_dir), min(seconds_of(since), MAX_SINCE_S))
    found = merged(groups, by)
    if as_json:
        say_json({"since": since, "errors": found})
    else:
        _show_errors(found, since)
    return ExitCode.OK


async def _groups(settings: Settings, seconds: float) -> Sequence[FailureGroup]:
    from ragstone.storage.failure_log import FailureLog
    from ragstone.wiring import open_records

    async with open_records(settings) as records:
        log = FailureLog(records.storage.database, most=settings.telemetry.max_failures)
        return await log.grouped(datetime.now(UTC) - timedelta(seconds=seconds))


def merged(groups: Sequence[FailureGroup], by: str | None) -> list[Errors]:
    """Merge groups by their code, stage or upstream (None: no merge); the most frequent first."""
    alike: defaultdict[tuple[str, str, str], list[FailureGroup]] = defaultdict(list)
    for group in groups:
        full = {"code": group.code, "stage": group.stage, "upstream": group.upstream}
        key = full if by is None else {name: value if name == by else "" for name, value in full.items()}
        alike[key["code"], key["stage"], key["upstream"]].append(group)
    return sorted(map(_one, alike.values()), key=lambda one: (-one.count, one.code, one.stage, one.upstream))


def _one(groups: Sequence[FailureGroup]) -> Errors:
    code, stage = _common(group.code for group in groups), _common(group.stage for group in groups)
    latest_first = sorted(groups, key=lambda group: group.last, reverse=True)
    requests = dict.fromkeys(request for group in latest_first for request in group.requests)
    most = max(groups, key=lambda group: group.count)
    return Errors(
        code=code,
        stage=stage,
        upstream=_common(group.upstream for group in groups),
        count=sum(group.count for group in groups),
        share=sum(group.share for group in groups),
        first=min(group.first for group in groups),
        last=latest_first[0].last,
        requests=list(requests)[:EXAMPLES],
        per_minute=[sum(minute) for minute in zip(*(group.per_minute for group in groups), strict=True)],
        classes=list(dict.fromkeys(name for group in groups for name in group.errors)),
        advice=advice(most.code, most.stage, most.errors),
    )


def _common(values: Iterable[str]) -> str:
    different = set(values)
    return different.pop() if len(different) == 1 else "*"


def _show_errors(found: Sequence[Errors], since: str) -> None:
    if not found:
        say(f"No failure was recorded in the last {since}.")
        return
    columns = ("COUNT", "SHARE", "CODE", "STAGE", "UPSTREAM", "FIRST", "LAST", "COURSE", "REQUESTS")
    say_table(columns, [_row(one) for one in found])
    say()
    for text in dict.fromkeys(_advised(one) for one in found):
        say(text)


def _advised(one: Errors) -> str:
    where = " ".join(part for part in (one.code, one.stage) if part != "*")
    return f"{where}: {one.advice}"


def _row(one: Errors) -> tuple[object, ...]:
    return (
        one.count,
        f"{one.share:.0%}",
        one.code,
        one.stage,
        one.upstream or "-",
        *(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (one.first, one.last)),
        sparkline(one.per_minute),
        ", ".join(one.requests) or "-",
    )


def sparkline(counts: Sequence[int]) -> str:
    """Counts as at most `SPARK_WIDTH` blocks, oldest first; a blank is 0, the full block is the maximum."""
    width = min(SPARK_WIDTH, len(counts))
    parts = [sum(counts[len(counts) * at // width : len(counts) * (at + 1) // width]) for at in range(width)]
    top = max(parts, default=0)
    return "".join(BLOCKS[-(-part * len(BLOCKS) // top) - 1] if part else " " for part in parts)
