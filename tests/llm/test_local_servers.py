"""Model servers on this machine are found by their lists of models, whatever else answers on their ports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from ragstone.llm.local_servers import MAX_LIST_BYTES, MAX_LISTED, listed, local_models
from tests.llm.mock_upstreams import Exchange, Script, serving

# The form of what each server sends for GET /v1/models; names, dates and sizes are made up.
OLLAMA = {
    "object": "list",
    "data": [
        {"id": "llama3.2:latest", "object": "model", "created": 1727000000, "owned_by": "library"},
        {"id": "nomic-embed-text:latest", "object": "model", "created": 1727000001, "owned_by": "library"},
    ],
}
LLAMA_CPP = {
    "models": [{"name": "qwen2.5-3b-q4.gguf", "model": "qwen2.5-3b-q4.gguf", "capabilities": ["completion"]}],
    "object": "list",
    "data": [
        {
            "id": "qwen2.5-3b-q4.gguf",
            "object": "model",
            "created": 1727000000,
            "owned_by": "llamacpp",
            "meta": {"vocab_type": 2, "n_vocab": 151936, "n_ctx_train": 32768, "n_embd": 2048, "size": 1929903264},
        }
    ],
}
LM_STUDIO = {
    "data": [
        {"id": "gemma-2-2b-it", "object": "model", "owned_by": "organization_owner"},
        {"id": "text-embedding-nomic-embed-text-v1.5", "object": "model", "owned_by": "organization_owner"},
    ],
    "object": "list",
}
VLLM = {
    "object": "list",
    "data": [
        {
            "id": "mistral-small",
            "object": "model",
            "created": 1727000000,
            "owned_by": "vllm",
            "root": "mistral-small",
            "parent": None,
            "max_model_len": 32768,
            "permission": [{"id": "modelperm-1", "object": "model_permission", "allow_sampling": True}],
        }
    ],
}


def sends(body: object, status: int = 200, more: str = "") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.json(status, body, more)

    return script


async def never(exchange: Exchange) -> None:
    await exchange.head(kind="application/json")
    await exchange.until_hung_up()


async def endless(exchange: Exchange) -> None:
    await exchange.head(kind="application/json")
    for _ in range(2 * MAX_LIST_BYTES // 65536):
        await exchange.send(" " * 65536)
    await exchange.send(json.dumps(OLLAMA))


async def broken(exchange: Exchange) -> None:
    exchange.reset()


@asynccontextmanager
async def servers(*scripts: Script) -> AsyncIterator[list[int]]:
    """The ports of servers that run `scripts`."""
    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(serving(script)) for script in scripts]
        yield [int(one.url.split(":")[2].split("/")[0]) for one in running]


async def test_each_server_is_known_by_its_list_in_the_order_of_the_ports():
    async with servers(sends(OLLAMA), sends(LLAMA_CPP), sends(LM_STUDIO), sends(VLLM)) as ports:
        found = await local_models(ports, timeout_s=5.0)
    assert [(one.name, one.server) for one in found] == [
        ("llama3.2:latest", "Ollama"),
        ("qwen2.5-3b-q4.gguf", "llama.cpp"),
        ("gemma-2-2b-it", "LM Studio"),
        ("mistral-small", "vLLM"),
    ]
    assert [one.base_url for one in found] == [f"http://127.0.0.1:{port}/v1" for port in ports]


@pytest.mark.parametrize(
    "script",
    [
        sends(OLLAMA, status=401),
        sends({"detail": "Not Found"}, status=404),
        sends(OLLAMA, status=302, more="location: http://127.0.0.1:1/v1/models\r\n"),
        sends("a text"),
        sends({"data": {"id": "x"}}),
        sends({"data": [None, 7, {"id": 7, "owned_by": "vllm"}, {"owned_by": "vllm"}]}),
        endless,
        broken,
    ],
    ids=["key", "other-program", "redirect", "text", "no-list", "no-names", "too-long", "reset"],
)
async def test_what_is_no_list_of_models_is_passed_over(script: Script):
    async with servers(script, sends(VLLM)) as ports:
        assert [one.name for one in await local_models(ports, timeout_s=5.0)] == ["mistral-small"]


async def test_a_server_that_hangs_takes_its_time_and_no_more():
    async with servers(never, sends(VLLM)) as ports:
        assert [one.name for one in await local_models(ports, timeout_s=1.0)] == ["mistral-small"]


async def test_where_nothing_listens_nothing_is_found():
    async with servers(sends(VLLM)) as ports:
        pass
    assert await local_models([*ports, 1]) == ()


def test_the_list_of_ragstone_itself_is_none_even_with_models_of_another_server():
    own = {"id": "all-MiniLM-L6-v2", "object": "model", "created": 0, "owned_by": "ragstone"}
    assert list(listed(json.dumps({"data": [*VLLM["data"], own]}).encode(), 8000)) == []


def test_on_a_port_of_many_programs_the_list_has_to_name_its_server():
    anyone = json.dumps({"data": [{"id": "m", "object": "model", "owned_by": "me"}]}).encode()
    assert list(listed(anyone, 8080)) == list(listed(anyone, 8000)) == []
    assert list(listed(anyone, 11434)) == [("m", "Ollama")]


@pytest.mark.parametrize("name", ["", " m", "a\x1b[2Jb", "a\nb", "x" * 201, "\u202em"])
def test_a_name_that_could_deceive_a_terminal_is_passed_over(name: str):
    assert list(listed(json.dumps({"data": [{"id": name, "owned_by": "vllm"}]}).encode(), 8000)) == []


def test_a_list_is_read_to_a_bound():
    many = [{"id": f"m{number}", "owned_by": "vllm"} for number in range(1000)]
    assert len(list(listed(json.dumps({"data": many}).encode(), 8000))) == MAX_LISTED


@pytest.mark.parametrize("make", [lambda: b"[" * 100_000, lambda: b"\xff\xfe", lambda: b""])
def test_what_is_no_json_is_passed_over(make: Callable[[], bytes]):
    assert list(listed(make(), 11434)) == []
