"""The domain types of Ragstone, shared by all packages.

All are frozen: a step that changes one returns a new one (`dataclasses.replace`).
Character offsets count Unicode code points (Python string indices), start inclusive,
end exclusive, into the canonical Markdown text of one version of one document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WHOLE = re.compile(r"(.*\S) \(([^()]+)\)", re.DOTALL)

MetadataValue = str | int | float | bool
"""The type of a metadata value. Every entry point refuses lists and nested objects."""

DEFAULT_TENANT = "default"
DEFAULT_COLLECTION = "default"
COLLECTION_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""Pattern of collection and tenant names. Every entry point checks it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A tenant and one of its collections; the first argument of every function that reads or writes tenant data."""

    tenant: str = DEFAULT_TENANT
    collection: str = DEFAULT_COLLECTION


class DocumentState(StrEnum):
    """The state of a document. A `failed` one keeps its older version, if any, in searches."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class FileState(StrEnum):
    """The state of one file of a job; all but `pending` are final."""

    PENDING = "pending"
    DONE = "done"
    SKIPPED = "skipped"
    REMOVED = "removed"
    FAILED = "failed"


class JobState(StrEnum):
    """The state of a job: `queued` → `running` → `done` or `failed`.

    A job whose every file failed is `failed`; one with some failures is `done` and
    carries the error of each file.
    """

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Document:
    """A document as stored in SQL.

    `source` identifies it within its collection (`file:///srv/docs/why.md`,
    `upload:report.pdf`, `text:note`); `title` is shown to users. `active_version` is the
    version that searches find; `None` until the first ingestion commits.
    """

    id: str
    scope: Scope
    source: str
    title: str
    media_type: str
    fingerprint: str
    size_bytes: int
    state: DocumentState
    active_version: int | None
    created_at: datetime
    updated_at: datetime
    chunk_count: int = 0
    page_count: int | None = None
    error: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobFile:
    """The outcome of one file of a job; `error` is a message for its owner."""

    source: str
    state: FileState
    document_id: str | None = None
    error_code: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """An ingestion job: a batch of submitted files, as stored in SQL.

    `total` counts files; `done + skipped + removed + failed` of them are finished.
    `files` is filled when one job is read, and empty in listings.
    """

    id: str
    scope: Scope
    state: JobState
    total: int
    done: int
    skipped: int
    removed: int
    failed: int
    chunks: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    files: tuple[JobFile, ...] = ()


@dataclass(frozen=True, slots=True)
class PageSpan:
    """Page `number` (1-based) covers `text[start:end]`. Also slides and sheets."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the text below it, to the next heading of the same or a higher level.

    `path` holds the headings from the outermost to this one, without markup.
    """

    level: int
    path: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """From `start` on, the text lies below the headings of `path`, outermost first."""

    start: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document: `document_text[start:end] == text`, always.

    `headings` are the heading paths of its parts: the first applies from the chunk's start,
    the others begin inside it. `pages` are the pages that it overlaps.
    `table_header` repeats the header rows when the chunk continues a split table: it
    belongs to what is embedded and shown to a model, not to the span.
    """

    id: str
    document_id: str
    version: int
    ordinal: int
    start: int
    end: int
    text: str
    token_count: int
    headings: tuple[Heading, ...] = ()
    pages: tuple[PageSpan, ...] = ()
    table_header: str = ""

    @property
    def heading_path(self) -> tuple[str, ...]:
        """The headings above the chunk's start, outermost first."""
        return self.heading_path_at(self.start)

    @property
    def page_first(self) -> int | None:
        """The first page it overlaps; `None` if there are no pages."""
        return self.pages[0].number if self.pages else None

    @property
    def page_last(self) -> int | None:
        """The last page it overlaps; `None` if there are no pages."""
        return self.pages[-1].number if self.pages else None

    def heading_path_at(self, place: int) -> tuple[str, ...]:
        """The headings above the character at offset `place` of the document."""
        above = [heading.path for heading in self.headings if heading.start <= place]
        return above[-1] if above else ()

    def page_at(self, place: int) -> int | None:
        """The page of the character at offset `place` of the document, or the next page."""
        return next((page.number for page in self.pages if place < page.end), self.page_last)


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: `indices` uint32, strictly ascending; `values` float32, same length.

    Document side: the term-frequency part of BM25. Query side: term counts. The index
    multiplies with the inverse document frequency among the tenant's chunks.
    """

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of a search within its scope. Empty means no limit; fields combine with AND.

    Values within one field combine with OR: `metadata={"lang": ("de", "en")}`.
    """

    documents: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[MetadataValue, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """A search query. `limit` counts passages. `carried`: words of the conversation, which weigh less than `text`."""

    text: str
    filters: Filters = Filters()
    limit: int = 8
    carried: str = ""

    @property
    def whole(self) -> str:
        """All words in one text, the carried ones in brackets behind the others."""
        return f"{self.text} ({self.carried})" if self.carried else self.text


def parts_of_question(whole: str) -> tuple[str, str]:
    """The text and the carried words of `Query.whole`; the second is empty where it carries none."""
    found = _WHOLE.fullmatch(whole)
    return (found[1], found[2]) if found else (whole, "")


@dataclass(frozen=True, slots=True)
class StageScore:
    """The result of one stage for a hit: `rank` is 1-based, `score` is in the stage's own unit."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, with its rank and score in every stage.

    Keys of `stages`: `dense` (cosine), `sparse` (BM25), `fused` (see
    `retrieval.fusion`), later `rerank`. `score` is that of the last stage.
    """

    chunk_id: str
    score: float
    stages: Mapping[str, StageScore]


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit with its text and source, for answers and citations."""

    chunk: Chunk
    title: str
    source: str
    media_type: str
    hit: Hit


class Verdict(StrEnum):
    """What the check of one sentence found; docs/citations.md says how, and how often it is right.

    `quoted`: the sentence is a verbatim span of the passage. `borne_out`: the passage states it in other words, as
    far as the check can tell. `doubtful`: the check cannot tell. `contradicted`: the passage states something else.
    """

    QUOTED = "quoted"
    BORNE_OUT = "borne_out"
    DOUBTFUL = "doubtful"
    CONTRADICTED = "contradicted"


class Outcome(StrEnum):
    """What an answer is: an answer, the closest passages where nothing states one outright, or nothing."""

    ANSWERED = "answered"
    CLOSEST = "closest"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Citation:
    """The source of one sentence of an answer.

    `marker` is the bracketed number in the answer; several citations may share it (one
    passage, several sentences). `start`/`end` is the exact span in the document's text
    and `quote` its text: `document_text[start:end] == quote`. `answer_start` and
    `answer_end` delimit the sentence in the answer's text. `score` in [0, 1] says how
    well the quote supports the sentence; `verdict` is what follows from it.
    """

    marker: int
    document_id: str
    version: int
    title: str
    source: str
    heading_path: tuple[str, ...]
    page: int | None
    start: int
    end: int
    quote: str
    answer_start: int
    answer_end: int
    verdict: Verdict
    score: float

    @property
    def verified(self) -> bool:
        """The old name of "quoted or borne out"."""
        return self.verdict in (Verdict.QUOTED, Verdict.BORNE_OUT)


@dataclass(frozen=True, slots=True)
class ClosestSection:
    """A section of a passage, shown where no sentence answers the question outright.

    `document_text[start:end] == text`; `highlight_start` and `highlight_end` delimit its best sentence, also in the
    document's text. `marker` is the number of the passage, as in the answer's text.
    """

    marker: int
    document_id: str
    version: int
    title: str
    source: str
    heading_path: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    highlight_start: int
    highlight_end: int


@dataclass(frozen=True, slots=True)
class SpellingCorrection:
    """A word of the question that no document holds, and the word of the documents that was searched for instead."""

    typed: str
    searched: str


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that one answer used. `input_tokens` includes the cached ones.

    `estimated`: counted by Ragstone, not reported by the model.
    """

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and its evidence.

    `outcome` says whether it answers; if not, `text` says so, and `closest` holds the sections that it shows.
    `corrections` are the words that were searched for in another spelling. `warnings` name what a reader should
    know of the sources, for example `instructions_in_source`. `degraded` names each fallback that was used, for
    example `llm_unavailable`. `removed_markers` counts citation markers without a passage, `uncited_sentences` the
    sentences without a citation, which could not be checked.
    """

    text: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    usage: Usage
    outcome: Outcome = Outcome.ANSWERED
    closest: tuple[ClosestSection, ...] = ()
    corrections: tuple[SpellingCorrection, ...] = ()
    warnings: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    removed_markers: int = 0
    uncited_sentences: int = 0

    @property
    def abstained(self) -> bool:
        """Whether the text gives no answer: the outcome is `closest` or `nothing`."""
        return self.outcome is not Outcome.ANSWERED


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange of a conversation."""

    question: str
    answer: str


REQUESTS_WINDOW_S = 3600
"""The window in which the requests of a plan are counted, in seconds."""


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """The state of a tenant's rate limit after a request; `limit` None: its plan has none.

    `reset_s` is the time until there is more room, `overage` whether this request is
    beyond the limit, `shared` whether all servers share the count.
    """

    limit: int | None
    remaining: int
    reset_s: float
    overage: bool = False
    shared: bool = False
