"""What is hidden, what stays, and that a stream is masked exactly as the whole text."""

from __future__ import annotations

import string
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragstone.errors import ConfigurationError
from ragstone.identity.api_keys import start_of, well_formed
from ragstone.telemetry.redaction import Redactor, StreamMask

A_KEY = "rs_sk_" + "hlOeIjzy8XLSRDbY6JqaDxfWN5GRUdNK" + "0e0eWs"  # made like any, and in no use
assert well_formed(A_KEY)

OWN = {"customer": r"\bKD-\d{4,8}\b", "case": r"(?:Akte|File) [A-Z]{2}\d{3}(?:/\d{2})?"}
REDACTOR = Redactor(OWN)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def streamed(text: str, cuts: list[int]) -> str:
    mask = StreamMask(REDACTOR)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    given = [mask.feed(text[start:end]) for start, end in pairwise(places)]
    return "".join(given) + mask.finish()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"key {A_KEY}.", "key [secret]"),
        ("sk-proj-abcdefghijklmnop1234, next", "[secret], next"),
        ("x sk-ant-api03-AbCdEf0123456789_-x y", "x [secret] y"),
        ("Authorization: Bearer abc123def456", "Authorization: Bearer [secret]"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic [secret]"),
        (f"token {JWT} end", "token [secret] end"),
        (f"signature={HEX}", "signature=[secret]"),
        (f'{{"token": "{HEX}", "n": 1}}', '{"token": "[secret]", "n": 1}'),
        ("{'password': 'correct horse battery', 'a': 1}", "{'password': '[secret]', 'a': 1}"),
        (r"{\"api_key\": \"hunter2\"}", r"{\"api_key\": \"[secret]\"}"),
        ("password=hunter&next=1", "password=[secret]&next=1"),
        ("RAGSTONE_SERVER__API_KEYS=first-one-1,b", "RAGSTONE_SERVER__API_KEYS=[secret],b"),
        ("postgresql+asyncpg://app:p@ss@db.example/x", "postgresql+asyncpg://[secret]@db.example/x"),
        ("https://a.example/?q=1&access_token=abc&z=2", "https://a.example/?q=1&access_token=[secret]&z=2"),
        ("https://a.example/x?sig=q#top", "https://a.example/x?sig=[secret]#top"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEv\nqQ==\n-----END PRIVATE KEY-----", "[secret]-----END PRIVATE KEY-----"),
        ("customer KD-12345 and KD-1", "customer [customer] and KD-1"),
        ("Akte AB123/45, Akte AB12", "[case], Akte AB12"),
    ],
)
def test_secrets_and_own_patterns_are_hidden_and_what_is_around_them_stays(text: str, masked: str):
    assert REDACTOR.masked(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "0123456789abcdef0123456789abcdef",
        "12345678901234567890123456789012",
        "550e8400-e29b-41d4-a716-446655440000",
        "order-4711_a",
        f"{start_of(A_KEY)}…",
        "2026-11-21T11:17:06.123456Z",
        "2026-11-21 11:17:06,123",
        "01.02.2024 11:17, 05-12-2024 10:30, 21/11/2026",
        "1764000000 1764000000123 1764000000123456789",
        "0.0123456789 12.3456789012 -0.123456789",
        "http://127.0.0.1:8000/api and http://[::1]:8000",
        "listening on 0.0.0.0, port 8000",
        "version 1.2.3.4, v1.2.3.4, 1.2.3.4-beta, numpy==2.4.0.1, Chrome/120.0.0.0",
        "std::vector<int> a[::2] 11:17:06 a:b:c aa:bb:cc:dd:ee:ff",
        "4111111111111112 is no card, DE89370400440532013001 no IBAN",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
        "max_tokens=4096, tokens: 1234567890, key: documents, monkey: see",
        "The password: the one you chose. Bearer authentication, Basic documentation",
        "Set RAGSTONE_SERVER__API_KEYS, or make a key: see `ragstone keys --help`.",
        "https://example.org/a?page=2&limit=10",
        "12 345 678 rows, 1,234,567,890 bytes, 42.5 %",
        "$1,234,567.89 and 100000000 and 9876543210",
        "See chapter 3.1.4 of ISO 13616-1:2020",
        "user@localhost, @decorator, a@b",
    ],
)
def test_ids_numbers_dates_versions_and_plain_words_stay_as_they_are(text: str):
    assert REDACTOR.masked(text) == text


PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                "jörg.müller@example.de",
                "a@b.co",
                "用户@例子.公司",
                "राम@उदाहरण.भारत",
                "@",
                "a@",
                ".example",
                ".com",
                "x" * 70,
                "用" * 70,
            ),
            *("+49 30 1234567", "030/1234567", "(0151) 23456789", "06 12 34 56 78", "(555) 123-4567", "98765 43210"),
            *("Tel.: ", "phone=", "मोबाइल ", "९८७६५४३२१०", "+९१ ९८७६५ ४३२१०", "0049", "01512345678"),
            *("DE89 3704 0044 0532 0130 00", "BE68 5390 0754 7034", "GB29NWBK60161331926819", "GB29", "DE89 "),
            *("4111 1111 1111 1111", "378282246310005", "3782 822463 10005", "4111", "1111", "12/27"),
            *("203.0.113.7", "2001:db8::1", "::1", "::ffff:", "1.2.3.4-beta", "127.0.0.1", ":8000", "v", "=="),
            *("sk-abcdefghijklmnop", JWT, "rs_sk_" + "a" * 38, "Bearer ", "basic ", "abc123def", HEX * 5, "z" * 300),
            *("password", "token", "api_key", "key", '": "', "=", ": ", "'", '"', "\\", "hunter2", "secret="),
            *("://", "app:pw@", "https://", "?access_token=", "&sig=", "?", "&", "#", "/", "?a-" + "b" * 45 + "="),
            *("-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n", "-----", "-", "MIIEv"),
            *(
                "KD-12345",
                "KD-",
                "Akte AB123",
                "File CD456/78",
                " ",
                "\n",
                ",",
                ".",
                "。",
                "x",
                "é",
                "0",
                "00",
                "+",
                "(",
            ),
        ]
    ),
    st.text(alphabet=string.ascii_letters + string.digits + " .-/@:+()_=\n", max_size=6),
    st.text(max_size=3),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@settings(max_examples=400)
@given(TEXTS, st.lists(st.integers(0, 400), max_size=12))
@example("token: " + "a1" * 200 + " end@example.org", [9, 150, 260, 300])
@example("a@b.com.", [7])
@example("²DE89 3704 0044 0532 0130 00", [])
def test_a_stream_gives_what_the_whole_text_gives_however_it_is_split(text: str, cuts: list[int]):
    assert streamed(text, cuts) == REDACTOR.masked(text)


@settings(max_examples=100)
@given(TEXTS)
def test_a_stream_of_single_characters_gives_what_the_whole_text_gives(text: str):
    assert streamed(text, list(range(len(text)))) == REDACTOR.masked(text)


def test_a_stream_holds_back_a_word_or_a_number_and_no_more():
    mask = StreamMask(Redactor())
    assert [mask.feed(piece) for piece in ("The ", "answer", " is ", "42", ", see", " below.\n")] == [
        *("The ", "", "answer is ", "", "42, ", "see below.\n")
    ]


@pytest.mark.parametrize("character", ["a", "1", "用", "-", "@", "a@", "1 ", "a.", ":", "1:", "://a"])
def test_what_is_held_back_is_bounded_whatever_comes(character: str):
    mask, fed, given = StreamMask(REDACTOR), 0, 0
    for _ in range(60):
        given += len(mask.feed(character * 20))
        fed += len(character) * 20
        assert fed - given <= 600


def test_an_endless_secret_is_hidden_before_it_ends_and_to_its_end():
    mask = StreamMask(REDACTOR)
    given = "".join(mask.feed("sk-" + "a1" * 500) for _ in range(3))
    assert given == "[secret]"
    assert mask.feed(" and on ") + mask.finish() == " and on "


@pytest.mark.parametrize(
    ("name", "pattern", "why"),
    [
        ("Upper", "abc", "not a valid pattern name"),
        ("a" * 40, "abc", "not a valid pattern name"),
        ("n", r"\d+", "is not allowed"),
        ("n", "(a*)*b", "is not allowed"),
        ("n", r"(?=a)bc", "is not allowed"),
        ("n", r"(ab)\1", "is not allowed"),
        ("n", "(ab", "no closing"),
        ("n", "ab)", "no opening"),
        ("n", "a{3", "is not allowed"),
        ("n", "a{3,2}bc", "not an allowed repetition"),
        ("n", "a{200}", "not an allowed repetition"),
        ("n", "x?", "0 to 1 characters"),
        ("n", "a{100}b{100}", "200 characters"),
        ("n", "(?:a?){20}a{20}", "ways"),
        ("n", "a{0,50}a{0,50}a{0,20}b", "ways"),
        ("n", "a" * 501, "longer than 500"),
        ("n", "[z-a]{3}", "bad character range"),
        ("n", "", "0 to 0 characters"),
    ],
)
def test_a_pattern_that_is_wrong_or_dangerous_is_refused_with_its_reason(name: str, pattern: str, why: str):
    with pytest.raises(ConfigurationError, match=why):
        Redactor({name: pattern})


def test_there_are_fifty_patterns_at_most():
    with pytest.raises(ConfigurationError, match="at most 50 are allowed"):
        Redactor({f"n{number}": "abc" for number in range(51)})


@pytest.mark.parametrize(
    "piece",
    [
        *("token=", "password:", "key: 'a", "sk-", "://", "a@", "@a.", "?a=", "&token=", "Bearer ", "-----BEGIN "),
        *("1", "1 ", "0 1-", "+1(", "DE89", "DE89 ", "4111 ", "1.", "1:", "::", "a", "用", ".", " ", "KD-", "Tel. 1"),
    ],
)
def test_a_hostile_text_costs_as_many_steps_as_it_is_long(piece: str):
    """Each expression is of bounded width. What were quadratic would not end within the time limit of a test."""
    text = piece * (400_000 // len(piece))
    assert len(Redactor().masked(text)) <= 2 * len(text)
