"""A publishable key allows exactly the origins on its list."""

from __future__ import annotations

import pytest

from ragstone.errors import InvalidInput
from ragstone.identity.allowed_domains import allows, checked_domain

CANONICAL = {
    "shop.example": "shop.example",
    " Shop.Example. ": "shop.example",
    "https://shop.example": "shop.example",
    "https://shop.example/": "shop.example",
    "https://shop.example:443": "shop.example",
    "HTTPS://SHOP.example:8443": "https://shop.example:8443",
    "*.shop.example": "*.shop.example",
    "*.Shop.Example.": "*.shop.example",
    "münchen.example": "xn--mnchen-3ya.example",
    "*.münchen.example": "*.xn--mnchen-3ya.example",
    "xn--mnchen-3ya.example": "xn--mnchen-3ya.example",
    "http://localhost:3000": "http://localhost:3000",
    "http://localhost": "http://localhost",
    "http://localhost:80": "http://localhost",
    "http://127.0.0.1:8080": "http://127.0.0.1:8080",
    "http://[::1]:8080": "http://[::1]:8080",
    "https://[2001:DB8:0::1]": "https://[2001:db8::1]",
    "https://192.0.2.1": "https://192.0.2.1",
    "shop.example\n": "shop.example",
    "https://shop.example:": "shop.example",
    "intranet": "intranet",
}

UNUSABLE = [
    "",
    " ",
    "*",
    "*.",
    "*.com",
    "*.localhost",
    "**.shop.example",
    "*.*.example",
    "shop.*",
    "sh*p.example",
    "https://*.shop.example",
    "https://*",
    "null",
    "file://",
    "file:///srv",
    "ftp://shop.example",
    "javascript:alert(1)",
    "//shop.example",
    "https://",
    "https:///path",
    "https://shop.example/path",
    "shop.example/path",
    "https://shop.example?x",
    "https://shop.example#x",
    "https://user@shop.example",
    "https://user:secret@shop.example",
    "user@shop.example",
    "shop.example:8443",
    "https://shop.example:0x50",
    "https://shop.example:99999",
    "https://[::1",
    "https://[fe80::1%25eth0]",
    "192.0.2.1",
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "[::1]",
    "*.192.0.2.1",
    "shop..example",
    ".shop.example",
    "-shop.example",
    "shop-.example",
    "shop example",
    "shop.exa\u202emple",
    "shop\\.example",
    "shop.example,evil.example",
    "shop.example evil.example",
    "a" * 64 + ".example",
    "a." * 130 + "example",
    "\ud800.example",
    "⑴.example",
]


@pytest.mark.parametrize("text", CANONICAL)
def test_a_domain_is_made_canonical_and_stays_so(text: str):
    assert checked_domain(text) == CANONICAL[text]
    assert checked_domain(CANONICAL[text]) == CANONICAL[text]


@pytest.mark.parametrize("text", UNUSABLE)
def test_an_invalid_domain_or_one_that_allows_every_site_is_refused(text: str):
    with pytest.raises(InvalidInput):
        checked_domain(text)


@pytest.mark.parametrize("domain", sorted(set(CANONICAL.values())))
def test_a_domain_allows_its_own_origin(domain: str):
    origin = domain if "://" in domain else f"https://{domain.replace('*', 'www')}"
    assert allows([domain], origin)
    assert allows(["unrelated.example", domain], origin.upper())


FOREIGN = [
    "",
    "null",
    "Null",
    "https://",
    "https://evil-shop.example",
    "https://evilshop.example",
    "https://shop.example.evil",
    "https://shop.example.evil.example",
    "https://evil.example",
    "https://evil.example/shop.example",
    "https://evil.example#shop.example",
    "https://evil.example?.shop.example",
    "https://evil.example/.shop.example",
    "https://evil.example#.shop.example",
    "https://evil.example:443.shop.example",
    "https://shop.example@evil.example",
    "https://evil.example\\.shop.example",
    "https://a@b.shop.example",
    "http://shop.example",
    "http://www.shop.example",
    "ftp://shop.example",
    "wss://shop.example",
    "https://shop.example:8443",
    "https://www.shop.example:8443",
    "https://shop.example.",
    "https://www.shop.example.",
    "https://.shop.example",
    "https://-.shop.example",
    "https://..shop.example",
    "https:// .shop.example",
    "https://shоp.example",  # a Cyrillic o
    "https://xn--shp-0ed.example",
    "https://shop.example/",
    "https://shop.example https://evil.example",
    "shop.example",
    "*.shop.example",
    "https://*.shop.example",
    "https://" + "a" * 400 + ".shop.example",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_origin_is_not_allowed(origin: str):
    assert not allows(["shop.example", "*.shop.example"], origin)


def test_a_wildcard_allows_subdomains_and_not_the_host_itself():
    assert allows(["*.shop.example"], "https://www.shop.example")
    assert allows(["*.shop.example"], "https://a.b.shop.example")
    assert not allows(["*.shop.example"], "https://shop.example")
    assert not allows(["shop.example"], "https://www.shop.example")


def test_a_letter_that_equals_another_only_in_lower_case_is_not_allowed():
    assert not allows(["kiosk.example"], "https://\u212aiosk.example")


def test_an_explicit_port_and_scheme_have_to_match():
    assert allows(["http://localhost:3000"], "http://localhost:3000")
    for origin in ("https://localhost:3000", "http://localhost", "http://localhost:3001", "http://127.0.0.1:3000"):
        assert not allows(["http://localhost:3000"], origin)
    assert not allows(["https://shop.example:8443"], "https://shop.example")


@pytest.mark.parametrize("origin", ["", "null", "https://shop.example", "http://localhost"])
def test_an_empty_list_allows_no_origin(origin: str):
    assert not allows([], origin)
