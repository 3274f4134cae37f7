"""Calls to servers that requests are passed on to: what arrives, what is refused, and what a broken server does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from ragstone.errors import InvalidInput, TooLarge
from ragstone.resilience.destinations import Resolver
from ragstone.resilience.http_client import BrokenOff, CallTimeouts, HttpClient
from ragstone.resilience.retry import UpstreamFault
from tests.interceptor.upstreams import Fault, ModelServer, upstream
from tests.llm.mock_upstreams import Exchange, serving
from tests.receivers import receiving
from tests.resilience.test_http_post import certificate
from tests.ssrf import FORBIDDEN_ADDRESSES, FORBIDDEN_URLS

STREAMED = b'{"stream": true, "messages": [{"role": "user", "content": "How much?"}]}'
WHOLE = b'{"messages": [{"role": "user", "content": "How much?"}]}'
QUICK = CallTimeouts(connect_s=1, first_byte_s=0.2, idle_s=0.2, total_s=1)


@asynccontextmanager
async def client(
    *,
    allowed: frozenset[str] = frozenset(),
    timeouts: CallTimeouts | None = None,
    resolver: Resolver | None = None,
) -> AsyncIterator[HttpClient]:
    http = HttpClient(allowed_hosts=allowed, timeouts=timeouts, resolver=resolver)
    try:
        yield http
    finally:
        await http.close()


async def body_of(http: HttpClient, model: ModelServer, body: bytes = STREAMED) -> bytes:
    async with http.open("POST", f"{model.base_url}/chat/completions", body=body, trusted=True) as answer:
        return b"".join([piece async for piece in answer.chunks()])


def leading_to(*addresses: str) -> Resolver:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


async def test_a_request_arrives_as_it_was_given():
    given = [("Content-Type", "application/json"), ("X-Twice", "1"), ("X-Twice", "2")]
    async with upstream() as model, client() as http:
        url = f"{model.base_url}/chat/completions?a=%20&b"
        async with http.open("POST", url, headers=given, body=STREAMED, trusted=True) as answer:
            assert answer.status == 200
    (seen,) = model.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/chat/completions?a=%20&b", STREAMED)
    assert {name for name, _ in seen.headers} == {
        "host",
        "content-type",
        "x-twice",
        "accept-encoding",
        "content-length",
    }
    assert [value for name, value in seen.headers if name == "x-twice"] == ["1", "2"]
    assert seen.header("accept-encoding") == "identity"


async def test_an_answer_comes_in_pieces_while_the_server_still_works():
    async with upstream(Fault.HANG_MIDWAY) as model, client() as http:
        answer = await http.begin("POST", f"{model.base_url}/chat/completions", body=STREAMED, trusted=True)
        async with aclosing(answer.chunks()) as chunks:
            first = await anext(chunks)
        answer.close()
        assert first.startswith(b"data: {")
        async with asyncio.timeout(2):
            await model.hung_up.wait()  # closing an answer that has not ended closes the connection


async def test_headers_of_the_answer_come_in_lower_case_in_their_order_each_time():
    async def script(exchange: Exchange) -> None:
        await exchange.send("HTTP/1.1 200 X\r\nX-A: 1\r\nx-a: 2\r\nX-B: ü\r\ncontent-length: 0\r\n\r\n")

    async with serving(script) as server, client() as http, http.open("GET", server.url, trusted=True) as answer:
        assert answer.headers[:2] == (("x-a", "1"), ("x-a", "2"))
        assert await answer.read(10) == b""


async def test_a_connection_is_used_again_after_an_answer_was_read():
    async with upstream() as model, client() as http:
        for _ in range(3):
            assert (await body_of(http, model)).endswith(b"data: [DONE]\n\n")
        assert (len(model.seen), model.connections) == (3, 1)


async def test_a_connection_is_used_again_where_the_rest_was_drained_and_closed_where_it_does_not_come():
    async with upstream() as model, client() as http:
        for fault, connections in ((None, 1), (Fault.HANG_MIDWAY, 1), (None, 2)):
            model.fault = fault
            url = f"{model.base_url}/chat/completions"
            async with http.open("POST", url, body=STREAMED, trusted=True) as answer:
                async with aclosing(answer.chunks()) as chunks:
                    await anext(chunks)
                await answer.drain(0.1 if fault else 5)
            assert model.connections == connections


async def test_an_answer_that_comes_packed_is_handed_out_unpacked():
    async with upstream(Fault.GZIP) as model, client() as http:
        for body in (STREAMED, WHOLE):
            async with http.open("POST", f"{model.base_url}/chat/completions", body=body, trusted=True) as answer:
                assert not {"content-encoding", "content-length"} & dict(answer.headers).keys()
                assert b"forty tonnes" in await answer.read(100_000)


async def test_a_long_request_arrives_whole():
    body = WHOLE + b" " * 3_000_000
    async with upstream() as model, client() as http:
        await body_of(http, model, body)
        assert model.seen[0].body == body


async def test_neither_redirects_nor_cookies_are_followed():
    async def script(exchange: Exchange) -> None:
        more = "location: /elsewhere\r\nset-cookie: a=b\r\ncontent-length: 0\r\n"
        await exchange.send(f"HTTP/1.1 302 X\r\n{more}connection: close\r\n\r\n")

    async with serving(script) as server, client(resolver=leading_to("127.0.0.1")) as http:
        for _ in range(2):
            url = server.url.replace("127.0.0.1", "models.internal")
            async with http.open("GET", url, trusted=True) as answer:
                assert answer.status == 302
        assert [("cookie" in headers) for headers in server.headers] == [False, False]


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.GARBAGE, Fault.ENDLESS_HEAD])
async def test_a_server_that_does_not_speak_is_a_fault_that_may_be_tried_again(fault: Fault):
    async with upstream(fault) as model, client() as http:
        with pytest.raises(UpstreamFault) as raised:
            await body_of(http, model)
        assert raised.value.retryable
        assert "127.0.0.1" not in str(raised.value)


async def test_one_header_line_of_10_mb_is_refused():
    async def script(exchange: Exchange) -> None:
        await exchange.send("HTTP/1.1 200 X\r\nx-long: " + "x" * 10_000_000 + "\r\n\r\n")

    async with serving(script) as server, client() as http:
        with pytest.raises(UpstreamFault, match="header is too long"):
            await http.begin("GET", server.url, trusted=True)


async def test_a_server_that_takes_the_request_and_stays_silent_is_not_asked_again():
    async with upstream(Fault.HANG) as model, client(timeouts=QUICK) as http:
        with pytest.raises(UpstreamFault, match=r"did not begin to answer within 0\.2 seconds") as raised:
            await body_of(http, model)
        assert not raised.value.retryable  # it may be at work, and bill it
        async with asyncio.timeout(2):
            await model.hung_up.wait()


async def test_an_answer_that_does_not_go_on_breaks_off():
    async with upstream(Fault.HANG_MIDWAY) as model, client(timeouts=QUICK) as http:
        with pytest.raises(BrokenOff, match=r"did not continue within 0\.2 seconds"):
            await body_of(http, model)


async def test_an_answer_that_does_not_end_breaks_off():
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        while True:
            await exchange.send(": keepalive\n\n")
            await asyncio.sleep(0)

    timeouts = CallTimeouts(idle_s=5, total_s=0.2)
    async with serving(script) as server, client(timeouts=timeouts) as http:
        answer = await http.begin("GET", server.url, trusted=True)
        with pytest.raises(BrokenOff, match=r"did not end within 0\.2 seconds"):
            await answer.read(1 << 30)
        answer.close()


async def test_a_reader_that_takes_its_time_is_no_fault_of_the_server():
    async with upstream() as model, client(timeouts=QUICK) as http:
        async with http.open("POST", f"{model.base_url}/chat/completions", body=STREAMED, trusted=True) as answer:
            pieces = []
            async for piece in answer.chunks():
                pieces.append(piece)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), QUICK.idle_s * 1.5 / max(1, 2 * len(pieces) - 1))
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("body", [STREAMED, WHOLE])
async def test_a_reset_midway_breaks_the_answer_off(body: bytes):
    async with upstream(Fault.RESET) as model, client() as http:
        with pytest.raises(BrokenOff):
            await body_of(http, model, body)


async def test_garbage_midway_breaks_the_answer_off():
    begun = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.head(more="transfer-encoding: chunked\r\n")
        await begun.wait()
        await exchange.send("5\r\nhello\r\nthis is no length\r\n")

    async with serving(script) as server, client() as http, http.open("GET", server.url, trusted=True) as answer:
        begun.set()
        with pytest.raises(BrokenOff):
            await answer.read(100)


async def test_no_more_is_read_than_was_asked_for():
    async with upstream(Fault.LONG_LINE) as model, client() as http:
        with pytest.raises(TooLarge):
            async with http.open("POST", f"{model.base_url}/chat/completions", body=WHOLE, trusted=True) as answer:
                await answer.read(1_000_000)


async def test_a_call_that_is_given_up_closes_its_connection():
    async with upstream(Fault.HANG) as model, client() as http:
        calling = asyncio.create_task(body_of(http, model))
        async with asyncio.timeout(2):
            await model.asked.wait()
            calling.cancel()
            await model.hung_up.wait()
        with pytest.raises(asyncio.CancelledError):
            await calling


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
async def test_a_name_that_somebody_gave_leads_to_no_address_of_this_network(address: str):
    async with client(resolver=leading_to(address)) as http:
        with pytest.raises(InvalidInput, match="public internet"):
            await http.begin("GET", "https://models.example.com/v1/models")


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
async def test_no_spelling_of_an_address_of_this_network_is_called(url: str):
    async with client(timeouts=QUICK) as http:
        with pytest.raises(InvalidInput):
            await http.begin("GET", url)


async def test_a_host_with_a_public_and_a_private_address_is_not_called():
    async with client(resolver=leading_to("93.184.215.14", "127.0.0.1")) as http:
        with pytest.raises(InvalidInput):
            await http.begin("GET", "http://models.example.com/")


async def test_an_allowed_host_may_be_named_by_anybody_with_that_port_only():
    async with upstream() as model:
        place = model.url.removeprefix("http://")
        async with client(allowed=frozenset({place})) as http:
            async with http.open("GET", f"{model.base_url}/models") as answer:
                assert answer.status == 200
            with pytest.raises(InvalidInput):
                await http.begin("GET", f"http://{place.split(':')[0]}:80/v1/models")


async def test_a_connection_of_the_operator_is_never_used_for_a_tenants_url():
    async with upstream() as model, client(resolver=leading_to("127.0.0.1")) as http:
        port = model.url.rsplit(":", 1)[1]
        url = f"http://models.example.com:{port}/v1/models"
        async with http.open("GET", url, trusted=True) as answer:
            await answer.read(10_000)
        with pytest.raises(InvalidInput):
            await http.begin("GET", url)
        assert len(model.seen) == 1


async def test_a_name_that_takes_too_long_to_look_up_is_no_connection():
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    timeouts = CallTimeouts(connect_s=0.1)
    async with client(resolver=never, timeouts=timeouts) as http:
        with pytest.raises(UpstreamFault, match=r"made within 0\.1 seconds") as raised:
            await http.begin("GET", "http://models.internal/", trusted=True)
        assert raised.value.retryable


async def test_the_name_in_the_url_is_verified_and_a_wrong_certificate_is_not_tried_again(tmp_path: Path):
    server, trusting = certificate(tmp_path, "models.internal")
    async with receiving(server) as receiver:
        http = HttpClient(resolver=leading_to("127.0.0.1"), verify=trusting)
        try:
            async with http.open("GET", f"https://models.internal:{receiver.port}/", trusted=True) as answer:
                assert answer.status == 204
            with pytest.raises(UpstreamFault, match="certificate") as raised:
                await http.begin("GET", f"https://other.internal:{receiver.port}/", trusted=True)
        finally:
            await http.close()
        assert not raised.value.retryable


async def test_an_unknown_name_of_the_operator_is_a_fault():
    async def nothing(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async with client(resolver=nothing) as http:
        with pytest.raises(UpstreamFault, match="cannot be looked up") as raised:
            await http.begin("GET", "http://models.internal/", trusted=True)
        assert raised.value.retryable


@pytest.mark.parametrize("url", ["", "ftp://a/", "http://", "/v1", "http://[::1"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_what_is_no_url_is_refused(url: str, *, trusted: bool):
    async with client() as http:
        with pytest.raises(InvalidInput):
            await http.begin("GET", url, trusted=trusted)
