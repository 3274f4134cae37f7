"""Which pages are the server's own, and what the headers of a rate say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers

from ragstone.http.browser_origin import Site
from ragstone.http.rate_limit_headers import refused_headers, status_headers
from ragstone.settings import ServerSettings
from ragstone.vocabulary import RateLimitStatus

PUBLIC = "https://rag.example.com"


@pytest.mark.parametrize(
    ("public", "host", "origin", "own"),
    [
        (None, "rag.example.com", "https://rag.example.com", True),
        (None, "rag.example.com:8443", "https://rag.example.com:8443", True),
        (None, "rag.example.com", "https://rag.example.com:8443", False),
        (None, "rag.example.com", "https://evil.example", False),
        (None, "rag.example.com", "null", False),
        (None, "", "", False),
        (PUBLIC, "rag.example.com", PUBLIC, True),
        (PUBLIC, "internal:8000", PUBLIC, True),
        (PUBLIC, "rag.example.com", "http://rag.example.com", False),
        (PUBLIC, "evil.example", "https://evil.example", False),
        (PUBLIC, "127.0.0.1:8000", "http://127.0.0.1:8000", True),
        (PUBLIC, "127.0.0.1:8000", "http://127.0.0.1:3000", False),
    ],
)
def test_the_servers_own_pages_are_told_from_all_others(public: str | None, host: str, origin: str, own: bool):
    assert Site.of(ServerSettings(public_url=public)).owns(origin, Headers({"host": host})) is own


@pytest.mark.parametrize(
    "url", ["rag.example.com", "ftp://x", "https://x/path", "https://x?y", "https://a@x", "https://X.example", ""]
)
def test_a_public_url_is_an_origin(url: str):
    with pytest.raises(ValidationError):
        ServerSettings(public_url=url)


def test_cookies_are_secure_where_browsers_use_https():
    assert Site.of(ServerSettings(public_url=PUBLIC + "/")).cookie == "__Host-ragstone_session"
    assert Site.of(ServerSettings(public_url="http://rag.internal")).cookie == "ragstone_session"
    assert Site.of(ServerSettings()).secure is False


def test_a_rate_is_told_in_whole_seconds_rounded_up():
    assert status_headers(RateLimitStatus(100, 50, 29.01)) == {
        "ratelimit-limit": "100",
        "ratelimit-remaining": "50",
        "ratelimit-reset": "30",
        "ratelimit-policy": '"plan";q=100;w=3600',
        "ratelimit": '"plan";r=50;t=30',
    }
    assert status_headers(RateLimitStatus(100, -3, 1, overage=True))["ratelimit-remaining"] == "0"
    assert refused_headers(100, 0.2)["ratelimit"] == '"plan";r=0;t=1'


def test_where_a_plan_has_no_limit_nothing_is_told():
    assert status_headers(RateLimitStatus(None, 0, 0)) == refused_headers(None, 5) == {}
