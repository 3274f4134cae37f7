"""What visitors of a customer's web site send and get to see.

Everybody can read it, so it names no file of the server, no model and no other passages
than those that are quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import ConfigDict, Field

from ragstone.api.examples import CONVERSATION_ID, TURN_ID, shown
from ragstone.api.requests import Id, PlainText, Request
from ragstone.api.responses import Out
from ragstone.api.widgets import WIDGET_ID, WidgetSettings
from ragstone.chat.ask import Finished, Retrieved
from ragstone.chat.feedback import MAX_COMMENT_CHARS
from ragstone.vocabulary import Citation, Passage

WEB_SCHEMES = ("https://", "http://")


class VisitorQuestion(Request):
    """A visitor's question."""

    model_config = ConfigDict(json_schema_extra=shown({"question": "At what temperature does water boil?"}))

    question: PlainText = Field(description="The question, in words.")
    conversation_id: Id | None = Field(None, description="The conversation to go on with; without it, a new one.")
    widget: Id | None = Field(None, description="The widget that asks; it says which collection is asked.")


class VisitorFeedback(Request):
    """What a visitor says of an answer."""

    model_config = ConfigDict(
        json_schema_extra=shown({"conversation_id": CONVERSATION_ID, "turn_id": TURN_ID, "rating": 1})
    )

    conversation_id: Id
    turn_id: Id
    rating: Literal[1, -1] = Field(description="1: good, -1: bad.")
    comment: PlainText = Field("", max_length=MAX_COMMENT_CHARS, description="Why, in words.")
    widget: Id | None = Field(None, description="The widget that the question was asked in.")


class ConfigOut(Out):
    """How the chat is to look."""

    model_config = ConfigDict(json_schema_extra=shown({"id": WIDGET_ID, "settings": WidgetSettings().model_dump()}))

    id: str | None = Field(description="The widget; null if none was named, and these are the defaults.")
    settings: WidgetSettings


class SourceOut(Out):
    """Where a part of an answer may come from."""

    title: str
    page: int | None
    url: str | None = Field(description="Its address, if it is a page of the web.")

    @classmethod
    def of(cls, passage: Passage) -> Self:
        """What a visitor may know of a passage."""
        return cls(title=passage.title, page=passage.chunk.page_first, url=web_address(passage.source))


class QuoteOut(Out):
    """Where one sentence of an answer comes from, and whether that bears it out."""

    marker: int
    title: str
    heading_path: list[str]
    page: int | None
    url: str | None = Field(description="Its address, if it is a page of the web.")
    quote: str
    answer_start: int
    answer_end: int
    verified: bool

    @classmethod
    def of(cls, citation: Citation) -> Self:
        """What a visitor may know of a citation."""
        return cls(
            marker=citation.marker,
            title=citation.title,
            heading_path=list(citation.heading_path),
            page=citation.page,
            url=web_address(citation.source),
            quote=citation.quote,
            answer_start=citation.answer_start,
            answer_end=citation.answer_end,
            verified=citation.verified,
        )


class VisitorRetrievedOut(Out):
    """Event `retrieved`: what the answer will be written from."""

    question: str
    sources: list[SourceOut]
    degraded: list[str]

    @classmethod
    def of(cls, event: Retrieved, *, with_sources: bool) -> Self:
        """The event for a visitor; each source once."""
        sources = [SourceOut.of(passage) for passage in event.passages] if with_sources else []
        return cls(question=event.question, sources=_once(sources), degraded=list(event.degraded))


class VisitorAnswerOut(Out):
    """An answer and its evidence; also the event `done`."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "conversation_id": CONVERSATION_ID,
                "turn_id": TURN_ID,
                "text": "Water boils at 100 degrees at sea level [1].",
                "citations": [
                    {
                        "marker": 1,
                        "title": "Notes",
                        "heading_path": ["Notes"],
                        "page": None,
                        "url": None,
                        "quote": "Water boils at 100 degrees at sea level.",
                        "answer_start": 0,
                        "answer_end": 44,
                        "verified": True,
                    }
                ],
                "abstained": False,
                "degraded": [],
            }
        )
    )

    conversation_id: str
    turn_id: str = Field(description="The exchange within the conversation, for feedback on it.")
    text: str = Field(description="The answer; `[1]` cites the citations with marker 1.")
    citations: list[QuoteOut] = Field(description="Empty where the widget shows no sources.")
    abstained: bool = Field(description="Whether nothing that is known bears on the question.")
    degraded: list[str] = Field(description="Fallbacks that acted, for example `llm_unavailable`.")

    @classmethod
    def of(cls, event: Finished, *, with_sources: bool) -> Self:
        """The answer for a visitor."""
        answer = event.answer
        return cls(
            conversation_id=event.conversation_id,
            turn_id=event.turn_id,
            text=answer.text,
            citations=[QuoteOut.of(citation) for citation in answer.citations] if with_sources else [],
            abstained=answer.abstained,
            degraded=list(answer.degraded),
        )


def web_address(source: str) -> str | None:
    """The source if visitors can open it; the names of files are nobody's business."""
    return source if source.startswith(WEB_SCHEMES) else None


def _once(sources: Sequence[SourceOut]) -> list[SourceOut]:
    return list({(source.title, source.page, source.url): source for source in sources}.values())
