"""Response bodies, read from the nouns inside by attribute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Self

from pydantic import AliasPath, BaseModel, ConfigDict, Field

from ragstone.api.examples import (
    CITATION,
    CONVERSATION,
    CONVERSATION_ID,
    DOCUMENT,
    DOCUMENT_ID,
    JOB,
    PASSAGE,
    TURN_ID,
    USAGE,
    shown,
)
from ragstone.vocabulary import Answer, Document, DocumentState, FileState, JobState, MetadataValue


class Out(BaseModel):
    """Base of response bodies, read from the nouns by attribute."""

    model_config = ConfigDict(from_attributes=True, validate_by_name=True)


class DocumentOut(Out):
    """One document."""

    model_config = ConfigDict(json_schema_extra=shown(DOCUMENT))

    id: str
    collection: str = Field(validation_alias=AliasPath("scope", "collection"))
    source: str = Field(description="Identifies it within its collection, for example `upload:report.pdf`.")
    title: str
    media_type: str
    fingerprint: str = Field(description="Equal for equal bytes that are treated equally.")
    size_bytes: int
    state: DocumentState
    active_version: int | None = Field(description="The version that searches see; null until the first is ready.")
    created_at: datetime
    updated_at: datetime
    chunk_count: int
    page_count: int | None
    error: str | None = Field(description="Why the newest bytes could not be read; an older version stays in service.")
    metadata: Mapping[str, MetadataValue]


class DocumentPage(Out):
    """Some documents, ordered by source."""

    model_config = ConfigDict(json_schema_extra=shown({"documents": [DOCUMENT], "next": None}))

    documents: list[DocumentOut]
    next: str | None = Field(description="Send it as `after` for the next page; null on the last page.")

    @classmethod
    def of(cls, found: list[Document], *, limit: int) -> Self:
        """The first `limit` of `found`, which holds one more where another page follows."""
        page = [DocumentOut.model_validate(document) for document in found[:limit]]
        return cls(documents=page, next=page[-1].id if len(found) > limit else None)


class TextOut(Out):
    """The canonical Markdown text of a document, or a span of it; citations count its characters."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "document_id": DOCUMENT_ID,
                "version": 1,
                "page_count": None,
                "length": 59,
                "start": 19,
                "end": 59,
                "text": "Water boils at 100 degrees at sea level.",
            }
        )
    )

    document_id: str
    version: int
    page_count: int | None = None
    length: int = Field(description="Characters (Unicode code points) of the whole text.")
    start: int = Field(description="Where `text` begins in it.")
    end: int = Field(description="Where `text` ends in it, exclusive.")
    text: str


class FileOut(Out):
    """What became of one file of a job."""

    source: str
    state: FileState
    document_id: str | None
    error_code: str | None
    error: str | None = Field(description="What is wrong with the file, and what to do.")
    warnings: list[str] = Field(description="What was lost, for example pages without text.")


class JobOut(Out):
    """A batch of files on their way into the index."""

    model_config = ConfigDict(json_schema_extra=shown(JOB))

    id: str
    collection: str = Field(validation_alias=AliasPath("scope", "collection"))
    state: JobState
    total: int = Field(description="Files; `done + skipped + removed + failed` of them are finished.")
    done: int
    skipped: int = Field(description="Files whose bytes had not changed.")
    removed: int
    failed: int
    chunks: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    files: list[FileOut] = Field(description="The fate of each file; empty in listings.")


class JobList(Out):
    """The latest jobs, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"jobs": [{**JOB, "files": []}]}))

    jobs: list[JobOut]


class StandingOut(Out):
    """Where one stage put a passage: rank from 1, score in the stage's own unit."""

    rank: int
    score: float


class PassageOut(Out):
    """A part of a document that bears on the question, with its standing in every stage that saw it."""

    chunk_id: str = Field(validation_alias=AliasPath("chunk", "id"))
    document_id: str = Field(validation_alias=AliasPath("chunk", "document_id"))
    version: int = Field(validation_alias=AliasPath("chunk", "version"))
    title: str
    source: str
    media_type: str
    heading_path: list[str] = Field(validation_alias=AliasPath("chunk", "heading_path"))
    page_first: int | None = Field(validation_alias=AliasPath("chunk", "page_first"))
    page_last: int | None = Field(validation_alias=AliasPath("chunk", "page_last"))
    start: int = Field(validation_alias=AliasPath("chunk", "start"))
    end: int = Field(validation_alias=AliasPath("chunk", "end"))
    text: str = Field(validation_alias=AliasPath("chunk", "text"))
    score: float = Field(validation_alias=AliasPath("hit", "score"), description="Score of the last stage.")
    stages: Mapping[str, StandingOut] = Field(
        validation_alias=AliasPath("hit", "stages"),
        description="`dense` (cosine), `sparse` (BM25) and `fused`; a stage that did not see it is missing.",
    )


class SearchOut(Out):
    """Passages, best first."""

    model_config = ConfigDict(json_schema_extra=shown({"passages": [PASSAGE], "degraded": []}))

    passages: list[PassageOut]
    degraded: list[str] = Field(description="Fallbacks that acted, for example a leg of the search that was down.")


class RetrievedOut(Out):
    """Event `retrieved`: what the answer will be written from. `question` is what was looked up."""

    question: str
    passages: list[PassageOut]
    degraded: list[str]


class DeltaOut(Out):
    """Event `delta`: text to append to the answer. `restart`: what came before is void."""

    text: str
    restart: bool


class CitationOut(Out):
    """Event `citation`, and part of an answer: where one sentence comes from, and whether that bears it out."""

    marker: int
    document_id: str
    version: int
    title: str
    source: str
    heading_path: list[str]
    page: int | None
    start: int
    end: int
    quote: str
    answer_start: int
    answer_end: int
    verified: bool
    score: float


class UsageOut(Out):
    """Tokens one answer cost; `input_tokens` includes the cached ones."""

    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int


class AnswerOut(Out):
    """An answer and its evidence; also the event `done`."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "conversation_id": CONVERSATION_ID,
                "turn_id": TURN_ID,
                "text": "Water boils at 100 degrees at sea level [1].",
                "citations": [CITATION],
                "passages": [PASSAGE],
                "usage": USAGE,
                "abstained": False,
                "degraded": [],
                "removed_markers": 0,
                "uncited_sentences": 0,
            }
        )
    )

    conversation_id: str = ""
    turn_id: str = Field("", description="The exchange within the conversation, for feedback on it.")
    text: str = Field(description="The answer; `[1]` cites the citations with marker 1.")
    citations: list[CitationOut]
    passages: list[PassageOut]
    usage: UsageOut
    abstained: bool = Field(description="Whether nothing in the collection bears on the question.")
    degraded: list[str] = Field(description="Fallbacks that acted, for example `llm_unavailable`.")
    removed_markers: int = Field(description="Citation markers that pointed nowhere and were taken out.")
    uncited_sentences: int = Field(description="Sentences without a marker: nobody has checked them.")

    @classmethod
    def of(cls, answer: Answer, *, conversation_id: str, turn_id: str = "") -> Self:
        """An answer as part of its conversation."""
        return cls.model_validate(answer).model_copy(update={"conversation_id": conversation_id, "turn_id": turn_id})


class TurnOut(Out):
    """One exchange. `condensed` is the question as it was looked up."""

    id: str
    question: str
    condensed: str
    answer: str
    citations: list[CitationOut]
    abstained: bool
    degraded: list[str]
    usage: UsageOut
    created_at: datetime


class ConversationSummary(Out):
    """A conversation without its turns."""

    id: str
    title: str
    created_at: datetime
    updated_at: datetime


class ConversationList(Out):
    """The conversations last used, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"conversations": [CONVERSATION]}))

    conversations: list[ConversationSummary]


class ConversationOut(ConversationSummary):
    """A conversation with all its turns, oldest first."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                **CONVERSATION,
                "turns": [
                    {
                        "id": TURN_ID,
                        "question": "At what temperature does water boil?",
                        "condensed": "At what temperature does water boil?",
                        "answer": "Water boils at 100 degrees at sea level [1].",
                        "citations": [CITATION],
                        "abstained": False,
                        "degraded": [],
                        "usage": USAGE,
                        "created_at": "2026-11-21T10:01:00Z",
                    }
                ],
            }
        )
    )

    turns: list[TurnOut]


class StatsOut(Out):
    """What a collection holds."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"documents": 1, "chunks": 1, "bytes": 60, "jobs": {"queued": 0, "running": 0, "done": 1, "failed": 0}}
        )
    )

    documents: int
    chunks: int
    bytes: int = Field(description="Bytes of the files as they were submitted.")
    jobs: Mapping[JobState, int]


class HealthOut(Out):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra=shown({"status": "alive"}))

    status: str = "alive"


class PartOut(Out):
    """One part: whether it works, and if not, what to look at."""

    ok: bool
    detail: str


class ReadyOut(Out):
    """Whether questions can be answered and documents taken, part by part."""

    model_config = ConfigDict(
        json_schema_extra=shown({"ready": True, "parts": {"database": {"ok": True, "detail": "answers"}}})
    )

    ready: bool
    parts: Mapping[str, PartOut]
