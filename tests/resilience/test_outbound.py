"""Whatever URL somebody names: no request reaches anything but the public internet, or what the operator allows."""

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
from ragstone.resilience.outbound import Outbound, OutboundOptions
from tests.receivers import Receiver, receiving, status
from tests.ssrf import FORBIDDEN_ADDRESSES, FORBIDDEN_FORMS, FORBIDDEN_URLS

PUBLIC = ("93.184.215.14", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1")
QUICK = OutboundOptions(total_s=0.5)


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
async def opened(outbound: Outbound) -> AsyncIterator[Outbound]:
    yield outbound
    await outbound.close()


async def post(outbound: Outbound, url: str) -> int:
    return (await outbound.post(url, b"{}", {"content-type": "application/json"})).status


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
async def test_no_request_goes_to_an_address_that_is_not_public(address: str):
    async with opened(Outbound(resolver=leading_to(address), options=QUICK)) as outbound:
        for attempt in (outbound.check("https://hooks.example.com/"), post(outbound, "https://hooks.example.com/")):
            with pytest.raises(InvalidInput) as refusal:
                await attempt
            assert address not in refusal.value.message


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_public_address_passes(address: str):
    assert is_public(address)
    async with opened(Outbound(resolver=leading_to(address))) as outbound:
        assert await outbound.check("https://hooks.example.com/a?b=c#d") == "https://hooks.example.com/a?b=c"


async def test_one_forbidden_address_among_public_ones_is_enough():
    async with opened(Outbound(resolver=leading_to("1.1.1.1", "2606:4700::1111", "127.0.0.1"))) as outbound:
        with pytest.raises(InvalidInput):
            await post(outbound, "https://hooks.example.com/")


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
async def test_a_url_of_another_kind_or_that_hides_its_host_is_refused(url: str):
    async with opened(Outbound(options=QUICK)) as outbound:
        for attempt in (outbound.check(url), post(outbound, url)):
            with pytest.raises(InvalidInput) as refusal:
                await attempt
            assert "127.0.0.1" not in refusal.value.message


@pytest.mark.parametrize("url", FORBIDDEN_FORMS)
async def test_a_url_of_another_form_is_refused_wherever_it_leads(url: str):
    async with opened(Outbound(resolver=leading_to("1.1.1.1"))) as outbound:
        with pytest.raises(InvalidInput):
            await outbound.check(url)


def test_the_canonical_form_is_what_is_called():
    assert checked_url("HTTPS://B\u00fccher.Example/\u00fc?q=1#f") == "https://xn--bcher-kva.example/%C3%BC?q=1"
    assert checked_url("http://hooks.example.com") == "http://hooks.example.com"
    assert checked_url("http://[2606:4700::1111]/x") == "http://[2606:4700::1111]/x"


async def test_a_name_that_moves_between_check_and_call_is_caught_at_the_call():
    async with receiving() as canary:
        rebinding = Rebinding("1.1.1.1", "127.0.0.1")
        async with opened(Outbound(resolver=rebinding, options=QUICK)) as outbound:
            await outbound.check("http://hooks.example.com/")
            with pytest.raises(InvalidInput):
                await post(outbound, "http://hooks.example.com/")
        assert canary.received == []


async def test_a_call_looks_up_once_and_connects_to_what_it_found():
    async with receiving() as receiver:
        place = f"hooks.internal:{receiver.port}"
        rebinding = Rebinding("127.0.0.1", "203.0.113.9")
        async with opened(Outbound(allowed=frozenset({place}), resolver=rebinding, options=QUICK)) as outbound:
            assert await post(outbound, f"http://{place}/hook?x=1") == 204
        assert rebinding.lookups == 1
        (request,) = receiver.received
        assert (request.headers["host"], request.target, request.body) == (place, "/hook?x=1", b"{}")


async def test_each_call_looks_up_anew():
    async with receiving() as receiver:
        place = f"hooks.internal:{receiver.port}"
        rebinding = Rebinding("127.0.0.1")
        async with opened(Outbound(allowed=frozenset({place}), resolver=rebinding)) as outbound:
            for _ in range(3):
                assert await post(outbound, f"http://{place}/") == 204
        assert rebinding.lookups == 3


async def test_only_the_host_and_port_that_the_operator_names_are_allowed():
    async with receiving() as allowed, receiving() as canary:
        async with opened(Outbound(allowed=frozenset({allowed.place}), options=QUICK)) as outbound:
            assert await post(outbound, allowed.url()) == 204
            with pytest.raises(InvalidInput):
                await post(outbound, canary.url())
        assert canary.received == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(code: int):
    async with receiving() as receiver, receiving() as canary:
        receiver.answers = [status(code, f"location: {canary.url()}\r\nrefresh: 0; url={canary.url()}\r\n")]
        allowed = frozenset({receiver.place, canary.place})
        async with opened(Outbound(allowed=allowed)) as outbound:
            assert await post(outbound, receiver.url()) == code
        assert canary.received == []


async def test_an_endless_answer_is_read_to_the_limit_only(allowing_receiver: tuple[Outbound, Receiver]):
    outbound, receiver = allowing_receiver
    receiver.answers = [b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"]
    receiver.endless = b"x" * 65_536
    reply = await outbound.post(receiver.url(), b"{}", {})
    assert (reply.status, len(reply.body)) == (200, OutboundOptions().max_answer_bytes)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\n"])
async def test_an_answer_that_drips_ends_at_the_deadline(allowing_receiver: tuple[Outbound, Receiver], head: bytes):
    outbound, receiver = allowing_receiver
    receiver.answers, receiver.endless, receiver.pause_s = [head], b"y", 0.02
    began = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match=r"within 0\.5 seconds"):
        await post(outbound, receiver.url())
    assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize("answer", [b"\x00\x01garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"])
async def test_an_answer_that_is_no_http_is_a_failure(allowing_receiver: tuple[Outbound, Receiver], answer: bytes):
    outbound, receiver = allowing_receiver
    receiver.answers = [answer]
    with pytest.raises(Unavailable):
        await post(outbound, receiver.url())


async def test_nobody_listening_is_a_failure_that_names_no_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"hooks.internal:{free.getsockname()[1]}"
        async with opened(Outbound(allowed=frozenset({place}), resolver=leading_to("127.0.0.1"))) as outbound:
            with pytest.raises(Unavailable) as failure:
                await post(outbound, f"http://{place}/")
        assert "127.0.0.1" not in failure.value.message


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    async with receiving() as receiver, receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        async with opened(Outbound(allowed=frozenset({receiver.place}))) as outbound:
            assert await post(outbound, receiver.url()) == 204
        assert proxy.received == []


async def test_tls_verifies_the_name_though_the_connection_is_made_to_an_address(tmp_path: Path):
    server, trusting = certificate(tmp_path, "hooks.internal")
    async with receiving(server) as receiver:
        places = frozenset({f"hooks.internal:{receiver.port}", f"other.internal:{receiver.port}"})
        outbound = Outbound(allowed=places, resolver=leading_to("127.0.0.1"), verify=trusting)
        async with opened(outbound):
            assert await post(outbound, f"https://hooks.internal:{receiver.port}/") == 204
            with pytest.raises(Unavailable, match="certificate"):
                await post(outbound, f"https://other.internal:{receiver.port}/")
        assert len(receiver.received) == 1


@pytest.fixture
async def allowing_receiver() -> AsyncIterator[tuple[Outbound, Receiver]]:
    async with (
        receiving() as receiver,
        opened(Outbound(allowed=frozenset({receiver.place}), options=QUICK)) as outbound,
    ):
        yield outbound, receiver


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
