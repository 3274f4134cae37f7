"""What chat programs ask for themselves, and what people ask in nearly the same words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.interceptor.policy import auxiliary
from ragstone.interceptor.request import WireFormatName
from tests.interceptor.chats import BODIES, JSON, SYSTEM, assistant, librechat, text_part, user

TITLE = (
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return the "
    "title itself.\n\nConversation:\nUser: When does water boil?\nAI: "
)
EXTRACT = "Analyze this conversation and provide:\n1. The detected language\n2. A title\n\nUser: When?\nAI: At noon."
CHECKPOINT = "Hold on, before you continue I need you to write me a checkpoint of everything so far."
AGAIN = "Hold on again, update your checkpoint. Merge the new messages into it."
BLOCK = "Write a short label describing what this block of agent activity accomplished. Rules: …"
PHASE = "Summarize what this phase of an agent run accomplished. The result appears as the header."
TASK = "### Task:\nGenerate a concise, 3-5 word title.\n### Chat History:\n<chat_history>\nUSER: hi\n</chat_history>"
SCHEMA = {"properties": {"language": {"type": "string"}, "title": {"type": "string"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "extract", "schema": SCHEMA}}


def tools(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name, "parameters": {}}} for name in names]


def claude_tools(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "input_schema": {}} for name in names]


def plain(*messages: Any, **more: Any) -> dict[str, Any]:
    """A request whose answer is not streamed."""
    return {"model": "m", "stream": False, "messages": list(messages), **more}


CASES: list[tuple[str, WireFormatName, dict[str, Any]]] = [
    ("title", "openai", plain(user(TITLE))),
    ("title", "openai", plain(user([text_part(TITLE)]))),
    ("title", "anthropic", {"model": "m", "max_tokens": 50, "messages": [user(TITLE)]}),
    ("title", "openai", plain(user(EXTRACT), response_format=FORMAT)),
    ("title", "openai", plain(user(EXTRACT), tools=tools("extract"))),
    ("title", "anthropic", plain(user(EXTRACT), tools=claude_tools("extract"))),
    ("memory", "openai", plain(SYSTEM, user("I am Ann."), tools=tools("set_memory", "delete_memory"))),
    ("memory", "anthropic", plain(user("I am Ann."), tools=claude_tools("delete_memory", "x", "set_memory"))),
    ("summary", "openai", librechat(user("Hi"), assistant("Hi."), user(CHECKPOINT))),
    ("summary", "openai", librechat(user("Hi"), assistant("Hi."), user([text_part(AGAIN)]))),
    ("summary", "anthropic", plain(user("Hi"), assistant("Hi."), user(CHECKPOINT))),
    ("label", "openai", plain({"role": "system", "content": BLOCK}, user("Searched twice."))),
    ("label", "openai", plain({"role": "developer", "content": PHASE}, user("Searched."), stream=True)),
    ("label", "anthropic", plain(user("Searched."), system=[text_part(PHASE)])),
    ("label", "anthropic", plain(user("Searched."), system=BLOCK)),
    ("task", "openai", plain(user(TASK))),
]
PEOPLE: list[tuple[str, WireFormatName, dict[str, Any]]] = [
    ("a question", "openai", librechat(user("When does water boil?"))),
    ("not streamed", "openai", plain(user("When does water boil?"))),
    ("about titles", "openai", plain(user("Provide a concise, 5-word-or-less title for the conversation at tea"))),
    ("about a prompt", "openai", plain(user(f"Why does LibreChat send this?\n{TITLE}"))),
    ("a title, streamed", "openai", librechat(user(TITLE), stream=True)),
    ("a title, later", "openai", plain(user("Hi"), assistant("Hi."), user(TITLE))),
    ("a title with tools", "openai", plain(user(TITLE), tools=tools("look_up"))),
    ("analyze", "openai", plain(user(EXTRACT))),
    ("analyze into something else", "openai", plain(user(EXTRACT), response_format={"json_schema": {"name": "x"}})),
    ("one memory tool", "openai", plain(user("Hi"), tools=tools("set_memory"))),
    ("memory tools in a chat", "openai", librechat(user("Hi"), tools=tools("set_memory", "delete_memory"))),
    ("about checkpoints", "openai", librechat(user(f"What does this mean: {CHECKPOINT}"))),
    ("an earlier checkpoint", "openai", librechat(user(CHECKPOINT), assistant("Done."), user("When?"))),
    ("hold on", "openai", librechat(user("Hold on, before you continue, explain checkpoints."))),
    ("a label by the user", "openai", librechat(user(BLOCK))),
    ("a label within the system", "openai", plain({"role": "system", "content": f"Help. {BLOCK}"}, user("Hi"))),
    ("a task, streamed", "openai", {"stream": True, "messages": [user("### Task:\nRespond to the user query.")]}),
    ("a task, within", "openai", plain(user("My list:\n### Task:\nWater the plants"))),
    ("a task, later", "openai", plain(user("Hi"), assistant("Hi."), user("### Task:\nWater the plants"))),
]


@pytest.mark.parametrize(("kind", "wire_format", "body"), CASES)
def test_what_chat_programs_ask_for_themselves_is_recognised(kind, wire_format, body):
    assert auxiliary(body, wire_format) == kind


@pytest.mark.parametrize(("_case", "wire_format", "body"), PEOPLE, ids=[case for case, _, _ in PEOPLE])
def test_what_people_ask_is_not_taken_for_it(_case, wire_format, body):
    assert auxiliary(body, wire_format) is None


@given(BODIES | JSON, st.sampled_from(["openai", "anthropic"]))
def test_whatever_comes_is_judged(body, wire_format):
    assert auxiliary(body, wire_format) in {None, "title", "summary", "memory", "label", "task"}


@pytest.mark.parametrize("body", [None, [], "x", {}, {"messages": []}, {"messages": [None]}])
def test_what_is_no_chat_is_nothing_of_the_kind(body):
    assert auxiliary(body, "openai") is None
