"""`ragstone operate errors`: what failed lately, how often, since when, and what to do about it."""

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

CHECK_SERVER = "See how it does: `ragstone operate circuits`."
UNKNOWN = "Look for its request id in the log of the server; with RAGSTONE_LOG__LEVEL=debug it tells more."

BY_CODE: Mapping[str, str] = {
    "internal": "A defect, or a library's error. Look for the request id in the log of the server, and report it.",
    "invalid_input": "Callers send what cannot be used. The problem's `detail` told them what; see docs/api.md.",
    "invalid_question": "Questions were empty or too long. RAGSTONE_RETRIEVAL__MAX_QUESTION_CHARS is the limit.",
    "invalid_vector": "A vector was not finite. Check the embedding model: `ragstone doctor`.",
    "too_large": "Bodies exceed RAGSTONE_SERVER__MAX_BODY_BYTES, or files RAGSTONE_INGESTION__MAX_FILE_BYTES.",
    "unauthenticated": "Keys are missing, wrong or revoked. See which there are: `ragstone accounts keys`.",
    "forbidden": "Keys lack a permission. See what each may do: `ragstone accounts keys`.",
    "not_found": "Something was asked for that is not there, or is another tenant's. `ragstone documents` lists.",
    "unsupported_media_type": "No parser reads such files. The formats are in docs/formats.md.",
    "unreadable_document": "Files are damaged. `ragstone jobs` names each, and why.",
    "empty_document": "Files hold no text, such as scans. `ocrmypdf in.pdf out.pdf` gives them some.",
    "encrypted_document": "Files need a password. Save copies without one.",
    "parser_limit": "Files reach a limit. `ragstone jobs ID` names it; RAGSTONE_PARSER__… raises it.",
    "conflict": "Two callers changed the same thing. Nothing is broken; the later one has to try again.",
    "quota_exceeded": "A plan has no more room. Give another: `ragstone accounts tenants change TENANT --plan …`.",
    "rate_limited": "A plan's limit was reached. See who: `ragstone accounts usage --by-key`.",
    "configuration": "A setting has to change: `ragstone operate validate-config`.",
    "data_directory": "The data directory is missing, full or read-only: `ragstone doctor`.",
    "port_in_use": "Another process has the port. End it, or set RAGSTONE_SERVER__PORT.",
    "model_file": "The weights are missing or altered: `ragstone doctor`.",
    "unavailable": "A part does not answer: `ragstone doctor` names it, `/ready` too.",
    "index_unavailable": "The index does not answer. `ragstone doctor`; if it is damaged, `ragstone rebuild`.",
    "model_unavailable": "The model does not answer, or refuses its key: `ragstone doctor` asks it for its list.",
    "upstream_unavailable": f"The server that chats go on to does not answer, or breaks off. {CHECK_SERVER}",
    "answer_broke_off": f"Answers ended in their middle; readers were told. {CHECK_SERVER}",
    "no_index": "`ragstone intercept` has no index: it looks up pipelines only. Documents here need `ragstone serve`.",
    "circuit_open": f"It failed too often, so it is left alone for RAGSTONE_UPSTREAM__OPEN_S. {CHECK_SERVER}",
    "overloaded": "No place was free. If that server bears more, raise RAGSTONE_UPSTREAM__MAX_CALLS.",
    "timeout": "It took longer than it may. `ragstone operate metrics` shows which stage is slow.",
}
"""One sentence for each code of `errors.py`, and for what is noted without an exception."""

BY_STAGE: Mapping[tuple[str, str], str] = {
    ("retrieve", "timeout"): "Retrieval took longer than RAGSTONE_INTERCEPTOR__BUDGET_S; the chats went on without. "
    "`ragstone operate metrics` shows which stage is slow.",
    ("retrieve", "upstream_unavailable"): "The pipeline does not answer; the chats went on without. "
    "Check its token and id: `ragstone operate validate-config`.",
    ("retrieve", "configuration"): "The pipeline's token or id is refused; the chats went on without: "
    "`ragstone operate validate-config`.",
    ("ingest", "unavailable"): "A part was down while documents came in. `ragstone jobs dead` lists what gave up, "
    "`ragstone jobs replay --all` tries it again.",
    ("ingest", "internal"): "A defect while documents came in: `ragstone jobs dead`, and the log of the worker.",
}
"""What is better said for a code at one stage."""

BY_CLASS: Mapping[str, str] = {
    "TimeoutError": "timeout",
    "ConnectionError": "unavailable",
    "ConnectionRefusedError": "unavailable",
    "ConnectionResetError": "unavailable",
    "OSError": "unavailable",
}
"""What exceptions without a code of ours mean."""


def advice(code: str, stage: str, errors: Sequence[str] = ()) -> str:
    """What to do about failures of a code at a stage; `errors` are classes of exceptions, most frequent first."""
    if code == "internal" and errors and errors[0] in BY_CLASS:
        code = BY_CLASS[errors[0]]
    return BY_STAGE.get((stage, code)) or BY_CODE.get(code) or UNKNOWN


WAYS = ("code", "stage", "upstream")
MAX_SINCE_S = 366 * 86_400.0  # the table holds far less
EXAMPLES = 3
BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Errors:
    """Failures that have something in common; `*` stands for several. `share` is of all failures in the time."""

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
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back, such as 30m, 1h or 7d.")] = "1h",
    by: Annotated[
        str | None, typer.Option(metavar="|".join(WAYS), help="Put together by one. [default: by all three]")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Show what failed lately, and what to do about it.

    From the table of recent failures; RAGSTONE_TELEMETRY__MAX_FAILURES are kept.
    """
    if by is not None and by not in WAYS:
        raise InvalidInput(f"Errors cannot be put together by {by[:40]!r}. Use one of {', '.join(WAYS)}.")
    groups = await _groups(settings_for(data_dir), min(seconds_of(since), MAX_SINCE_S))
    found = merged(groups, by)
    if as_json:
        say_json({"since": since, "errors": found})
    else:
        _tell(found, since)
    return ExitCode.OK


async def _groups(settings: Settings, seconds: float) -> Sequence[FailureGroup]:
    from ragstone.storage.failure_log import FailureLog
    from ragstone.wiring import open_records

    async with open_records(settings) as records:
        log = FailureLog(records.database, most=settings.telemetry.max_failures)
        return await log.grouped(datetime.now(UTC) - timedelta(seconds=seconds))


def merged(groups: Sequence[FailureGroup], by: str | None) -> list[Errors]:
    """The groups put together by their code, stage or upstream, or left apart; the most frequent first."""
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


def _tell(found: Sequence[Errors], since: str) -> None:
    if not found:
        say(f"Nothing has failed in the last {since}, as far as servers and workers have written it down.")
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
    """The course as blocks, oldest first, at most `SPARK_WIDTH` of them; a blank is none, the top is the most."""
    width = min(SPARK_WIDTH, len(counts))
    parts = [sum(counts[len(counts) * at // width : len(counts) * (at + 1) // width]) for at in range(width)]
    top = max(parts, default=0)
    return "".join(BLOCKS[-(-part * len(BLOCKS) // top) - 1] if part else " " for part in parts)
