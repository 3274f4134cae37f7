"""Secrets by their shape: keys, tokens, passwords after their name, and logins in URLs.

Where a word could be either, its look decides: secrets have digits, or change case within a word.
"""

from __future__ import annotations

import re

from ragstone.telemetry.shapes import Shape, any_word, at_the_end, beginnings, to_the_end

NAME = "secret"
_HELD = 200  # characters of an endless secret that are waited for before it is hidden as far as it goes
_LOOKED_AT = 64  # characters, at most, that decide whether something looks like a secret
_PLAIN_LENGTH = 24  # a word of one case without digits is a secret from here on
_WEAK_LENGTH = 16

# How keys begin, and how many characters must follow at least; by their vendors' documentation.
_KEYS = {
    "rs_sk_": 8,
    "rs_pk_": 8,
    "rs_se_": 8,
    "sk-": 12,
    "ghp_": 20,
    "gho_": 20,
    "ghu_": 20,
    "ghs_": 20,
    "ghr_": 20,
    "github_pat_": 20,
    "glpat-": 16,
    "xoxa-": 10,
    "xoxb-": 10,
    "xoxp-": 10,
    "xoxe-": 10,
    "hf_": 20,
    "AIza": 30,
    "AKIA": 16,
    "ASIA": 16,
    "eyJ": 16,  # {" in base64: a JSON Web Token, or other JSON in disguise
}
_STRONG = (
    *("password", "passwort", "kennwort", "passwd", "passphrase", "pwd", "secret", "credential", "credentials"),
    *("apikey", "api_key", "api-key", "apikeys", "api_keys"),
)
_WEAK = ("token", "tokens", "key", "keys", "signature", "authorization", "auth", "cookie")
_QUERY = (*_STRONG, "token", "key", "signature", "sig", "auth", "jwt", "code")
_KEY = "[A-Za-z0-9_.=-]"
_BEARER = "[A-Za-z0-9._~+/=-]"
_BARE = r"[^\s\"'&,;()\[\]{}<>\\]"
_QUOTED = r"[^\"'\\\r\n]"
_LOGIN = r"[^\s/?#\"'<>]"
_MARK = r"\\?[\"']?[ \t]{0,2}[:=][ \t]{0,2}"
_MARK_OPENING = r"\\?[\"']?[ \t]{0,2}(?:[:=][ \t]{0,2})?\\?"
_ASSIGNS = re.compile("[:=]").search
_ANY_CASE = re.IGNORECASE


def _looks_random(text: str, start: int, end: int) -> int:
    looked_at = text[start:end]
    return end if len(looked_at) >= _PLAIN_LENGTH or re.search(r"\d|[a-z][A-Z]|[=/+~]", looked_at) else -1


def _looks_long_and_random(text: str, start: int, end: int) -> int:
    looked_at = text[start:end]
    mixed = re.search(r"[A-Za-z]", looked_at) and re.search(r"\d|[a-z][A-Z]", looked_at)
    return end if len(looked_at) >= _WEAK_LENGTH and mixed else -1


_key = Shape(
    name=NAME,
    whole=re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(f'{start}{_KEY}{{{least}}}' for start, least in _KEYS.items())})"),
    opening=at_the_end(
        rf"(?<![A-Za-z0-9])(?:{beginnings(*_KEYS)})",
        rf"(?<![A-Za-z0-9])(?:{any_word(tuple(_KEYS))}){_KEY}{{1,{_HELD}}}",
    ),
    hint=re.compile(any_word(tuple(_KEYS))).search,
    tail=re.compile(f"{_KEY}*+"),
)

_private_key = Shape(
    name=NAME,
    whole=re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"),
    opening=at_the_end(
        r"-{1,5}(?:(?<=-----)[A-Z ]{0,48}-{0,5})?",
        rf"-----BEGIN [A-Z ]{{0,30}}PRIVATE KEY-----[\w+/=\s\\]{{0,{_HELD}}}",
    ),
    hint=lambda text: "PRIVATE KEY" in text,
    tail=re.compile(r"[A-Za-z0-9+/=\s\\]*+"),
)

_bearer = Shape(
    name=NAME,
    whole=re.compile(rf"(?<![A-Za-z])(?:bearer|basic)[ \t]{{1,3}}(?P<hide>{_BEARER}{{6,{_LOOKED_AT}}}+)", _ANY_CASE),
    opening=at_the_end(
        beginnings("bearer", "basic"), rf"(?:bearer|basic)[ \t]{{1,3}}{_BEARER}{{0,{_HELD}}}", flags=_ANY_CASE
    ),
    hint=lambda text: " " in text and re.search("bearer|basic", text.lower()),
    check=_looks_random,
    tail=re.compile(f"{_BEARER}*+"),
)

_login = Shape(
    name=NAME,
    whole=re.compile(rf"://(?P<hide>{_LOGIN}{{1,200}})@"),
    opening=at_the_end(rf":(?:/(?:/{_LOGIN}{{0,202}})?)?"),
    hint=lambda text: "://" in text and "@" in text,
)

_query = Shape(
    name=NAME,
    whole=re.compile(rf"[?&][a-z_-]{{0,20}}(?:{any_word(_QUERY)})=(?P<hide>[^\s&#\"'<>\\])", _ANY_CASE),
    opening=at_the_end(rf"[?&][a-z_-]{{0,40}}(?:=[^\s&#\"'<>\\]{{0,{_HELD}}})?", flags=_ANY_CASE),
    hint=lambda text: "=" in text and ("?" in text or "&" in text),
    tail=re.compile(r"[^\s&#\"'<>\\]*+"),
)


def _named(names: tuple[str, ...], mark: str, value: str, least: int, *, random: bool) -> Shape:
    """What follows a name; where names are also ordinary words, it must look like a secret."""
    check = _looks_random if least < _WEAK_LENGTH else _looks_long_and_random
    named = re.compile(any_word(names)).search
    return Shape(
        name=NAME,
        whole=re.compile(rf"(?:{any_word(names)}){mark}(?P<hide>{value}{{{least},{_LOOKED_AT}}}+)", _ANY_CASE),
        opening=at_the_end(
            beginnings(*names),
            rf"(?:{any_word(names)}){_MARK_OPENING}[\"']?{value}{{0,{_HELD}}}",
            flags=_ANY_CASE,
        ),
        hint=lambda text: _ASSIGNS(text) and named(text.lower()),
        check=check if random else to_the_end,
        tail=re.compile(f"{value}*+"),
    )


SECRETS = (
    _private_key,
    _key,
    _login,
    _query,
    _bearer,
    _named(_STRONG, rf"{_MARK}\\?[\"']", _QUOTED, 1, random=False),
    _named(_STRONG, "=", _BARE, 3, random=False),
    _named(_STRONG, _MARK, _BARE, 6, random=True),
    _named(_WEAK, rf"{_MARK}\\?[\"']", _QUOTED, _WEAK_LENGTH, random=True),
    _named(_WEAK, _MARK, _BARE, _WEAK_LENGTH, random=True),
)
