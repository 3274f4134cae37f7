"""Source links: each shows its own passage until it expires, and cannot be forged or changed."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ragstone.errors import InvalidInput, NotFound
from ragstone.identity.secrets import Secret
from ragstone.identity.source_links import DAY_S, LIFETIME_S, MAX_TOKEN_CHARS, SourceLinks, SourceRef
from ragstone.vocabulary import Scope
from tests.clocks import Clock

URL = "https://rag.example.com"
NOON = 20_000 * DAY_S + 43_200.0
WHERE = ("acme", "books", "0f" * 16, 3, 120, 480)
REF = SourceRef(Scope("acme", "books"), "0f" * 16, 3, 120, 480, datetime.fromtimestamp(20_008 * DAY_S, UTC))


def links(clock: Clock | None = None, secret: bytes = b"a secret for tests") -> SourceLinks:
    return SourceLinks(Secret(secret), URL, clock=clock or Clock(NOON))


def token(made: SourceLinks, *where: object) -> str:
    link = made.link(*(where or WHERE))  # type: ignore[arg-type]  # a place
    assert link
    return link.removeprefix(f"{URL}/sources/")


def test_a_link_shows_its_own_span():
    assert links().verify(token(links())) == REF


def test_a_link_is_short_and_safe_in_a_url_and_in_markdown():
    made = token(links())
    assert len(made) < 120
    assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_without_an_address_for_browsers_there_is_no_link():
    assert SourceLinks(Secret(b"a secret for tests"), None).link(*WHERE) is None


def test_a_passage_has_one_link_throughout_a_day():
    clock = Clock(20_000 * DAY_S + 1.0)
    made = links(clock)
    first = token(made)
    clock.now += DAY_S - 2
    assert token(made) == first
    clock.now += 2
    assert token(made) != first


def test_a_link_is_good_for_its_lifetime_at_least_and_for_a_day_more_at_most():
    clock = Clock(NOON)
    made = links(clock)
    of_noon = token(made)
    clock.now = NOON + LIFETIME_S
    assert made.verify(of_noon) == REF
    clock.now = NOON + LIFETIME_S + DAY_S
    with pytest.raises(NotFound, match=r"expired on 12 October 2024. Ask the question again"):
        made.verify(of_noon)


@pytest.mark.parametrize(
    "other",
    [
        ("rival", *WHERE[1:]),
        ("acme", "other", *WHERE[2:]),
        ("acmeb", "ooks", *WHERE[2:]),
        ("acme", "book", "s" + "0f" * 16, *WHERE[3:]),
        (*WHERE[:3], 4, 120, 480),
        (*WHERE[:3], 3, 121, 480),
    ],
    ids=str,
)
def test_what_is_shown_depends_on_every_part(other: tuple[object, ...]):
    assert token(links(), *other) != token(links())
    assert links().verify(token(links(), *other)) != REF


def test_a_changed_bit_invalidates_a_link():
    made = token(links())
    raw = base64.urlsafe_b64decode(made + "=" * (-len(made) % 4))
    for place in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(NotFound, match="incomplete or was changed"):
            links().verify(base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode())


def test_a_link_of_another_installation_is_invalid():
    with pytest.raises(NotFound):
        links(secret=b"another secret").verify(token(links()))


def test_a_hash_made_for_something_else_is_no_signature():
    secret = Secret(b"a secret for tests")
    made = token(links())
    payload = base64.urlsafe_b64decode(made + "=" * (-len(made) % 4))[:-16]
    for purpose in ("key", "session", "callback", "sealing"):
        mac = bytes.fromhex(secret.digest(purpose, payload.hex()))[:16]
        with pytest.raises(NotFound):
            links().verify(base64.urlsafe_b64encode(payload + mac).rstrip(b"=").decode())


def test_each_link_has_one_form():
    made = token(links(), "acme", "books", "0f" * 15, 3, 120, 480)
    for other in (made + "=", made + "==", made + "\n", made.swapcase(), f" {made}", made + "A"):
        with pytest.raises(NotFound):
            links().verify(other)


@given(st.text(max_size=2 * MAX_TOKEN_CHARS))
def test_a_text_that_is_no_token_is_not_found(text: str):
    with pytest.raises(NotFound):
        links().verify(text)


@given(st.binary(max_size=400))
def test_unsigned_bytes_are_not_found(raw: bytes):
    with pytest.raises(NotFound):
        links().verify(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True)
NUMBERS = st.integers(0, 2**32 - 1)


@given(NAMES, NAMES, st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), NUMBERS, NUMBERS, NUMBERS)
def test_every_valid_span_has_a_link(tenant: str, collection: str, document: str, version: int, start: int, end: int):
    made = token(links(), tenant, collection, document, version, start, end)
    assert len(made) <= MAX_TOKEN_CHARS
    expected = SourceRef(Scope(tenant, collection), document, version, start, end, REF.until)
    assert links().verify(made) == expected


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_two_spans_share_a_link(tenant: str, collection: str, other_tenant: str, other_collection: str):
    assume((tenant, collection) != (other_tenant, other_collection))
    first, second = (
        token(links(), *each, *WHERE[2:]) for each in ((tenant, collection), (other_tenant, other_collection))
    )
    assert first != second


@pytest.mark.parametrize("where", [replace(REF, start=-1), replace(REF, end=2**32), replace(REF, version=-1)], ids=str)
def test_an_invalid_span_has_no_link(where: SourceRef):
    with pytest.raises(InvalidInput):
        links().link("acme", "books", where.document_id, where.version, where.start, where.end)
