"""Pipelines of Vectorize.io, asked over real connections; the service is a server on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import CircuitOpen, ConfigurationError, UpstreamUnavailable
from ragstone.resilience.breaker import State
from ragstone.resilience.http_client import HttpClient
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.retrieval.vectorize.client import (
    MAX_ANSWER_BYTES,
    MAX_DOCUMENTS,
    MAX_TEXT_CHARS,
    PipelineAddress,
    RemotePipeline,
    VectorizeClient,
    checked_token,
    expiry_of,
    pipeline_address,
    read_documents,
)
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Scope
from tests.retrieval.vectorize_server import (
    BRIDGE,
    GATEWAY_PATH,
    PATH,
    TOWER,
    a_pipeline,
    answer,
    document,
    finding,
    hanging,
    in_turn,
    jwt,
    refusing,
    resetting,
    serving,
    telling,
    url_of,
)

TOKEN = jwt()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUESTION = "How tall is the tower?"


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


@pytest.fixture
def guards() -> UpstreamPolicies:
    return UpstreamPolicies(UpstreamOptions(), metrics=Metrics())


@pytest.fixture
def client(http: HttpClient, guards: UpstreamPolicies) -> VectorizeClient:
    return VectorizeClient(http, guards)


def pipeline(upstream, path=PATH, **changes):
    address = pipeline_address(url=url_of(upstream, path), trusted=True)
    return RemotePipeline(**{"address": address, "token": TOKEN, **changes})


async def asked(client, upstream, *, limit=8, question=QUESTION, **changes):
    return await client.retrieve(Scope(), pipeline(upstream, **changes), question, limit=limit)


async def sentence_of(client, script, **changes):
    """What the reader is told when the service does as `script` does."""
    async with serving(script) as upstream:
        with pytest.raises(UpstreamUnavailable) as caught:
            await asked(client, upstream, **changes)
    return caught.value.message


def test_the_address_is_made_of_organisation_and_pipeline():
    address = pipeline_address(organization="org-1", pipeline="pipe_2")
    assert address.url == "https://api.vectorize.io/v1/org/org-1/pipelines/pipe_2/retrieval"
    assert (address.gateway, address.trusted) == (False, False)


def test_a_full_url_goes_before_the_ids_and_says_itself_whether_it_is_of_the_older_form():
    older = pipeline_address(url=f"https://client.app.vectorize.io{GATEWAY_PATH}", organization="org-1")
    assert older == PipelineAddress(f"https://client.app.vectorize.io{GATEWAY_PATH}", gateway=True)
    assert not pipeline_address(url=f"https://vectorize.example{PATH}").gateway


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"organization": "org-1"},
        {"organization": "org/../other", "pipeline": "p"},
        {"organization": "org-1", "pipeline": "p?x=1"},
        {"url": "ftp://vectorize.example/x"},
        {"url": "https://user:secret@vectorize.example/x"},
        {"url": "https:///path"},
        {"url": "https://vectorize.example/a b"},
        {"url": "https://[::1/x"},
        {"url": "https://vectorize.example/" + "x" * 2048},
    ],
)
def test_an_invalid_address_is_refused(given):
    with pytest.raises(ConfigurationError):
        pipeline_address(**given)


async def test_the_request_has_the_documented_form(client):
    async with a_pipeline(TOWER) as upstream:
        await asked(client, upstream)
    assert upstream.paths == [PATH]
    assert upstream.headers[0]["authorization"] == f"Bearer {TOKEN}"
    assert upstream.headers[0]["content-type"] == "application/json"
    assert upstream.bodies == [{"question": QUESTION, "numResults": 8, "rerank": False}]


async def test_the_service_learns_which_request_it_works_for(client):
    async with a_pipeline(TOWER) as upstream:
        with structlog.contextvars.bound_contextvars(request_id="request-1"):
            await asked(client, upstream)
    assert upstream.headers[0]["x-request-id"] == "request-1"


async def test_the_older_gateway_takes_the_token_without_bearer(client):
    async with a_pipeline(TOWER) as upstream:
        await asked(client, upstream, path=GATEWAY_PATH, token="opaque-token")
    assert upstream.headers[0]["authorization"] == "opaque-token"


async def test_reranking_and_filters_are_asked_for_when_wanted(client):
    async with a_pipeline(TOWER) as upstream:
        await asked(client, upstream, rerank=True, filters=({"department": ["eng"]},), limit=500)
    assert upstream.bodies[0]["rerank"] is True
    assert upstream.bodies[0]["metadata-filters"] == [{"department": ["eng"]}]
    assert upstream.bodies[0]["numResults"] == MAX_DOCUMENTS


async def test_what_was_found_is_read_field_by_field(client):
    async with a_pipeline(TOWER, BRIDGE) as upstream:
        tower, bridge = await asked(client, upstream)
    assert tower.text.startswith("The tower was completed")
    assert (tower.relevancy, tower.similarity, tower.page) == (0.9, 0.8, 7)
    assert (tower.chunk_id, tower.name, tower.unique_source) == ("0", "tower.pdf", "file-upload:tower.pdf")
    assert (tower.source, tower.origin) == ("uploads/tower.pdf", "file-upload")
    assert tower.metadata["org_id"] == ("org-1",)
    assert bridge.page is None


async def test_no_more_documents_are_taken_than_were_asked_for(client):
    async with serving(telling(json.dumps(answer([TOWER] * 50)).encode())) as upstream:
        assert len(await asked(client, upstream, limit=3)) == 3


def test_numbers_may_be_strings_and_strings_numbers():
    (found,) = read_documents(json.dumps(answer([document("x", chunk_id=3, relevancy="0.7", page="12")])).encode())
    assert (found.chunk_id, found.relevancy, found.page) == ("3", 0.7, 12)


@pytest.mark.parametrize(
    ("value", "read"),
    [(1.7, 1.0), (-0.2, 0.0), ("x", None), (None, None), (True, None), ([0.5], None), ("nan", None), ("1e999", None)],
)
def test_a_score_is_a_number_between_0_and_1_or_nothing(value, read):
    (found,) = read_documents(json.dumps(answer([document("x", similarity=value)])).encode())
    assert found.similarity == read


@pytest.mark.parametrize("page", [0, -1, "A-7", 7.5, "٣", 10**9, [], {}, None, True])
def test_a_page_is_a_number_from_1_or_nothing(page):
    (found,) = read_documents(json.dumps(answer([document("x", page=page)])).encode())
    assert found.page is None


@pytest.mark.parametrize("text", [None, 7, "", "  ", ["x"], {"x": 1}])
def test_a_document_without_text_is_left_out(text):
    assert [found.name for found in read_documents(json.dumps(answer([{**BRIDGE, "text": text}, TOWER])).encode())] == [
        "tower.pdf"
    ]


def test_what_is_no_document_is_left_out():
    assert len(read_documents(json.dumps(answer([None, 7, "x", [], TOWER])).encode())) == 1


def test_fields_of_other_types_are_empty_and_the_rest_is_kept():
    names = ("id", "chunk_id", "origin", "source", "unique_source", "source_display_name")
    (found,) = read_documents(
        json.dumps(answer([{**TOWER, "text": "Text.", **{name: {"a": 1} for name in names}}])).encode()
    )
    assert (found.text, found.id, found.source, found.unique_source, found.name) == ("Text.", "", "", "", "")


def test_all_that_is_read_is_bounded():
    more = {f"field{number}": ["v" * 3000] * 70 for number in range(70)}
    raw = {**BRIDGE, "text": "x" * 100_000, "source": "s" * 90_000, **more}
    found = read_documents(json.dumps(answer([raw, *[TOWER] * 300])).encode())
    assert len(found) == MAX_DOCUMENTS
    assert not read_documents(json.dumps(answer([None] * MAX_DOCUMENTS + [TOWER])).encode())
    assert len(found[0].text) == MAX_TEXT_CHARS
    assert len(found[0].source) == 2048
    assert len(found[0].metadata) == 64
    assert all(len(values) <= 64 and len(str(values[0])) <= 2048 for values in found[0].metadata.values())


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(anything | st.dictionaries(st.sampled_from([*TOWER, "page_number", "lang"]), anything), max_size=4))
def test_whatever_the_documents_hold_what_is_read_is_text_in_bounds(documents):
    for found in read_documents(json.dumps(answer(documents)).encode()):
        assert found.text.strip()
        assert all(score is None or 0 <= score <= 1 for score in (found.relevancy, found.similarity))
        assert found.page is None or found.page > 0
        assert all(isinstance(one, str | int | float) for values in found.metadata.values() for one in values)


NO_ANSWERS = {
    "nothing": b"",
    "half of it": json.dumps(answer([TOWER])).encode()[:-30],
    "a page": b"<html>Sign in</html>",
    "a list": b"[1]",
    "no documents": b'{"question": "x"}',
    "documents by name": b'{"documents": {"a": 1}}',
    "too deep": b"[" * 200_000,
    "no text": b"\xff\xfe\x00",
    "a very long number": b'{"documents": [' + b"9" * 10_000 + b"]}",
}


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_is_refused_without_being_quoted(body):
    with pytest.raises(ValueError, match=r"^It (is no JSON|has no list of documents)\.$") as caught:
        read_documents(body)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (302, "no redirect is followed"),
        (400, "check the metadata filters"),
        (401, "make a new API access token"),
        (403, "may read this pipeline"),
        (404, "check the organisation id and the pipeline id"),
        (418, "check the settings"),
        (429, "limits the rate"),
        (500, "a fault of its own"),
        (503, "a fault of its own"),
    ],
)
async def test_an_error_status_is_named_in_a_sentence_that_says_what_to_do(client, status, advice):
    sentence = await sentence_of(client, refusing(status, more="location: /elsewhere\r\nretry-after: 60\r\n"))
    assert advice in sentence
    assert f"(HTTP {status})" in sentence


async def test_a_redirect_is_not_followed_with_the_token(client):
    async with serving(refusing(307, more=f"location: {PATH}\r\n")) as upstream:
        with pytest.raises(UpstreamUnavailable):
            await asked(client, upstream)
    assert len(upstream.paths) == 1


async def test_half_an_answer_is_none(client):
    body = json.dumps(answer([TOWER])).encode()
    assert "cannot be read" in await sentence_of(client, telling(body[:-20]))
    assert "no answer" in await sentence_of(client, telling(body[:-20], length=len(body)))


async def test_a_connection_that_is_reset_is_no_answer(client):
    assert "The pipeline gave no answer." in await sentence_of(client, resetting)


async def test_a_huge_answer_is_read_no_further_than_its_bound(client):
    sentence = await sentence_of(client, telling(b" " * (MAX_ANSWER_BYTES + 1)), timeout_s=30.0)
    assert "is longer than" in sentence


async def test_a_long_answer_is_read_whole(client):
    documents = [document("x" * 30_000, chunk=number) for number in range(100)]
    async with serving(finding(*documents)) as upstream:
        assert len(await asked(client, upstream, limit=100, timeout_s=30.0)) == 100


async def test_a_closed_port_is_unavailable(client):
    async with serving(hanging) as upstream:
        gone = pipeline(upstream)
    with pytest.raises(UpstreamUnavailable, match="gave no answer"):
        await client.retrieve(Scope(), gone, QUESTION, limit=8)


async def test_a_pipeline_that_hangs_is_given_up_and_its_circuit_learns_of_it(client, guards):
    async with serving(hanging) as upstream:
        one = pipeline(upstream, timeout_s=0.1)
        with pytest.raises(UpstreamUnavailable, match=r"too long|within 0\.1 seconds"):
            await client.retrieve(Scope(), one, QUESTION, limit=8)
        await asyncio.wait_for(upstream.hung_up.wait(), 5)
    assert guards.guard(one.address.upstream).breaker.recent == (1, 1)


async def test_a_busy_server_is_asked_again(client):
    script = in_turn(refusing(429, more="retry-after: 0\r\n"), finding(TOWER))
    async with serving(script) as upstream:
        (found,) = await asked(client, upstream)
    assert found.name == "tower.pdf"
    assert len(upstream.paths) == 2


async def test_a_retry_after_beyond_the_time_left_is_not_waited_for(client):
    async with serving(refusing(503, more="retry-after: 9\r\n")) as upstream:
        with pytest.raises(UpstreamUnavailable, match="HTTP 503"):
            await asked(client, upstream)
    assert len(upstream.paths) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
async def test_refusals_are_the_accounts_trouble_and_open_no_circuit(client, guards, status):
    async with serving(refusing(status, more="retry-after: 60\r\n")) as upstream:
        for _ in range(30):
            with pytest.raises(UpstreamUnavailable):
                await asked(client, upstream)
        assert guards.guard(pipeline(upstream).address.upstream).breaker.state is State.CLOSED
    assert len(upstream.paths) == 30


async def test_a_pipeline_that_keeps_failing_is_left_alone_and_the_others_of_its_host_are_not(client, guards):
    other = "/v1/org/org-2/pipelines/pipe-2/retrieval"

    async def script(exchange):
        await (finding(TOWER) if upstream.paths[-1] == other else refusing(500))(exchange)

    async with serving(script) as upstream:
        for _ in range(25):
            with suppress(UpstreamUnavailable, CircuitOpen):
                await asked(client, upstream)
        with pytest.raises(CircuitOpen) as caught:
            await asked(client, upstream)
        assert await asked(client, upstream, path=other)
    assert caught.value.retry_after_s > 0


async def test_a_tenants_url_does_not_lead_into_this_network(client):
    async with a_pipeline(TOWER) as upstream:
        inside = RemotePipeline(address=pipeline_address(url=url_of(upstream)), token=TOKEN)
        with pytest.raises(UpstreamUnavailable):
            await client.retrieve(Scope(), inside, QUESTION, limit=8)
    assert not upstream.paths


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "line\r\nx-more: 1", "schlüssel", "x" * 20_000])
async def test_what_cannot_be_a_header_is_not_sent_as_a_token(client, token):
    async with a_pipeline(TOWER) as upstream:
        with pytest.raises(UpstreamUnavailable, match="Set it again") as caught:
            await asked(client, upstream, token=token)
    assert not upstream.paths
    assert not token or token not in str(caught.value)


def pieces(token):
    """The token, and every part of it that would give it away."""
    return [token, *token.split(".")]


@pytest.mark.parametrize("path", [PATH, GATEWAY_PATH])
async def test_the_token_is_in_no_sentence_no_event_and_no_log_line(client, caplog, path):
    caplog.set_level(logging.DEBUG)
    causes: list[BaseException | None] = []
    shown = [repr(RemotePipeline(address=PipelineAddress("https://x.example/"), token=TOKEN))]
    faults = [
        *(refusing(status, token=TOKEN, more="retry-after: 60\r\n") for status in (400, 401, 403, 404, 429, 500)),
        telling(TOKEN.encode()),
        telling(f'{{"documents": "{TOKEN}"}}'.encode()),
        telling(f"x\r\n{TOKEN}".encode(), length=10_000),
        resetting,
        finding(TOWER),
    ]
    with structlog.testing.capture_logs() as events:
        for script in faults:
            async with serving(script) as upstream:
                try:
                    await asked(client, upstream, path=path)
                except UpstreamUnavailable as error:
                    causes.append(error.__cause__)
                    shown += [repr(error), "".join(traceback.format_exception(error))]
    everything = "\n".join([*shown, *map(repr, events), caplog.text])
    assert events
    assert set(causes) == {None}
    assert not [piece for piece in pieces(TOKEN) if piece in everything]


def test_a_good_token_passes_and_says_when_it_ends():
    ends = datetime(2027, 11, 21, 12, tzinfo=UTC)
    with structlog.testing.capture_logs() as events:
        checked_token(jwt(ends=ends), now=NOW)
    assert expiry_of(jwt(ends=ends)) == ends
    assert not events


def test_a_token_without_an_end_passes():
    checked_token(jwt(payload={"sub": "x"}), now=NOW)
    assert expiry_of(jwt(payload={"sub": "x"})) is None


@pytest.mark.parametrize("opaque", [False, True])
def test_an_expired_token_is_refused_with_the_date(opaque):
    token = jwt(ends=NOW - timedelta(seconds=1))
    with pytest.raises(ConfigurationError, match="expired on 2026-11-21") as caught:
        checked_token(token, now=NOW, opaque=opaque)
    assert not [piece for piece in pieces(token) if piece in str(caught.value)]


def test_a_token_that_ends_within_a_week_is_warned_of():
    with structlog.testing.capture_logs() as events:
        checked_token(jwt(ends=NOW + timedelta(days=7)), now=NOW)
        checked_token(jwt(ends=NOW + timedelta(days=7, seconds=1)), now=NOW)
    assert [(event["event"], event["ends"], event["days"]) for event in events] == [
        ("vectorize.token_ends_soon", "2026-11-28", 7)
    ]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        f"Bearer {jwt()}",
        f"{jwt()}\n",
        jwt(header=["HS256"]),
        jwt(header={"typ": "JWT"}),
        jwt(payload="text"),
        jwt(payload={"exp": "tomorrow"}),
        jwt(payload={"exp": True}),
        jwt(payload={"exp": 1e300}),
        jwt(payload={"more": "x" * 20_000}),
    ],
    ids=lambda token: f"{len(token)}-characters",  # tokens hold the time, and so have no name that stays
)
def test_what_is_no_jwt_is_refused_and_not_quoted(token):
    with pytest.raises(ConfigurationError, match="copy the whole of it") as caught:
        checked_token(token, now=NOW)
    assert len(token) < 8 or token.strip() not in "".join(traceback.format_exception(caught.value))


def test_another_form_of_token_is_accepted_where_that_is_said():
    checked_token("an-opaque-token", now=NOW, opaque=True)
    with pytest.raises(ConfigurationError, match="blanks"):
        checked_token("an opaque token", now=NOW, opaque=True)
