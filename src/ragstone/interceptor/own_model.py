"""Our own answerer as the model of a chat: no other server, and no key, is needed.

Questions are answered from the tenant's documents, as everywhere else. What a chat asks
on its own behalf, such as a title, goes to the plan's language model without documents;
where there is none, a title is made by rule, and the rest gets a sentence that says so.
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
from ragstone.http.streaming import Refusal, Writer
from ragstone.interceptor.enrich import MAX_QUESTION_CHARS
from ragstone.interceptor.policy import Decision
from ragstone.interceptor.request import OWN_MODEL, ChatBody, ChatRequest, retrieval_text, text_of
from ragstone.interceptor.sources import Linker, cited, source_list, sources_of, url_citations
from ragstone.interceptor.wire_formats import Wire, wire_of
from ragstone.llm.base import Message
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Answer, Citation, Usage

MAX_TITLE_WORDS = 5
MAX_PLAIN_TOKENS = 800
AGAIN = "\n\n---\n\n"
"""What stands between a text that broke off and the one that replaces it: a stream takes nothing back."""
UNDETERMINED = "und"  # ISO 639-2; LibreChat asks for the language, and does nothing with it
NO_MODEL = "Only questions about the documents are answered here: no language model is set up."

_FIRST_SAID = re.compile(r"^User:\s*(.+)$", re.MULTILINE)


class OwnModel:
    """Answers chats in the words of the API that they came through."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def answer(
        self,
        asked: ChatRequest,
        read: ChatBody,
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
        question = retrieval_text(read, MAX_QUESTION_CHARS)
        if not question.strip():
            raise InvalidInput("The last message of the user holds no text. Write a question.")
        exchange = await self._chat.begin(
            asked.principal.scope(settings.knowledge.collection),
            question,
            principal=asked.principal,
            overage=asked.overage,
            history=read.history,
            limit=settings.interceptor.limit,
        )
        telling = _Telling(wire_of(asked.dialect, OWN_MODEL, asked.request_id), read.stream, writer)
        try:
            if decision.enrich:
                await self._from_documents(exchange, telling, link if settings.interceptor.source_list else None)
            else:
                await self._plain(exchange, asked.parsed, telling, decision)
        finally:
            await self._chat.release(exchange)

    async def _from_documents(self, exchange: Exchange, telling: _Telling, link: Linker | None) -> None:
        found = await self._chat.retrieve(exchange)
        await telling.begin(f"answered; sources={len(found.passages)}")
        citations: list[Citation] = []
        async with aclosing(self._chat.generate(exchange, found)) as events:
            async for event in events:
                match event:
                    case Delta():
                        await telling.say(AGAIN + event.text if event.restart else event.text)
                    case Citation():
                        citations.append(event)
                    case Answer():
                        await self._end(telling, event, citations, link)

    async def _end(self, telling: _Telling, answer: Answer, citations: Sequence[Citation], link: Linker | None) -> None:
        noted: Sequence[Mapping[str, Any]] = ()
        if link is not None:
            sources = sources_of(answer.passages, link)
            await telling.say(source_list(sources, cited(answer.text, len(sources))))
            noted = url_citations(answer.text, citations, sources)
        await telling.end(answer.usage, noted)

    async def _plain(self, exchange: Exchange, body: Mapping[str, Any], telling: _Telling, decision: Decision) -> None:
        await telling.begin(f"bypass; reason={decision.reason}")
        if decision.reason == "title" and "response_format" in body:
            await telling.say(titled_object(title_of(exchange.question)))
            await telling.end(Usage(OWN_MODEL), ())
            return
        said = False
        try:
            async with aclosing(
                self._chat.complete(exchange, messages_of(body), max_tokens=MAX_PLAIN_TOKENS)
            ) as pieces:
                async for piece in pieces:
                    said = True
                    await telling.say(piece)
        except ModelUnavailable:
            if said:
                raise
        if not said:
            await telling.say(title_of(exchange.question) if decision.reason == "title" else NO_MODEL)
        usage = exchange.meter.spent.usage
        await telling.end(usage[-1] if usage else Usage(OWN_MODEL), ())


class _Telling:
    """One answer on its way: streamed, or gathered and sent whole."""

    def __init__(self, wire: Wire, streamed: bool, writer: Writer) -> None:
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

    async def say(self, text: str) -> None:
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


def title_of(request: str) -> str:
    """A title made of the first words of content of what was said first."""
    said = _FIRST_SAID.search(request)
    words = content_words(said[1] if said else request)[:MAX_TITLE_WORDS]
    title = " ".join(words)
    return title[:1].upper() + title[1:] if title else "New chat"
