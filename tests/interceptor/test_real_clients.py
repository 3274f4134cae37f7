"""The vendors' own clients, and those that people use, against the interceptor: they are the judges of the wire.

They are imported by the tests that use them: together that takes three seconds, in each process that collects tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from pydantic import SecretStr

from tests.interceptor.setup import KEY, QUESTION, Stand, stand
from tests.interceptor.upstreams import Fault, ModelServer, upstream

if TYPE_CHECKING:
    import anthropic
    import openai
    from langchain_openai import ChatOpenAI

ANSWER = "The harbour crane lifts forty tonnes [1]."
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
USER: Any = [{"role": "user", "content": QUESTION}]


@dataclass(frozen=True)
class Between:
    """The interceptor, the server behind it, and the connections of clients that would leave theirs open."""

    here: Stand
    model: ModelServer
    transport: httpx2.AsyncClient

    def openai(self) -> openai.AsyncOpenAI:
        import openai

        return openai.AsyncOpenAI(base_url=f"{self.here.url}/v1", api_key=KEY, http_client=_transport())

    def anthropic(self) -> anthropic.AsyncAnthropic:
        import anthropic

        return anthropic.AsyncAnthropic(base_url=self.here.url, api_key=KEY, http_client=_transport())

    def langchain(self, **more: Any) -> ChatOpenAI:
        from langchain_openai import ChatOpenAI

        given: Any = {"base_url": f"{self.here.url}/v1", "api_key": SecretStr(KEY), "max_retries": 0}
        return ChatOpenAI(model="mock", http_async_client=self.transport, **given, **more)


def _transport() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(trust_env=False)


@pytest.fixture
async def between(tmp_path: Path) -> AsyncIterator[Between]:
    async with upstream() as model, stand(tmp_path, model.url) as here, _transport() as transport:
        yield Between(here, model, transport)


async def test_openai_reads_a_whole_answer_with_its_annotations(between: Between):
    async with between.openai() as client:
        answer = await client.chat.completions.create(model="mock", messages=USER)
    message = answer.choices[0].message
    assert message.content
    assert message.content.startswith(ANSWER)
    assert message.annotations
    assert message.annotations[0].url_citation.title == "The harbour"
    assert answer.usage
    assert answer.usage.total_tokens == 107


async def test_openai_reads_a_stream(between: Between):
    async with between.openai() as client:
        stream = await client.chat.completions.create(model="mock", messages=USER, stream=True)
        chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.startswith(ANSWER)
    assert "**Sources**" in text
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]


async def test_openai_gets_calls_of_tools_as_the_server_made_them(between: Between):
    between.model.tools = True
    async with between.openai() as client:
        whole = await client.chat.completions.create(model="mock", messages=USER, tools=[TOOL])
        stream = await client.chat.completions.create(model="mock", messages=USER, tools=[TOOL], stream=True)
        calls = [call async for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    called = [call.function.name for call in whole.choices[0].message.tool_calls or [] if call.type == "function"]
    assert called == ["weather"]
    assert whole.choices[0].message.content is None
    assert calls[0].function
    assert calls[0].function.arguments == '{"place":"harbour"}'


async def test_openai_lists_models_and_embeds(between: Between):
    async with between.openai() as client:
        listed = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("mock-1")
        own = next(name for name in listed if not name.startswith("mock"))
        packed = await client.embeddings.create(model=own, input=["the harbour", "the lamp"])
        plain = await client.embeddings.create(model=own, input="the harbour", encoding_format="float")
    assert listed[:2] == ["mock-1", "mock-2"]
    assert one.id == "mock-1"
    assert len(packed.data) == 2
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


@pytest.mark.parametrize("fault", [Fault.NO_END, Fault.RESET, Fault.HALF_JSON, Fault.ERROR_EVENT])
async def test_openai_raises_where_an_answer_breaks_off(between: Between, fault: Fault):
    import openai

    between.model.fault = fault
    async with between.openai() as client:
        stream = await client.chat.completions.create(model="mock", messages=USER, stream=True)
        with pytest.raises(openai.APIError):
            async for _ in stream:
                pass


async def test_openai_reads_a_refusal_of_the_server(between: Between):
    import openai

    between.model.fault = Fault.KEY
    async with between.openai() as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.chat.completions.create(model="mock", messages=USER)
    assert "sk-theirs" not in str(refused.value)


async def test_openai_reads_a_refusal_of_the_door(between: Between):
    import openai

    client = openai.AsyncOpenAI(base_url=f"{between.here.url}/v1", api_key="nobody", http_client=_transport())
    async with client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.chat.completions.create(model="mock", messages=USER)
    assert refused.value.code == "invalid_api_key"


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
async def test_anthropic_reads_whole_and_streamed_answers_of_both_versions(between: Between, version: str):
    messages: Any = USER
    async with between.anthropic() as client:
        given = {"anthropic-version": version}
        whole = await client.messages.create(model="m", max_tokens=50, messages=messages, extra_headers=given)
        async with client.messages.stream(model="m", max_tokens=50, messages=messages, extra_headers=given) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
    assert "**Sources**" in "".join(block.text for block in whole.content if block.type == "text")
    assert text.startswith(ANSWER)
    assert "**Sources**" in text
    assert final.stop_reason == "end_turn"
    assert {seen.header("anthropic-version") for seen in between.model.seen} == {version}


@pytest.mark.parametrize("fault", [Fault.NO_END, Fault.RESET, Fault.ERROR_EVENT])
async def test_anthropic_raises_where_an_answer_breaks_off(between: Between, fault: Fault):
    import anthropic

    between.model.fault = fault
    async with between.anthropic() as client:
        with pytest.raises(anthropic.APIError):
            async with client.messages.stream(model="m", max_tokens=50, messages=USER) as stream:
                await stream.get_final_message()


async def test_langchain_reads_whole_and_streamed_answers(between: Between):
    chat = between.langchain()
    whole = await chat.ainvoke(QUESTION)
    streamed = "".join([str(piece.content) async for piece in chat.astream(QUESTION)])
    assert str(whole.content).startswith(ANSWER)
    assert "**Sources**" in streamed
    assert whole.usage_metadata
    assert whole.usage_metadata["total_tokens"] == 107


async def test_langchain_gets_calls_of_tools(between: Between):
    between.model.tools = True
    answer = await between.langchain().bind_tools([TOOL]).ainvoke(QUESTION)
    assert answer.tool_calls[0]["args"] == {"place": "harbour"}


async def test_langchain_embeds_texts_when_it_sends_texts(between: Between):
    from langchain_openai import OpenAIEmbeddings

    url = f"{between.here.url}/v1"
    name = between.here.platform.engines.embedder.name.partition(":")[0]
    given: Any = {"model": name, "base_url": url, "api_key": SecretStr(KEY), "check_embedding_ctx_length": False}
    given |= {"http_async_client": between.transport}
    [vector] = await OpenAIEmbeddings(**given).aembed_documents(["the harbour"])
    assert len(vector) == between.here.platform.engines.embedder.dimensions


async def test_both_sdks_read_our_own_answers(tmp_path: Path):
    async with stand(tmp_path) as here, _transport() as transport:
        between = Between(here, ModelServer(), transport)
        async with between.openai() as client:
            answer = await client.chat.completions.create(model="ragstone", messages=USER)
            stream = await client.chat.completions.create(model="ragstone", messages=USER, stream=True)
            text = "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])
        async with between.anthropic() as other:
            message = await other.messages.create(model="ragstone", max_tokens=50, messages=USER)
            async with other.messages.stream(model="ragstone", max_tokens=50, messages=USER) as events:
                final = await events.get_final_message()
    assert answer.choices[0].message.content == text
    assert [block.text for block in message.content if block.type == "text"] == [text]
    assert [block.text for block in final.content if block.type == "text"] == [text]
