"""A sealed key opens only for its tenant and name, with the secret that sealed it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import ConfigurationError
from ragstone.identity.secrets import MAX_SEALED_CHARS, Sealing, Secret

KEY = "sk-canary-5d1f"
SEALING = Sealing(Secret(b"a secret for tests"))


@given(st.text(max_size=200))
def test_a_sealed_text_opens_unchanged(text: str):
    assert SEALING.open("acme", "upstream", SEALING.seal("acme", "upstream", text)) == text


def test_sealed_texts_show_nothing_and_equal_texts_differ():
    first, second = (SEALING.seal("acme", "upstream", KEY) for _ in range(2))
    assert first != second
    raw = base64.b64decode(first.removeprefix("v1:"))
    assert KEY.encode() not in raw
    assert len(raw) == 12 + len(KEY) + 16


@pytest.mark.parametrize(
    ("tenant", "name"), [("rival", "upstream"), ("acme", "anthropic"), ("acmeu", "pstream"), ("", "acmeupstream")]
)
def test_a_sealed_key_does_not_open_for_another_tenant_or_name(tenant: str, name: str):
    sealed = SEALING.seal("acme", "upstream", KEY)
    with pytest.raises(ConfigurationError, match="Set it again"):
        SEALING.open(tenant, name, sealed)


def test_another_secret_opens_nothing():
    with pytest.raises(ConfigurationError, match="another secret"):
        Sealing(Secret(b"another secret")).open("acme", "upstream", SEALING.seal("acme", "upstream", KEY))


def test_every_changed_byte_is_detected():
    raw = base64.b64decode(SEALING.seal("acme", "upstream", KEY).removeprefix("v1:"))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(ConfigurationError):
            SEALING.open("acme", "upstream", "v1:" + base64.b64encode(bytes(changed)).decode())


@pytest.mark.parametrize(
    "sealed",
    [
        None,
        7,
        "",
        "v1:",
        "v1:AAAA",
        "v1:not base64",
        "v1:é",
        "v2:" + SEALING.seal("acme", "upstream", KEY)[3:],
        "v1:" + "A" * MAX_SEALED_CHARS,
    ],
    ids=["none", "number", "empty", "nothing", "short", "no-base64", "no-ascii", "another-form", "long"],
)
def test_a_text_that_was_not_sealed_is_refused(sealed: object):
    with pytest.raises(ConfigurationError, match="upstream key of the tenant 'acme'"):
        SEALING.open("acme", "upstream", sealed)


def test_the_refusal_quotes_no_part_of_it():
    sealed = SEALING.seal("acme", "upstream", KEY)
    with pytest.raises(ConfigurationError) as refused:
        SEALING.open("rival", "upstream", sealed)
    assert sealed[3:20] not in str(refused.value)
    assert refused.value.__cause__ is None
