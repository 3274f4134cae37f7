"""A post to a tenant's URL reaches only the public internet, or a host that the operator allows, whatever the URL."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ragstone.errors import InvalidInput, Unavailable
from ragstone.resilience.destinations import Resolver, checked_url, is_public
from ragstone.resilience.http_client import HttpClient, PostLimits
from tests.receivers import Receiver, receiving, status
from tests.ssrf import FORBIDDEN_ADDRESSES, FORBIDDEN_FORMS, FORBIDDEN_URLS

PUBLIC = ("93.184.215.14", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1")
USUAL = PostLimits()
QUICK = PostLimits(total_s=0.5)


def leading_to(*addresses: str) -> Resolver:
    """Every name has these addresses."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


class Rebinding:
    """A name that is at another address each time it is looked up."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.lookups = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.lookups += 1
        return [self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]]


@asynccontextmanager
async def opened(http: HttpClient) -> AsyncIterator[HttpClient]:
    yield http
    await http.close()


async def post(http: HttpClient, url: str, limits: PostLimits = USUAL) -> int:
    return (await http.post(url, b"{}", {"content-type": "application/json"}, limits=limits)).status


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
async def test_no_request_goes_to_an_address_that_is_not_public(address: str):
    async with opened(HttpClient(resolver=leading_to(address))) as http:
        for attempt in (http.check("https://hooks.example.com/"), post(http, "https://hooks.example.com/")):
            with pytest.raises(InvalidInput) as refusal:
                await attempt
            assert address not in refusal.value.message


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_public_address_passes(address: str):
    assert is_public(address)
    async with opened(HttpClient(resolver=leading_to(address))) as http:
        assert await http.check("https://hooks.example.com/a?b=c#d") == "https://hooks.example.com/a?b=c"


async def test_one_forbidden_address_among_public_ones_is_enough():
    async with opened(HttpClient(resolver=leading_to("1.1.1.1", "2606:4700::1111", "127.0.0.1"))) as http:
        with pytest.raises(InvalidInput):
            await post(http, "https://hooks.example.com/")


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
async def test_a_url_of_another_kind_or_that_hides_its_host_is_refused(url: str):
    async with opened(HttpClient()) as http:
        for attempt in (http.check(url), post(http, url)):
            with pytest.raises(InvalidInput) as refusal:
                await attempt
            assert "127.0.0.1" not in refusal.value.message


@pytest.mark.parametrize("url", FORBIDDEN_FORMS)
async def test_a_url_of_another_form_is_refused_wherever_it_leads(url: str):
    async with opened(HttpClient(resolver=leading_to("1.1.1.1"))) as http:
        with pytest.raises(InvalidInput):
            await http.check(url)


def test_the_canonical_form_is_what_is_called():
    assert checked_url("HTTPS://B\u00fccher.Example/\u00fc?q=1#f") == "https://xn--bcher-kva.example/%C3%BC?q=1"
    assert checked_url("http://hooks.example.com") == "http://hooks.example.com"
    assert checked_url("http://[2606:4700::1111]/x") == "http://[2606:4700::1111]/x"


async def test_a_name_that_moves_between_check_and_call_is_caught_at_the_call():
    async with receiving() as canary:
        rebinding = Rebinding("1.1.1.1", "127.0.0.1")
        async with opened(HttpClient(resolver=rebinding)) as http:
            await http.check("http://hooks.example.com/")
            with pytest.raises(InvalidInput):
                await post(http, "http://hooks.example.com/")
        assert canary.received == []


async def test_a_call_looks_up_once_and_connects_to_what_it_found():
    async with receiving() as receiver:
        place = f"hooks.internal:{receiver.port}"
        rebinding = Rebinding("127.0.0.1", "203.0.113.9")
        async with opened(HttpClient(allowed_hosts=frozenset({place}), resolver=rebinding)) as http:
            assert await post(http, f"http://{place}/hook?x=1") == 204
        assert rebinding.lookups == 1
        (request,) = receiver.received
        assert (request.headers["host"], request.target, request.body) == (place, "/hook?x=1", b"{}")


async def test_each_call_looks_up_anew():
    async with receiving() as receiver:
        place = f"hooks.internal:{receiver.port}"
        rebinding = Rebinding("127.0.0.1")
        async with opened(HttpClient(allowed_hosts=frozenset({place}), resolver=rebinding)) as http:
            for _ in range(3):
                assert await post(http, f"http://{place}/") == 204
        assert rebinding.lookups == 3


async def test_only_the_host_and_port_that_the_operator_names_are_allowed():
    async with receiving() as allowed, receiving() as canary:
        async with opened(HttpClient(allowed_hosts=frozenset({allowed.place}))) as http:
            assert await post(http, allowed.url()) == 204
            with pytest.raises(InvalidInput):
                await post(http, canary.url())
        assert canary.received == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(code: int):
    async with receiving() as receiver, receiving() as canary:
        receiver.answers = [status(code, f"location: {canary.url()}\r\nrefresh: 0; url={canary.url()}\r\n")]
        allowed = frozenset({receiver.place, canary.place})
        async with opened(HttpClient(allowed_hosts=allowed)) as http:
            assert await post(http, receiver.url()) == code
        assert canary.received == []


async def test_an_endless_answer_is_read_to_the_limit_only(allowing_receiver: tuple[HttpClient, Receiver]):
    http, receiver = allowing_receiver
    receiver.answers = [b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"]
    receiver.endless = b"x" * 65_536
    reply = await http.post(receiver.url(), b"{}", {})
    assert (reply.status, len(reply.body)) == (200, PostLimits().max_answer_bytes)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\n"])
async def test_an_answer_that_drips_ends_at_the_deadline(allowing_receiver: tuple[HttpClient, Receiver], head: bytes):
    http, receiver = allowing_receiver
    receiver.answers, receiver.endless, receiver.pause_s = [head], b"y", 0.02
    began = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match=r"within 0\.5 seconds"):
        await post(http, receiver.url(), QUICK)
    assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize("answer", [b"\x00\x01garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"])
async def test_an_answer_that_is_no_http_is_a_failure(allowing_receiver: tuple[HttpClient, Receiver], answer: bytes):
    http, receiver = allowing_receiver
    receiver.answers = [answer]
    with pytest.raises(Unavailable):
        await post(http, receiver.url())


async def test_a_closed_port_is_a_failure_that_names_no_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"hooks.internal:{free.getsockname()[1]}"
        async with opened(HttpClient(allowed_hosts=frozenset({place}), resolver=leading_to("127.0.0.1"))) as http:
            with pytest.raises(Unavailable) as failure:
                await post(http, f"http://{place}/")
        assert "127.0.0.1" not in failure.value.message


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    async with receiving() as receiver, receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        async with opened(HttpClient(allowed_hosts=frozenset({receiver.place}))) as http:
            assert await post(http, receiver.url()) == 204
        assert proxy.received == []


async def test_tls_verifies_the_name_though_the_connection_is_made_to_an_address(tmp_path: Path):
    server, trusting = certificate(tmp_path, "hooks.internal")
    async with receiving(server) as receiver:
        places = frozenset({f"hooks.internal:{receiver.port}", f"other.internal:{receiver.port}"})
        http = HttpClient(allowed_hosts=places, resolver=leading_to("127.0.0.1"), verify=trusting)
        async with opened(http):
            assert await post(http, f"https://hooks.internal:{receiver.port}/") == 204
            with pytest.raises(Unavailable, match="certificate"):
                await post(http, f"https://other.internal:{receiver.port}/")
        assert len(receiver.received) == 1


@pytest.fixture
async def allowing_receiver() -> AsyncIterator[tuple[HttpClient, Receiver]]:
    async with (
        receiving() as receiver,
        opened(HttpClient(allowed_hosts=frozenset({receiver.place}))) as http,
    ):
        yield http, receiver


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server that is `name`, and a client that trusts it."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-keyout key.pem -out cert.pem -subj /CN={name} -addext subjectAltName=DNS:{name}"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))
