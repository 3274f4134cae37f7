"""Who may chat, how much, and what each is told in the words of the API that it speaks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx2
import pytest

from ragstone.identity.api_keys import NewKey
from ragstone.identity.users import NewUser
from ragstone.principals import LOCAL, Permission, Role
from tests.interceptor.setup import QUESTION, UPSTREAM_KEY, Stand, asking, stand
from tests.interceptor.upstreams import Fault, ModelServer, upstream
from tests.waiting import until

MESSAGES = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": QUESTION}]}


async def test_each_api_refuses_a_stranger_in_its_own_words(tmp_path: Path):
    async with stand(tmp_path) as here, httpx2.AsyncClient(base_url=here.url, trust_env=False) as stranger:
        chat = await stranger.post("/v1/chat/completions", json=asking())
        message = await stranger.post("/v1/messages", json=MESSAGES)
    assert (chat.status_code, message.status_code) == (401, 401)
    assert chat.json()["error"]["code"] == "invalid_api_key"
    assert message.json()["type"] == "error"
    assert message.json()["error"]["type"] == "authentication_error"


async def test_the_responses_api_says_what_to_use_instead(tmp_path: Path):
    async with stand(tmp_path) as here, here.client() as client:
        response = await client.post("/v1/responses", json={"model": "m", "input": "Hi"})
    assert response.status_code == 404
    assert "/v1/chat/completions" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"messages": "x", "model": "m"}',
        b'{"model": "m"}',
        b'{"messages": [{"role": "user", "content": "Hi"}]}',
    ],
)
async def test_what_is_no_chat_is_refused_with_a_sentence(tmp_path: Path, body: bytes):
    async with upstream() as model, stand(tmp_path, model.url) as here, here.client() as client:
        response = await client.post("/v1/chat/completions", content=body)
        seen = len(model.seen)
    if response.status_code == 200:  # odd, but its server takes it: that is for the server to say
        assert response.headers["x-ragstone-status"].startswith("bypass")
        return
    assert response.status_code == 400
    assert response.json()["error"]["message"].endswith((".", "?"))
    assert seen == 0


async def test_the_limit_of_the_plan_holds_and_is_told(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here:
        await here.platform.identity.tenants.create("test", "acme", plan="free")
        _, key = await here.platform.identity.api_keys.create(replace(LOCAL, id="test"), "acme", NewKey())
        answers = [await here.chat(authorization=f"Bearer {key}") for _ in range(101)]
        asked = len(model.seen)
    assert {answer.status_code for answer in answers[:100]} == {200}
    assert answers[100].status_code == 429
    assert answers[100].json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answers[100].headers["retry-after"]) > 60
    assert asked == 100


async def test_a_key_for_other_collections_chats_without_the_passages(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here:
        await here.platform.identity.users.create(
            replace(LOCAL, id="test"), "default", NewUser(email="o@example.org", password="x" * 20, role=Role.OWNER)
        )
        new = NewKey(permissions=frozenset({Permission.CHAT}), collections=("elsewhere",))
        _, key = await here.platform.identity.api_keys.create(replace(LOCAL, id="test"), "default", new)
        response = await here.chat(authorization=f"Bearer {key}")
        [seen] = model.seen
    assert response.headers["x-ragstone-status"] == "bypass; reason=no_collection"
    assert seen.json == asking()


async def test_a_client_that_leaves_ends_the_request_upstream_before_and_within_the_answer(tmp_path: Path):
    for fault in (Fault.HANG, Fault.HANG_MIDWAY):
        folder = tmp_path / fault.name
        folder.mkdir()
        async with upstream(fault) as model, stand(folder, model.url) as here, here.client() as client:
            asking_it = asyncio.create_task(client.post("/v1/chat/completions", json=asking(stream=True)))
            await model.asked.wait()
            asking_it.cancel()
            await asyncio.wait_for(model.hung_up.wait(), 10)
            await until(partial(_idle, model))


def _idle(model: ModelServer) -> bool:
    return model.running == 0


async def test_personal_data_is_hidden_from_the_server_and_from_the_reader_where_that_is_wanted(tmp_path: Path):
    privacy = {"mask_context": True, "mask_answers": True}
    pieces = ("Write to adele.", "quist@harbour.example", " [1].")
    async with upstream(pieces=pieces) as model, stand(tmp_path, model.url, privacy=privacy) as here:
        (tmp_path / "more.md").write_text("# The harbour office\n\nWrite to adele.quist@harbour.example at any time.\n")
        await here.platform.ingest(tmp_path / "more.md")
        streamed = await here.chat(asking("Whom do I write to at the harbour office?", stream=True))
        whole = await here.chat(asking("Whom do I write to at the harbour office?"))
        seen = [request.body.decode() for request in model.seen]
    assert all("[email]" in body and "adele.quist" not in body for body in seen)
    assert "adele" not in streamed.text.replace("Write to [email]", "")
    assert whole.json()["choices"][0]["message"]["content"].startswith("Write to [email] [1].")


async def test_the_clients_secrets_and_cookies_stay_here_and_the_servers_stay_there(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here:
        response = await here.chat(
            cookie="a=1", x_forwarded_for="10.0.0.1", x_user_id="u1", openai_beta="assistants=v2"
        )
        [seen] = model.seen
    names = {name for name, _ in seen.headers}
    assert not names & {"cookie", "x-forwarded-for", "x-user-id"}
    assert seen.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert seen.header("openai-beta") == "assistants=v2"
    assert seen.header("x-request-id") == response.headers["x-request-id"]
    assert "set-cookie" not in response.headers
    assert response.headers.get("server") != "theirs"
    assert response.headers["x-ratelimit-remaining"] == "41"


async def test_tokens_are_counted_by_the_server_or_estimated(tmp_path: Path):
    async with stand(tmp_path) as here, here.client() as client:
        response = await client.post("/v1/messages/count_tokens", json=MESSAGES)
    assert response.json()["input_tokens"] > 5


async def test_a_tenant_that_is_switched_off_chats_as_without_ragstone(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url, interceptor={"enabled": False}) as here:
        response = await here.chat()
        [seen] = model.seen
    assert response.headers["x-ragstone-status"] == "bypass; reason=disabled"
    assert seen.json == asking()


async def test_what_an_enriched_chat_carries_is_the_same_for_the_same_question(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url) as here:
        await _twice(here)
    assert model.seen[0].body == model.seen[1].body


async def _twice(here: Stand) -> None:
    for _ in range(2):
        assert (await here.chat()).status_code == 200
