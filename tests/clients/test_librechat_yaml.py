"""The configuration that docs/librechat.md gives, read as LibreChat reads it, and lived by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.clients.outside import HERE, librechat
from tests.conftest import REPOSITORY
from tests.interceptor.setup import KEY, QUESTION, stand
from tests.interceptor.upstreams import upstream

READ_BY_LIBRECHAT = {"JWT_SECRET", "RAG_API_URL", "RAG_USE_FULL_CONTEXT"}
RESOLVED = {
    "{{LIBRECHAT_USER_ID}}": "66f1a2b3c4d5e6f708192a3b",
    "{{LIBRECHAT_BODY_CONVERSATIONID}}": "b8b8e1f2-conversation",
    "{{LIBRECHAT_BODY_MESSAGEID}}": "b8b8e1f2-message",
    "{{LIBRECHAT_BODY_PARENTMESSAGEID}}": "00000000-0000-0000-0000-000000000000",
}
CLAUDE = """    - name: 'Ragstone-Claude'
      provider: 'anthropic'
      apiKey: '${RAGSTONE_KEY}'
      baseURL: 'http://ragstone:8000'
      models:
        default: ['claude']
        fetch: false
"""
"""The endpoint that the section on Claude describes."""


def documented(kind: str) -> list[str]:
    text = (REPOSITORY / "docs" / "librechat.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", block, re.MULTILINE))


async def read(text: str) -> dict[str, Any]:
    return await librechat("configuration.mjs", {"text": text})


async def test_librechat_accepts_the_documented_file_and_drops_nothing_of_it():
    [text] = documented("yaml")
    told = await read(text + CLAUDE)
    assert told["errors"] == []
    assert told["dropped"] == []
    assert [endpoint["name"] for endpoint in told["read"]["endpoints"]["custom"]] == ["Ragstone", "Ragstone-Claude"]


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        ("cache: true", "cashe: true", "cashe"),
        ("titleModel:", "titleModl:", "endpoints.custom.0.titleModl"),
        ("maxCitations:", "maxCitation:", "endpoints.agents.maxCitation"),
        ("default: ['house']", "default: []", "endpoints.custom.0.models.default"),
        ("name: 'Ragstone'", "name: 'openAI'", "endpoints.custom.0.name"),
    ],
)
async def test_a_planted_mistake_is_found(right: str, wrong: str, found: str):
    [text] = documented("yaml")
    assert right in text
    told = await read(text.replace(right, wrong, 1))
    assert found in " ".join([*told["errors"], *told["dropped"]])


def test_every_variable_of_librechats_env_is_one_that_it_reads_or_the_file_names():
    [yaml] = documented("yaml")
    _, env = documented("ini")
    named = set(re.findall(r"\$\{([A-Z_]+)\}", yaml))
    assert set(variables(env)) == {"JWT_SECRET", "RAG_API_URL"} | named
    assert set(variables(env)) - named <= READ_BY_LIBRECHAT


async def test_a_chat_and_its_title_go_as_the_documented_files_say(tmp_path: Path):
    ours = variables(documented("ini")[0])
    endpoint = (await read(documented("yaml")[0]))["read"]["endpoints"]["custom"][0]
    theirs = {
        "models": json.loads(ours["RAGSTONE_INTERCEPTOR__MODELS"]),
        "plain_models": ours["RAGSTONE_INTERCEPTOR__PLAIN_MODELS"],
    }
    async with upstream() as model, stand(tmp_path, model.url, interceptor=theirs) as here:
        assert endpoint["baseURL"] == "http://ragstone:8000/v1"
        task = {
            "provider": "openAI",
            "key": KEY,
            "url": here.url,
            "headers": {name: RESOLVED[value] for name, value in endpoint["headers"].items()},
            "messages": [{"role": "user", "content": QUESTION}],
        }
        chat = await librechat("agents.mjs", {**task, "model": endpoint["models"]["default"][0]})
        title = {**task, "model": endpoint["titleModel"], "method": endpoint["titleMethod"]}
        await librechat("agents.mjs", title)
    assert "**Sources**" in chat["text"]
    first, second = model.seen
    assert first.json["model"] == second.json["model"] == "gpt-4o-mini"
    assert "forty tonnes" in first.body.decode()
    assert len(second.json["messages"]) == 1
    assert second.json["messages"][0]["content"].startswith("Provide a concise")


def test_no_address_is_locked():
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    unhashed = [name for name, package in lock["packages"].items() if name and "integrity" not in package]
    assert unhashed == []
