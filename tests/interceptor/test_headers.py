"""What passes between a client and the model's server, and what stays."""

from __future__ import annotations

import json

import pytest

from ragstone.errors import InvalidInput
from ragstone.interceptor.upstream import incoming, outgoing, redacted

STAYS = {
    "authorization": "Bearer theirs",
    "x-api-key": "theirs",
    "api-key": "theirs",
    "cookie": "a=b",
    "host": "us.example",
    "content-length": "7",
    "transfer-encoding": "chunked",
    "connection": "keep-alive, x-custom",
    "x-custom": "1",
    "te": "trailers",
    "upgrade": "h2c",
    "proxy-authorization": "Basic x",
    "accept-encoding": "gzip",
    "expect": "100-continue",
    "forwarded": "for=1.2.3.4",
    "x-forwarded-for": "1.2.3.4",
    "x-real-ip": "1.2.3.4",
    "x-request-id": "theirs",
    "x-ragstone-bypass": "1",
    "x-user-id": "u1",
    "x-conversation-id": "c1",
    "x-message-id": "m1",
    "x-parent-message-id": "m0",
    "x-openwebui-user-email": "ann@example.com",
    "origin": "https://chat.example",
    "referer": "https://chat.example/c/1",
}
PASSES = {
    "content-type": "application/json",
    "accept": "text/event-stream",
    "user-agent": "OpenAI/Python 3.52.0",
    "openai-organization": "org-1",
    "openai-beta": "assistants=v2",
    "anthropic-beta": "files-api",
    "anthropic-version": "2023-06-01",
    "x-stainless-lang": "python",
}


def sent(headers: dict[str, str], *, key: str | None = "our-key", anthropic: bool = False) -> dict[str, str]:
    return dict(outgoing(headers, key=key, wire_format="anthropic" if anthropic else "openai", request_id="r1"))


def test_only_what_vendors_read_goes_to_the_server():
    headers = {name.title(): value for name, value in (STAYS | PASSES).items()}
    assert sent(headers) == PASSES | {"authorization": "Bearer our-key", "x-request-id": "r1"}


def test_without_a_key_of_the_server_none_is_sent():
    for anthropic in (True, False):
        assert not {"authorization", "x-api-key"} & sent(STAYS, key=None, anthropic=anthropic).keys()


@pytest.mark.parametrize(
    ("version", "proof"),
    [
        (None, {"x-api-key": "our-key"}),
        ("2023-06-01", {"x-api-key": "our-key"}),
        ("2026-10-21", {"authorization": "Bearer our-key"}),
    ],
)
def test_anthropic_is_shown_the_key_as_its_version_wants_it(version: str | None, proof: dict[str, str]):
    told = sent(STAYS | ({"anthropic-version": version} if version else {}), anthropic=True)
    assert {name: told[name] for name in ("authorization", "x-api-key") if name in told} == proof
    assert told["anthropic-version"] == (version or "2023-06-01")


@pytest.mark.parametrize("value", ["a\r\nx-api-key: b", "a\nb", "a\x00", "ä", "a" * 10_000])
def test_a_header_that_could_become_two_is_refused(value: str):
    with pytest.raises(InvalidInput):
        sent({"user-agent": value})


def test_a_header_that_stays_here_may_hold_anything():
    assert "x-name" not in sent({"x-name": "Jürgen"})


def test_the_answer_brings_what_clients_read_and_nothing_of_the_server_or_of_ours():
    given = [
        ("Content-Type", "application/json"),
        ("Retry-After", "7"),
        ("retry-after-ms", "7000"),
        ("x-ratelimit-remaining-tokens", "41"),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("openai-processing-ms", "12"),
        ("request-id", "req_1"),
        ("X-Request-Id", "req_2"),
        ("x-should-retry", "true"),
        ("Set-Cookie", "a=b"),
        ("Server", "theirs"),
        ("Date", "today"),
        ("Connection", "close"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "7"),
        ("Content-Encoding", "gzip"),
        ("Access-Control-Allow-Origin", "*"),
        ("Content-Security-Policy", "none"),
        ("Clear-Site-Data", "*"),
        ("Location", "https://elsewhere.example"),
        ("x-ragstone-status", "enriched"),
        ("openai-model", "a\r\nset-cookie: b"),
    ]
    assert incoming(given) == [
        ("content-type", "application/json"),
        ("retry-after", "7"),
        ("retry-after-ms", "7000"),
        ("x-ratelimit-remaining-tokens", "41"),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("openai-processing-ms", "12"),
        ("request-id", "req_1"),
        ("x-upstream-request-id", "req_2"),
        ("x-should-retry", "true"),
    ]


@pytest.mark.parametrize("secret", ["our/key+1", 'quo"ted', "models.internal:8000", "käse"])
@pytest.mark.parametrize("written", [str, json.dumps, lambda text: text.replace("/", "\\/")])
def test_no_message_quotes_our_key_or_the_address(secret: str, written):
    body = f'{{"error":{{"message":"{written(secret)} is wrong"}}}}'.encode()
    told = redacted(body, [secret])
    assert b"[redacted] is wrong" in told.replace(b'"[redacted]"', b"[redacted]")
    for form in (secret, json.dumps(secret)[1:-1]):
        assert form.encode() not in told


def test_the_host_is_taken_out_without_its_port_and_in_capitals_too():
    told = redacted(b"models.internal and MODELS.INTERNAL:8000", ["models.internal:8000"])
    assert told == b"[redacted] and [redacted]"


def test_a_key_that_the_vendor_quotes_with_stars_is_taken_out():
    assert redacted(b"Incorrect API key provided: sk-proj-ab**********yz.", []) == (
        b"Incorrect API key provided: [redacted]"
    )
    assert redacted(b"a risk-free task", []) == b"a risk-free task"


def test_an_empty_secret_takes_nothing_out():
    assert redacted(b"all of it", [""]) == b"all of it"
