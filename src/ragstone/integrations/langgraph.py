"""The chat as a LangGraph graph: the steps of `chat/ask.py` are its nodes.

    graph = chat_graph(platform.chat)
    state = await graph.ainvoke({"scope": Scope(), "question": "At what temperature does water boil?"})
    state["finished"].answer.text

The nodes are `retrieve`, `generate` and `log`. Text and citations come as custom stream
events while they are made (`stream_mode="custom"`). Needs the extra `langgraph`;
nothing else in Ragstone imports it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, NotRequired, TypedDict

from ragstone.chat.ask import Chat, Exchange, Finished, Retrieved
from ragstone.errors import ConfigurationError
from ragstone.principals import LOCAL, Principal
from ragstone.vocabulary import Answer, Filters, Scope

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


class ChatState(TypedDict):
    """The input, and the additions of the nodes: `found` and `exchange`, then `answer`, then `finished`."""

    scope: Scope
    question: str
    principal: NotRequired[Principal]
    overage: NotRequired[bool]
    conversation_id: NotRequired[str | None]
    filters: NotRequired[Filters]
    limit: NotRequired[int | None]
    exchange: NotRequired[Exchange]
    found: NotRequired[Retrieved]
    answer: NotRequired[Answer]
    finished: NotRequired[Finished]


class Found(TypedDict):
    """The addition of `retrieve`."""

    exchange: Exchange
    found: Retrieved


class Generated(TypedDict):
    """The addition of `generate`."""

    answer: Answer


class Logged(TypedDict):
    """The addition of `log`."""

    finished: Finished


class _Nodes:
    """The steps of a chat as functions of the state. A step that fails settles what was used until then."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def retrieve(self, state: ChatState) -> Found:
        exchange = await self._chat.begin(
            state["scope"],
            state["question"],
            principal=state.get("principal", LOCAL),
            overage=state.get("overage", False),
            conversation_id=state.get("conversation_id"),
            filters=state.get("filters", Filters()),
            limit=state.get("limit"),
        )
        async with self._settled_on_failure(exchange):
            return {"exchange": exchange, "found": await self._chat.retrieve(exchange)}

    async def generate(self, state: ChatState) -> Generated:
        from langgraph.config import get_stream_writer

        tell = get_stream_writer()
        exchange = state["exchange"]
        async with (
            self._settled_on_failure(exchange),
            aclosing(self._chat.generate(exchange, state["found"])) as events,
        ):
            async for event in events:
                if isinstance(event, Answer):
                    return {"answer": event}
                tell(event)
        raise AssertionError("what is generated ends with an Answer")

    async def log(self, state: ChatState) -> Logged:
        exchange = state["exchange"]
        try:
            return {"finished": await self._chat.save(exchange, state["found"], state["answer"])}
        finally:
            await self._chat.release(exchange)

    @asynccontextmanager
    async def _settled_on_failure(self, exchange: Exchange) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            await self._chat.release(exchange)
            raise


def chat_graph(chat: Chat) -> CompiledStateGraph[ChatState, None, ChatState, ChatState]:
    """The graph of a chat. It retrieves, answers, saves and meters as `chat.ask` does.

    A run that stops between two nodes leaves its row in the ledger open; the ledger marks such
    a row as lost after a while.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    try:
        from langgraph.graph import END, START, StateGraph
    except ImportError as error:
        raise ConfigurationError(
            "The chat graph needs a package that is not installed. Run: pip install 'ragstone[langgraph]'"
        ) from error
    nodes = _Nodes(chat)
    graph = StateGraph(ChatState)
    graph.add_node("retrieve", nodes.retrieve)
    graph.add_node("generate", nodes.generate)
    graph.add_node("log", nodes.log)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "generate")
    graph.add_edge("generate", "log")
    graph.add_edge("log", END)
    return graph.compile()
