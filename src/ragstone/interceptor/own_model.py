"""The platform's own answerer as the model of a chat; it needs no other server and no key.

Questions are answered from the tenant's documents. Auxiliary requests of a chat program,
such as for a title, go to the plan's language model without documents; without a model, a
title is made by rule, and other requests are told that no model is set up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from ragstone.chat.ask import Chat, Exchange
from ragstone.chat.condense import content_words
from ragstone.errors import InvalidInput, ModelUnavailable
from ragstone.generation.base import Delta
from ragstone.generation.notices import language_of, notice, searched_for
from ragstone.http.streaming import Refusal, Writer
from ragstone.interceptor.enrich import MAX_QUESTION_CHARS
from ragstone.interceptor.handle import WIRE_FORMATS
from ragstone.interceptor.policy import Decision
from ragstone.interceptor.request import OWN_MODEL, ChatRequest, ParsedChat, retrieval_text, text_of
from ragstone.interceptor.sources import Linker, cited, source_list, sources_of, url_citations
from ragstone.interceptor.wire_format import OwnAnswer
from ragstone.llm.base import Message
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Answer, Citation, Usage

MAX_TITLE_WORDS = 5
MAX_PLAIN_TOKENS = 800
AGAIN = "\n\n---\n\n"
"""Separates a text that broke off from the one that replaces it: streamed text cannot be withdrawn."""
UNDETERMINED = "und"  # ISO 639-2; LibreChat asks for the language, and does nothing with it

_FIRST_MESSAGE = re.compile(r"^User:\s*(.+)$", re.MULTILINE)


class OwnModel:
    """See `handle.OwnAnswerer`."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def answer(
        self,
        request: ChatRequest,
        chat: ParsedChat,
        decision: Decision,
        settings: TenantSettings,
        link: Linker,
        writer: Writer,
    ) -> None:
        """Answer one chat; `decision` says whether from documents.

        Raises:
            InvalidInput: there is no question.
            NotFound: there is no such collection.
        """
        question = retrieval_text(chat, MAX_QUESTION_CHARS)
        if not question.strip():
            raise InvalidInput("The last message of the user holds no text. Write a question.")
        exchange = await self._chat.begin(
            request.principal.scope(settings.knowledge.collection),
            question,
            principal=request.principal,
            overage=request.overage,
            history=chat.history,
            limit=settings.interceptor.limit,
        )
        answer = _AnswerWriter(
            WIRE_FORMATS[request.wire_format].own_answer(OWN_MODEL, request.request_id), chat.stream, writer
        )
        try:
            if decision.enrich:
                await self._from_documents(exchange, answer, link if settings.interceptor.source_list else None)
            else:
                await self._plain(exchange, request.parsed, answer, decision)
        finally:
            await self._chat.release(exchange)

    async def _from_documents(self, exchange: Exchange, writer: _AnswerWriter, link: Linker | None) -> None:
        found = await self._chat.retrieve(exchange)
        await writer.begin(f"answered; sources={len(found.passages)}")
        citations: list[Citation] = []
        async with aclosing(self._chat.generate(exchange, found)) as events:
            async for event in events:
                match event:
                    case Delta():
                        await writer.add(AGAIN + event.text if event.restart else event.text)
                    case Citation():
                        citations.append(event)
                    case Answer():
                        if event.corrections:  # behind the answer: citations count its characters
                            await writer.add(f"\n\n*{searched_for(exchange.question, event.corrections)}*")
                        await self._end(writer, event, citations, link)

    async def _end(
        self, writer: _AnswerWriter, answer: Answer, citations: Sequence[Citation], link: Linker | None
    ) -> None:
        noted: Sequence[Mapping[str, Any]] = ()
        if link is not None:
            sources = sources_of(answer.passages, link)
            await writer.add(source_list(sources, cited(answer.text, len(sources))))
            noted = url_citations(answer.text, citations, sources)
        await writer.end(answer.usage, noted)

    async def _plain(
        self, exchange: Exchange, body: Mapping[str, Any], writer: _AnswerWriter, decision: Decision
    ) -> None:
        await writer.begin(f"bypass; reason={decision.reason}")
        if decision.reason == "title" and "response_format" in body:
            await writer.add(titled_object(title_of(exchange.question)))
            await writer.end(Usage(OWN_MODEL), ())
            return
        has_text = False
        try:
            async with aclosing(
                self._chat.complete(exchange, messages_of(body), max_tokens=MAX_PLAIN_TOKENS)
            ) as pieces:
                async for piece in pieces:
                    has_text = True
                    await writer.add(piece)
        except ModelUnavailable:
            if has_text:
                raise
        if not has_text:
            await writer.add(title_of(exchange.question) if decision.reason == "title" else no_model(exchange.question))
        usage = exchange.meter.spent.usage
        await writer.end(usage[-1] if usage else Usage(OWN_MODEL), ())


class _AnswerWriter:
    """Writes one answer: streamed, or gathered and sent whole."""

    def __init__(self, wire: OwnAnswer, streamed: bool, writer: Writer) -> None:
        self._wire = wire
        self._streamed = streamed
        self._writer = writer
        self._status = ""
        self._text = ""

    async def begin(self, status: str) -> None:
        self._status = status
        if self._streamed:
            headers = [("content-type", "text/event-stream; charset=utf-8"), ("x-accel-buffering", "no")]
            await self._writer.start(200, [*headers, ("x-ragstone-status", status)], streaming=True)
            await self._writer.write(self._wire.begin())

    async def add(self, text: str) -> None:
        self._text += text
        if self._streamed and text:
            await self._writer.write(self._wire.text(text))

    async def end(self, usage: Usage, annotations: Sequence[Mapping[str, Any]]) -> None:
        if self._streamed:
            await self._writer.end(self._wire.end(usage, annotations))
            return
        headers = [("content-type", "application/json"), ("x-ragstone-status", self._status)]
        await self._writer.respond(Refusal(200, headers, self._wire.whole(self._text, usage, annotations)))


def messages_of(body: Mapping[str, Any]) -> list[Message]:
    """The texts of a chat's messages, of either API."""
    system = text_of(body.get("system"))
    found = [Message("system", system)] if system else []
    for message in body.get("messages") or ():
        role = message.get("role") if isinstance(message, dict) else None
        text = text_of(message.get("content")) if role else ""
        if role in {"system", "developer"}:
            found.append(Message("system", text))
        elif role in {"user", "assistant"} and text:
            found.append(Message("user" if role == "user" else "assistant", text))
    return found


def titled_object(title: str) -> str:
    """The object that LibreChat's `titleMethod: structured` has a schema for, and repeats its request without."""
    return json.dumps({"language": UNDETERMINED, "title": title}, ensure_ascii=False)


def no_model(question: str) -> str:
    """The reply to a request that only a language model could serve, in the language of the request."""
    return notice("no_model", language_of(question))


def title_of(request: str) -> str:
    """A title of the first words of content of the first message."""
    first = _FIRST_MESSAGE.search(request)
    words = content_words(first[1] if first else request)[:MAX_TITLE_WORDS]
    title = " ".join(words)
    return title[:1].upper() + title[1:] if title else "New chat"
