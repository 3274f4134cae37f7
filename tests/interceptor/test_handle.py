"""Chats through the interceptor: what reaches the model's server, and what reaches the client."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ragstone.billing.ledger import UsageRecord
from tests.interceptor.setup import QUESTION, UPSTREAM_KEY, asking, content_of, stand
from tests.interceptor.upstreams import upstream
from tests.platforms import OpenedPlatform
from tests.servers import events_of
from tests.waiting import found


async def test_a_chat_goes_on_with_the_passages_that_bear_on_it(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here:
        response = await here.chat()
        [seen] = model.seen
    assert response.status_code == 200
    assert response.headers["x-ragstone-status"].startswith("enriched; sources=")
    assert seen.path == "/v1/chat/completions"
    assert seen.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    [message] = seen.json["messages"]
    assert message["content"].startswith(QUESTION)
    assert "The harbour crane lifts forty tonnes." in message["content"]


async def test_the_answer_comes_back_with_its_sources(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here:
        body = (await here.chat()).json()
    message = body["choices"][0]["message"]
    assert message["content"].startswith("The harbour crane lifts forty tonnes [1].\n\n**Sources**\n[1] [")
    [annotation] = message["annotations"]
    assert annotation["url_citation"]["url"].startswith("https://rag.example.org/sources/")
    start, end = annotation["url_citation"]["start_index"], annotation["url_citation"]["end_index"]
    assert "[1]" in message["content"][start : end + 4]


async def test_a_streamed_answer_has_its_sources_before_its_end(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here, here.client() as client:
        sending = client.stream("POST", "/v1/chat/completions", json=asking(stream=True))
        async with sending as response:
            lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    events = [json.loads(line[6:]) for line in lines[:-1]]
    assert "[1] [" in content_of(events)
    finish = next(
        index for index, event in enumerate(events) if event["choices"] and event["choices"][0]["finish_reason"]
    )
    assert content_of(events[finish + 1 :]) == ""
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-ragstone-status"].startswith("enriched")


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({"x_ragstone_bypass": "1"}, asking(), "bypass_header"),
        ({}, asking(f"/bypass {QUESTION}"), "bypass_message"),
        ({}, asking(model="plain"), "plain_model"),
        ({}, asking("What is the colour of the prime minister's third bicycle?"), "nothing"),
    ],
)
async def test_a_chat_that_is_not_enriched_goes_on_byte_for_byte(tmp_path: Path, headers, body, reason):
    raw = json.dumps(body, indent=3, ensure_ascii=True).encode() + b"\n"
    async with upstream() as model, stand(tmp_path, model.url, interceptor={"plain_models": ["plain"]}) as here:
        async with here.client(**{name.replace("_", "-"): value for name, value in headers.items()}) as client:
            response = await client.post(
                "/v1/chat/completions", content=raw, headers={"content-type": "application/json"}
            )
        [seen] = model.seen
    assert response.headers["x-ragstone-status"] == f"bypass; reason={reason}"
    assert seen.body == raw
    assert response.json()["choices"][0]["message"]["content"] == model.text()


async def test_messages_of_anthropic_are_enriched_and_answered_alike(tmp_path: Path):
    body = {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
    async with upstream() as model, stand(tmp_path, model.url) as here, here.client() as client:
        whole = await client.post("/v1/messages", json=body)
        async with client.stream("POST", "/v1/messages", json={**body, "stream": True}) as response:
            events = [event async for event in events_of(response)]
        seen = model.seen[0]
    assert seen.header("x-api-key") == UPSTREAM_KEY
    assert seen.header("anthropic-version") == "2023-06-01"
    assert "forty tonnes" in json.dumps(seen.json["messages"])
    assert "**Sources**" in "".join(block["text"] for block in whole.json()["content"])
    text = "".join(event.data["delta"].get("text", "") for event in events if event.name == "content_block_delta")
    assert "**Sources**" in text
    assert events[-1].name == "message_stop"


async def test_our_own_answerer_is_the_model_where_there_is_no_server(tmp_path: Path):
    async with stand(tmp_path) as here:
        response = await here.chat(asking(model="ragstone"))
    message = response.json()["choices"][0]["message"]
    assert "forty tonnes [1]" in message["content"]
    assert "**Sources**\n[1] [" in message["content"]
    assert response.headers["x-ragstone-status"].startswith("answered; sources=")


async def test_a_title_without_any_model_is_made_of_what_was_said(tmp_path: Path):
    prompt = (
        "Provide a concise, 5-word-or-less title for the conversation, using its same language.\n\n"
        f"Conversation:\nUser: {QUESTION}\nAI: Forty tonnes."
    )
    async with stand(tmp_path) as here:
        response = await here.chat(asking(prompt, model="ragstone"))
    assert response.headers["x-ragstone-status"] == "bypass; reason=title"
    assert response.json()["choices"][0]["message"]["content"] == "Tonnes harbour crane lift"


async def test_one_row_of_the_ledger_says_what_the_server_says_was_used(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here:
        await here.chat()
        [row] = await _settled(here.platform)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (100, 7, 60)
    assert not row.estimated
    assert row.state == "settled"


async def test_a_model_that_is_not_offered_is_not_there(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url, interceptor={"models": {"ours": "mock"}}) as here:
        refused = await here.chat(asking(model="gpt-theirs"))
        await here.chat(asking(model="ours"))
        async with here.client() as client:
            listed = (await client.get("/v1/models")).json()
        [seen] = model.seen
    assert refused.status_code == 404
    assert refused.json()["error"]["type"] == "not_found_error"
    assert seen.json["model"] == "mock"
    assert listed["data"][0]["id"] == "ours"


async def test_a_tool_loop_sees_the_same_passages_though_the_documents_change(tmp_path: Path):
    first = asking(tools=[{"type": "function", "function": {"name": "weather", "parameters": {}}}])
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    later = {
        **first,
        "messages": [
            *first["messages"],
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        ],
    }
    async with upstream() as model, stand(tmp_path, model.url) as here:
        await here.chat(first)
        (tmp_path / "harbour.md").write_text("# The harbour\n\nThe harbour crane lifts ninety tonnes.\n")
        await here.platform.ingest(tmp_path / "harbour.md")
        await here.chat(later)
    before, after = (seen.json["messages"][0] for seen in model.seen)
    assert "forty tonnes" in before["content"]
    assert after == before


async def _settled(platform: OpenedPlatform) -> list[UsageRecord]:
    """The rows of chats, when all are settled: that comes after the last byte of the answer."""
    now, day = datetime.now(UTC), timedelta(days=1)

    async def look() -> list[UsageRecord] | None:
        records = platform.billing.ledger.records("default", since=now - day, until=now + day)
        rows = [row async for row in records if row.kind == "chat"]
        return rows if rows and all(row.state == "settled" for row in rows) else None

    return await found(look)
