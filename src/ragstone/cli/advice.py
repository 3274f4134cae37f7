"""What to do about a failure, by its code and where it happened: one sentence and a command to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
