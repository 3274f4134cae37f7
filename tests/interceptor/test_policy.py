"""Whether a chat is enriched, and why not."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import InvalidInput
from ragstone.interceptor.policy import Decision, conversation_of, decide, rolled_out, user_of
from ragstone.interceptor.request import read
from ragstone.tenants.settings import InterceptorSettings
from tests.interceptor.chats import BODIES, IMAGE, assistant, librechat, user
from tests.interceptor.test_auxiliary_requests import TITLE, plain

SETTINGS = InterceptorSettings()
QUESTION = librechat(user("When does water boil?"))


def decided(body: Any = QUESTION, *, tenant: str = "acme", settings: InterceptorSettings = SETTINGS, **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return decide(read(body, "openai"), body, named, settings, tenant)


def test_a_question_is_enriched():
    assert decided() == Decision(True, "enrich")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"enabled": False}, "disabled"),
        ({"plain_models": ("rag-default",)}, "plain_model"),
        ({"rollout_percent": 0}, "rollout"),
    ],
)
def test_a_tenant_may_want_it_otherwise(changed, reason):
    assert decided(settings=SETTINGS.model_copy(update=changed)) == Decision(False, reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (plain(user(TITLE)), "title"),
        (librechat(user([IMAGE])), "no_question"),
        (librechat(user("/bypass When does water boil?")), "bypass_message"),
        (librechat(user("  /bypass\nWhen?")), "bypass_message"),
        (librechat(user("/bypass")), "bypass_message"),
    ],
)
def test_some_chats_go_on_as_they_are(body, reason):
    assert decided(body) == Decision(False, reason)


@pytest.mark.parametrize("asked", ["/bypassing the city?", "What does /bypass do?", "bypass it", "/bypass-list?"])
def test_only_the_word_at_the_beginning_is_a_command(asked):
    assert decided(librechat(user(asked))).enrich


def test_an_earlier_bypass_says_nothing_of_this_question():
    assert decided(librechat(user("/bypass Hi"), assistant("Hi."), user("When does water boil?"))).enrich


@pytest.mark.parametrize(("value", "enrich"), [("1", False), (" True ", False), ("0", True), ("", True)])
def test_a_header_bypasses(value, enrich):
    assert decided(x_ragstone_bypass=value) == Decision(enrich, "enrich" if enrich else "bypass_header")


@pytest.mark.parametrize(("streamed", "enrich"), [(True, True), (False, False)])
def test_a_tenant_may_want_streams_only(streamed, enrich):
    body = {**QUESTION, "stream": streamed}
    assert decided(body, settings=SETTINGS.model_copy(update={"streams_only": True})).enrich is enrich
    assert decided(body).enrich


def share(percent: int) -> int:
    return sum(rolled_out("acme", f"conversation {number}", percent) for number in range(5000))


@pytest.mark.parametrize("percent", [1, 20, 50, 99])
def test_a_rollout_takes_about_its_share(percent):
    # Four standard deviations of the binomial distribution.
    assert share(percent) == pytest.approx(50 * percent, abs=4 * (5000 * percent * (100 - percent) / 10_000) ** 0.5)


def test_a_rollout_to_none_and_to_all_is_exact():
    assert (share(0), share(100)) == (0, 5000)


@given(st.text(), st.integers(0, 100), st.integers(0, 100))
def test_who_is_in_stays_in_as_the_share_grows(conversation, one, other):
    low, high = sorted((one, other))
    assert rolled_out("acme", conversation, low) <= rolled_out("acme", conversation, high)


def test_tenants_roll_out_apart():
    assert any(rolled_out("a", str(number), 50) != rolled_out("b", str(number), 50) for number in range(100))


def test_a_rollout_keeps_to_a_conversation():
    half = SETTINGS.model_copy(update={"rollout_percent": 50})
    for number in range(50):
        first = librechat(user(f"Question {number}?"))
        later = librechat(user(f"Question {number}?"), assistant("So."), user("And then?"))
        assert decided(first, settings=half).enrich is decided(later, settings=half).enrich
        named = {"x_conversation_id": f"c{number}"}
        assert decided(first, settings=half, **named).enrich is rolled_out("acme", f"c{number}", 50)


@pytest.mark.parametrize(
    ("headers", "conversation"),
    [
        ({"x-conversation-id": "c1", "x-openwebui-chat-id": "c2"}, "c1"),
        ({"x-openwebui-chat-id": "c2"}, "c2"),
        ({"x-conversation-id": "{{LIBRECHAT_BODY_CONVERSATIONID}}", "x-openwebui-chat-id": "c2"}, "c2"),
        ({"x-conversation-id": "new"}, "named in the body"),
        ({"x-conversation-id": " "}, "named in the body"),
        ({}, "named in the body"),
    ],
)
def test_a_conversation_is_known_by_its_header_first(headers, conversation):
    chat = read(librechat(user("Hi"), metadata={"conversation_id": "named in the body"}), "openai")
    assert chat is not None
    assert conversation_of(chat, headers) == conversation


@pytest.mark.parametrize(
    ("headers", "body", "who"),
    [
        ({"x-user-id": "ann"}, {"user": "bob"}, "ann"),
        ({"x-user-id": "b64:" + base64.b64encode("Zoë Ŵ".encode()).decode()}, {}, "Zoë Ŵ"),
        ({"x-user-id": "b64:no base64"}, {}, "b64:no base64"),
        ({"x-user-id": "b64:/w=="}, {}, "b64:/w=="),
        ({"x-user-id": "{{LIBRECHAT_USER_ID}}"}, {"user": "bob"}, "bob"),
        ({"x-openwebui-user-id": "eve"}, {}, "eve"),
        ({}, {"user": 7, "metadata": {"user_id": "cat"}}, "cat"),
        ({}, {"user": "a\nb\x1b[31m" + "c" * 500}, ("ab[31m" + "c" * 500)[:200]),
        ({}, {"metadata": "x"}, ""),
    ],
)
def test_who_asks_is_what_the_client_says_on_one_line(headers, body, who):
    assert user_of(headers, body) == who


@given(BODIES, st.dictionaries(st.sampled_from(["x-user-id", "x-conversation-id", "x-ragstone-bypass"]), st.text()))
def test_whatever_comes_is_decided(body, headers):
    try:
        chat = read(body, "openai")
    except InvalidInput:
        chat = None
    decision = decide(
        chat, body, headers, SETTINGS.model_copy(update={"rollout_percent": 50, "streams_only": True}), "acme"
    )
    assert decision.enrich is (decision.reason == "enrich")
    assert user_of(headers, body).isprintable()
