"""What is read in a chat."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import InvalidInput
from ragstone.interceptor.request import (
    BETWEEN,
    MAX_ANSWER_CHARS,
    MAX_TURNS,
    ParsedChat,
    WireFormatName,
    question_of,
    read,
    retrieval_text,
)
from ragstone.vocabulary import Turn
from tests.interceptor.chats import (
    BODIES,
    CALLS,
    FILE,
    IMAGE,
    JSON,
    SYSTEM,
    assistant,
    librechat,
    librechat_anthropic,
    text_part,
    tool,
    uploaded,
    user,
)

CALL_OF_CLAUDE = assistant([text_part("Let me see."), {"type": "tool_use", "id": "t1", "name": "look_up", "input": {}}])
RESULT_FOR_CLAUDE = user([{"type": "tool_result", "tool_use_id": "t1", "content": "found"}])


def chat_of(body: Any, wire_format: WireFormatName = "openai") -> ParsedChat:
    chat = read(body, wire_format)
    assert chat is not None
    return chat


def test_the_last_message_of_the_user_is_the_question():
    chat = chat_of(librechat(user("Hello"), assistant("Hi!"), user("When does water boil?")))
    assert (chat.question, chat.place, chat.model, chat.stream) == ("When does water boil?", 3, "rag-default", True)
    assert chat.history == (Turn("Hello", "Hi!"),)
    assert not chat.tool_loop


def test_images_and_files_say_nothing_and_texts_are_joined():
    chat = chat_of(librechat(user([text_part("What is this?"), IMAGE, FILE, text_part("In short.")])))
    assert chat.question == "What is this?\nIn short."


@pytest.mark.parametrize("content", ["", "  \n", None, 7, [IMAGE], [text_part("")], [text_part(uploaded(("a", "b")))]])
def test_a_message_without_words_asks_nothing(content):
    assert read(librechat(user("Before?"), assistant("Yes."), user(content)), "openai") is None


def test_a_chat_without_a_message_of_the_user_asks_nothing():
    assert read({"messages": [SYSTEM]}, "openai") is None


@pytest.mark.parametrize("body", [{}, {"messages": "hi"}, {"messages": None}, [], None, "x", {"messages": {"0": 1}}])
def test_what_has_no_messages_is_no_chat(body):
    with pytest.raises(InvalidInput, match="no chat"):
        read(body, "openai")


def test_the_context_that_librechat_sends_ahead_is_not_the_question():
    chat = chat_of(librechat_anthropic(user([text_part("When?", cache_control={"type": "ephemeral"})])), "anthropic")
    assert (chat.question, chat.place, chat.history) == ("When?", 1, ())


def test_the_context_that_librechat_sends_ahead_is_not_history_either():
    body = librechat_anthropic(user("Why?"), assistant([text_part("So.")]), user("And when?"))
    assert chat_of(body, "anthropic").history == (Turn("Why?", "So."),)


LOOPS: list[tuple[WireFormatName, dict[str, Any], list[dict[str, Any]]]] = [
    ("openai", librechat(user("When?")), [assistant("", tool_calls=CALLS), tool("found")]),
    ("openai", librechat(user("When?")), [assistant(None, function_call={"name": "f"}), {"role": "function"}]),
    ("anthropic", librechat_anthropic(user("When?")), [CALL_OF_CLAUDE, RESULT_FOR_CLAUDE]),
]


@pytest.mark.parametrize(("wire_format", "body", "steps"), LOOPS)
def test_a_tool_loop_is_one_turn(wire_format, body, steps):
    first = chat_of(body, wire_format)
    later = chat_of({**body, "messages": [*body["messages"], *steps, *steps]}, wire_format)
    assert (first.tool_loop, later.tool_loop) == (False, True)
    assert (later.question, later.place) == ("When?", first.place)
    assert (later.turn_key, later.conversation) == (first.turn_key, first.conversation)


def test_marks_for_prompt_caches_may_move_during_a_turn():
    marked = user([text_part("When?", cache_control={"type": "ephemeral"})])
    assert chat_of({"messages": [marked]}).turn_key == chat_of({"messages": [user("When?")]}).turn_key


def test_what_determines_retrieval_makes_another_turn():
    bodies = [
        librechat(user("When?")),
        librechat(user("Why?")),
        librechat(user("When?"), model="other"),
        librechat(user("Hello"), assistant("Hi"), user("When?")),
        librechat(user("Hello"), assistant("Ho"), user("When?")),
        librechat(user("Hello"), user("When?")),
        librechat(user("HellouserWhen?")),
    ]
    assert len({chat_of(body).turn_key for body in bodies}) == len(bodies)


def test_a_text_in_the_middle_of_a_tool_loop_belongs_to_the_answer():
    body = librechat(
        user("When?"), assistant("I look.", tool_calls=CALLS), tool("x"), assistant("At noon."), user("Why?")
    )
    assert chat_of(body).history == (Turn("When?", "I look.\n\nAt noon."),)


def test_the_history_loses_our_own_lists_and_their_markers():
    answer = "At 100 °C [1], says [2].\n\n**Sources**\n[1] [Water, p. 3](https://rag.example/sources/a)"
    chat = chat_of(librechat(user("When?"), assistant(answer), user("Why?")))
    assert chat.history == (Turn("When?", "At 100 °C, says [2]."),)


def test_the_history_is_bounded_and_ends_with_the_last_turn():
    turns = [message for number in range(30) for message in (user(f"Q{number}?"), assistant(f"A{number}."))]
    history = chat_of(librechat(*turns, user("Now?"))).history
    assert len(history) == MAX_TURNS
    assert history[-1] == Turn("Q29?", "A29.")


def test_of_a_very_long_answer_the_history_has_the_beginning():
    long = "x" * 100_000
    assert chat_of(librechat(user("When?"), assistant(long), user("Why?"))).history == (
        Turn("When?", long[:MAX_ANSWER_CHARS]),
    )


def test_a_conversation_keeps_its_name_while_it_grows():
    first = chat_of(librechat_anthropic(user("When?"), metadata={}), "anthropic")
    later = librechat_anthropic(user("When?"), assistant("Then."), user("Why?"))
    later["messages"][0] = user("The time is 10:42.")
    assert chat_of(later, "anthropic").conversation == first.conversation


def test_conversations_of_two_people_are_two():
    assert chat_of(librechat(user("Hi"))).conversation != chat_of(librechat(user("Hi"), user="other")).conversation


def test_a_client_may_name_the_conversation():
    assert chat_of(librechat(user("Hi"), metadata={"conversation_id": "c1"})).conversation == "c1"
    assert chat_of(librechat_anthropic(user("Hi"), metadata={"user_id": "u1"}), "anthropic").conversation == "u1"


CODE = "Read this:\n\n```\nx = 1\n```\n\nand this:\n\n```python\ny = 2\n```\nEnd."
UPLOADS = {
    "one": [("a.txt", "water")],
    "several": [("a.txt", "water"), ("b.md", "fire\n\n---\n\nearth")],
    "fences of its own": [("readme.md", CODE)],
    "fences in each": [("a.md", CODE), ("b.md", CODE)],
    "a longer fence": [("a.md", "````md\n\n```\nx\n```\n````")],
    "tildes": [("a.md", "~~~\n\n```\n~~~")],
    "a fence that was cut off": [("a.md", "```python\nx = 1")],
    "an empty one": [("a.md", "")],
    "fences before the last": [("a.md", CODE), ("b.txt", "water")],
}
QUESTIONS = {
    "plain": "When does water boil?",
    "code": "Is this right?\n\n```\nx = 1\n```\nIt fails.",
    "named code": "Is this right?\n```python\nx = 1\n```",
    "two codes": "Which?\n\n```\na\n```\n\n```\nb\n```",
    "a rule": "First.\n\n---\n\nSecond?",
}


@pytest.mark.parametrize("asked", QUESTIONS)
@pytest.mark.parametrize("documents", UPLOADS)
def test_uploaded_texts_are_taken_out_of_the_question(documents, asked):
    text = uploaded(*UPLOADS[documents]) + QUESTIONS[asked]
    assert question_of(text) == QUESTIONS[asked]


@pytest.mark.parametrize("documents", ["one", "several", "a fence that was cut off", "fences before the last"])
def test_uploaded_texts_alone_ask_nothing(documents):
    assert not question_of(uploaded(*UPLOADS[documents])).strip()


def test_uploaded_texts_whose_end_is_missing_ask_nothing():
    assert question_of('Attached document(s):\n```md# "a.txt"\nwater, and no end') == ""


def test_uploaded_texts_are_taken_out_of_a_part_and_of_the_history():
    parts = [text_part(uploaded(("a.txt", "water")) + "When?"), IMAGE]
    assert chat_of(librechat(user(parts))).question == "When?"
    alone = [text_part(uploaded(("a.txt", "water")).rstrip("\n")), text_part("When?")]
    assert chat_of(librechat(user(alone))).question == "When?"
    before = user(uploaded(("a.txt", "water")) + "When?")
    assert chat_of(librechat(before, assistant("Then."), user("Why?"))).history == (Turn("When?", "Then."),)


@pytest.mark.parametrize(
    "text", ["What means Attached document(s):\n```md?", "Attached document(s): none", " Attached document(s):\n```md"]
)
def test_a_question_about_uploads_is_left_alone(text):
    assert question_of(text) == text


@given(st.lists(st.tuples(st.just("a.md"), st.text(alphabet="a `\n~#", max_size=60)), min_size=1, max_size=3))
def test_whatever_the_documents_hold_a_plain_question_is_found(documents):
    assert question_of(uploaded(*documents) + "When?") == "When?"


def test_a_short_question_is_looked_up_whole_and_a_long_one_by_its_ends():
    chat = chat_of(librechat(user("  Begin " + "x" * 9000 + " end?  ")))
    assert len(chat.question) > 9000
    short = retrieval_text(chat, 4000)
    assert len(short) == 4000
    assert short.startswith("Begin xxx")
    assert BETWEEN in short
    assert short.endswith("xxx end?")
    assert retrieval_text(chat_of(librechat(user(" When? "))), 4000) == "When?"


@given(st.text(min_size=1).filter(str.strip), st.integers(0, 50))
def test_the_text_to_look_up_never_exceeds_its_limit(question, limit):
    chat = read({"messages": [user(question)]}, "openai")
    assert chat is None or len(retrieval_text(chat, limit)) <= limit


@given(BODIES | JSON, st.sampled_from(["openai", "anthropic"]))
def test_whatever_comes_is_read_or_is_no_chat(body, wire_format):
    before = repr(body)
    try:
        chat = read(body, wire_format)
    except InvalidInput:
        assert not isinstance(body, dict) or not isinstance(body.get("messages"), list)
    else:
        assert chat is None or chat.question.strip()
        assert chat is None or body["messages"][chat.place]["role"] == "user"
    assert repr(body) == before


@pytest.mark.parametrize("wire_format", ["openai", "anthropic"])
def test_half_a_surrogate_pair_is_a_letter_like_others(wire_format):
    assert chat_of({"messages": [user("When \ud800?")], "user": "\udfff"}, wire_format).question == "When \ud800?"


def test_a_message_nested_deeply_is_read():
    deep = json.loads('{"messages": [{"role": "user", "content": "When?", "x": ' + "[" * 900 + "]" * 900 + "}]}")
    assert chat_of(deep).question == "When?"
