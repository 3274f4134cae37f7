"""Detectors of secrets and personal data: keys, e-mail, telephone, IBAN, payment card, IP address.

`redaction` has converted all digits, spaces and hyphens of the searched text to ASCII. Checksums and
lengths distinguish personal data from ordinary numbers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BEFORE_CHARS = 16
"""Maximum number of characters that a detector reads before its match."""

OPEN_CHARS = 600
"""Maximum width of an opening; the longest is that of an e-mail address."""


@dataclass(frozen=True, slots=True)
class Find:
    """Match in a text: `begin` is its first character, `start` to `end` the part to hide."""

    begin: int
    start: int
    end: int


def accept_match(_text: str, _start: int, end: int) -> int:
    """Check that accepts every match."""
    return end


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """Detector of one kind of secret or personal data.

    Args:
        name: Replacement, shown in brackets.
        whole: Pattern of a match, of bounded width; its group `hide`, if any, is the part to hide.
        opening: Pattern at the end of a text that further text could turn into a match of `whole`, extend or
            undo. It may match more than that, and has a bounded width.
        hint: Fast test whether a text can have a match; it has no false negatives.
        check: End of the part to hide, given text, start and end; -1 rejects the match.
        tail: Continuation of unlimited length behind `whole`.
    """

    name: str
    whole: re.Pattern[str]
    opening: re.Pattern[str]
    hint: Callable[[str], object]
    check: Callable[[str, int, int], int] = accept_match
    tail: re.Pattern[str] | None = None

    def find(self, text: str, at: int) -> Find | None:
        """First match from `at` on; characters before `at` count as context."""
        while match := self.whole.search(text, at):
            start, end = match.span("hide" if "hide" in self.whole.groupindex else 0)
            end = self.check(text, start, end)
            if end >= 0:
                return Find(match.start(), start, self._go_on(text, end))
            at = match.start() + 1
        return None

    def _go_on(self, text: str, end: int) -> int:
        rest = self.tail.match(text, end) if self.tail else None
        return rest.end() if rest else end


def prefixes_of(*words: str) -> str:
    """Expression for each prefix of the words, including the words."""
    return "|".join(_prefixes_of(word) for word in words)


def _prefixes_of(word: str) -> str:
    rest = f"(?:{_prefixes_of(word[1:])})?" if len(word) > 1 else ""
    return re.escape(word[0]) + rest


def opening_pattern(*openings: str, flags: int = 0) -> re.Pattern[str]:
    """Compile openings to a pattern that matches at the end of a text only."""
    return re.compile(rf"(?:{'|'.join(openings)})\Z", flags)


def any_word(words: Sequence[str]) -> str:
    """Expression for any of the words."""
    return "|".join(re.escape(word) for word in words)


NAME = "secret"
_HELD = 200  # characters of an unlimited secret that a stream holds back
_LOOKED_AT = 64  # maximum number of characters read to decide whether a value is a secret
_PLAIN_LENGTH = 24  # length from which a word of one case without digits is a secret
_WEAK_LENGTH = 16

# Prefixes of keys with the minimum number of further characters; source: the vendors' documentation.
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
    "eyJ": 16,  # {" in base64: a JSON Web Token or other encoded JSON
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


_key = Detector(
    name=NAME,
    whole=re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(f'{start}{_KEY}{{{least}}}' for start, least in _KEYS.items())})"),
    opening=opening_pattern(
        rf"(?<![A-Za-z0-9])(?:{prefixes_of(*_KEYS)})",
        rf"(?<![A-Za-z0-9])(?:{any_word(tuple(_KEYS))}){_KEY}{{1,{_HELD}}}",
    ),
    hint=re.compile(any_word(tuple(_KEYS))).search,
    tail=re.compile(f"{_KEY}*+"),
)

_private_key = Detector(
    name=NAME,
    whole=re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"),
    opening=opening_pattern(
        r"-{1,5}(?:(?<=-----)[A-Z ]{0,48}-{0,5})?",
        rf"-----BEGIN [A-Z ]{{0,30}}PRIVATE KEY-----[\w+/=\s\\]{{0,{_HELD}}}",
    ),
    hint=lambda text: "PRIVATE KEY" in text,
    tail=re.compile(r"[A-Za-z0-9+/=\s\\]*+"),
)

_bearer = Detector(
    name=NAME,
    whole=re.compile(rf"(?<![A-Za-z])(?:bearer|basic)[ \t]{{1,3}}(?P<hide>{_BEARER}{{6,{_LOOKED_AT}}}+)", _ANY_CASE),
    opening=opening_pattern(
        prefixes_of("bearer", "basic"), rf"(?:bearer|basic)[ \t]{{1,3}}{_BEARER}{{0,{_HELD}}}", flags=_ANY_CASE
    ),
    hint=lambda text: " " in text and re.search("bearer|basic", text.lower()),
    check=_looks_random,
    tail=re.compile(f"{_BEARER}*+"),
)

_login = Detector(
    name=NAME,
    whole=re.compile(rf"://(?P<hide>{_LOGIN}{{1,200}})@"),
    opening=opening_pattern(rf":(?:/(?:/{_LOGIN}{{0,202}})?)?"),
    hint=lambda text: "://" in text and "@" in text,
)

_query = Detector(
    name=NAME,
    whole=re.compile(rf"[?&][a-z_-]{{0,20}}(?:{any_word(_QUERY)})=(?P<hide>[^\s&#\"'<>\\])", _ANY_CASE),
    opening=opening_pattern(rf"[?&][a-z_-]{{0,40}}(?:=[^\s&#\"'<>\\]{{0,{_HELD}}})?", flags=_ANY_CASE),
    hint=lambda text: "=" in text and ("?" in text or "&" in text),
    tail=re.compile(r"[^\s&#\"'<>\\]*+"),
)


def _named(names: tuple[str, ...], mark: str, value: str, least: int, *, random: bool) -> Detector:
    """Detector of values after a name; values after ordinary words must look like a secret."""
    check = _looks_random if least < _WEAK_LENGTH else _looks_long_and_random
    named = re.compile(any_word(names)).search
    return Detector(
        name=NAME,
        whole=re.compile(rf"(?:{any_word(names)}){mark}(?P<hide>{value}{{{least},{_LOOKED_AT}}}+)", _ANY_CASE),
        opening=opening_pattern(
            prefixes_of(*names),
            rf"(?:{any_word(names)}){_MARK_OPENING}[\"']?{value}{{0,{_HELD}}}",
            flags=_ANY_CASE,
        ),
        hint=lambda text: _ASSIGNS(text) and named(text.lower()),
        check=check if random else accept_match,
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


_DIGITS = re.compile(r"\d")
_NUMBER_OPENING = r"[+(\d][\d ()./+-]{0,64}"
# Vowel signs and other marks of many scripts, which `\w` does not match.
_MARKS = r"\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0900-\u0963\u0966-\u0dff\u0e00-\u109f\u1780-\u17ff\u200c\u200d"
_LOCAL, _ANY_LOCAL = r"[A-Za-z0-9._%+'-]", rf"[\w.%+'{_MARKS}-]"  # RFC 6531 allows any letters before the @
_LOCAL_CHARS = 64  # RFC 5321, 4.5.3.1.1

_email = Detector(
    name="email",
    whole=re.compile(
        rf"(?:(?<!{_LOCAL}){_LOCAL}{{1,{_LOCAL_CHARS}}}+|(?<!{_ANY_LOCAL}){_ANY_LOCAL}{{1,{_LOCAL_CHARS}}}+)"
        rf"@(?:[\w{_MARKS}-]{{1,63}}+\.){{1,5}}(?:xn--[a-z0-9-]{{2,59}}|(?:[^\W\d_]|[{_MARKS}]){{2,63}})"
    ),
    opening=opening_pattern(
        rf"(?:(?<!{_LOCAL}){_LOCAL}{{1,{_LOCAL_CHARS}}}|(?<!{_ANY_LOCAL}){_ANY_LOCAL}{{1,{_LOCAL_CHARS}}})"
        rf"(?:@[\w.{_MARKS}-]{{0,400}})?"
    ),
    hint=lambda text: "@" in text,
)

# Lengths by country; the SWIFT IBAN Registry, release 99.
_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 "
    "DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 "
    "GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 "
    "LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 "
    "PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 "
    "SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30 "
)
_IBAN_CHARS = {code[:2]: int(code[2:]) for code in _IBANS.split()}


def _iban(text: str, start: int, end: int) -> int:
    """End of an IBAN with the length of its country and remainder 1 modulo 97 (ISO 13616); -1 otherwise."""
    chars = _IBAN_CHARS.get(text[start : start + 2].upper(), 0)
    places = [at for at in range(start, end) if text[at].isalnum()][:chars]
    if not chars or len(places) < chars or text[places[-1] + 1 : places[-1] + 2].isalnum():
        return -1
    compact = "".join(text[at] for at in places)
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return places[-1] + 1 if int(number) % 97 == 1 else -1


_iban_shape = Detector(
    name="iban",
    whole=re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}", re.ASCII),
    opening=opening_pattern(r"[A-Za-z]{1,2}", r"[A-Za-z]{2}\d{1,2}(?:[ -]?[A-Za-z0-9]){0,31}[ -]?"),
    hint=re.compile(r"(?<!\w)[A-Za-z]{2}[0-9]{2}[ -]?[A-Za-z0-9]", re.ASCII).search,
    check=_iban,
)


def _card(text: str, start: int, end: int) -> int:
    """End of a card number, with or without its last group; -1 if Luhn's checksum fails for both."""
    group = max(text.rfind(" ", start, end), text.rfind("-", start, end))
    ends = [end, group] if group > start else [end]
    return next((at for at in ends if 13 <= len(_digits(text[start:at])) <= 19 and _luhn(_digits(text[start:at]))), -1)


def _luhn(digits: str) -> bool:
    """Check Luhn's checksum (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(each // 10 + each % 10 for each in doubled)) % 10 == 0


def _digits(text: str) -> str:
    return "".join(_DIGITS.findall(text))


_card_shape = Detector(
    name="card",
    whole=re.compile(
        r"(?<![\w.])(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|3\d{3}([ -])\d{6}\2\d{4,5})"
        r"(?!\w|[.,]\d)"
    ),
    opening=opening_pattern(r"\d[\d .,-]{0,30}"),
    hint=re.compile(r"[2-6][0-9]{3}[ -]?[0-9]{4}").search,
    check=_card,
)

_DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?!\d|[./-]\d)")
_LABELS = (
    *("tel", "telephone", "telefon", "phone", "mobile", "mobil", "handy", "fax", "fon", "whatsapp", "rufnummer"),
    *("téléphone", "portable", "telefono", "teléfono", "फ़ोन", "फोन", "मोबाइल", "दूरभाष"),
)
_SEPARATED = r"(?:[ ()./-]{0,3}\d)"
_ALONE = r"(?<![\w.,:@/-])"  # excludes numbers in identifiers, fractions, times and paths


def _phone(text: str, start: int, end: int) -> int:
    """End of a number with 6 to 15 digits (ITU-T E.164); -1 for a date or another length."""
    if _DATE.match(text, start) or not 6 <= len(_digits(text[start:end])) <= 15:
        return -1
    return end


def _national(text: str, start: int, end: int) -> int:
    """End of a number with a trunk 0 and 9 to 13 digits, without further groups; -1 otherwise."""
    while len(_digits(text[start:end])) > 13:
        end = max(text.rfind(" ", start, end), text.rfind("-", start, end))
    if _DATE.match(text, start) or len(_digits(text[start:end])) < 9:
        return -1
    return end


_number_opening = opening_pattern(_NUMBER_OPENING)
_has_number = re.compile(r"[0-9][0-9 ()./+-]{5}").search
_international = Detector(
    name="phone",
    whole=re.compile(rf"(?<![\w+])\(?(?:\+[1-9]{_SEPARATED}{{6,14}}|(?<![.,:=/-])00[1-9]{_SEPARATED}{{8,13}})(?!\w)"),
    opening=_number_opening,
    hint=lambda text: ("+" in text or "00" in text) and _has_number(text),
    check=_phone,
)
_with_trunk_zero = Detector(
    name="phone",
    whole=re.compile(
        rf"{_ALONE}(?:\(?0[1-9]\d{{0,4}}(?:\) ?|[ /-]{{1,3}})\d{{2,8}}(?:[ -]\d{{2,8}}){{0,3}}"
        r"|0[1-9](?:[ .-]?\d{2}){4}|0[1-9]\d{8,10})(?!\w|[.,:]\d)"
    ),
    opening=opening_pattern(_NUMBER_OPENING, r"[(\d][\d ()./+-]{0,64}[.,:]"),
    hint=lambda text: "0" in text and _has_number(text),
    check=_national,
)
_grouped = Detector(
    name="phone",
    whole=re.compile(
        rf"{_ALONE}(?:(?:1[ .-])?(?:\([2-9]\d{{2}}\) ?|[2-9]\d{{2}}[ .-])\d{{3}}[ .-]\d{{4}}|[6-9]\d{{4}}[ -]\d{{5}})"
        r"(?!\w|[.-]\d)"
    ),
    opening=_number_opening,
    hint=_has_number,
)
_labelled = Detector(
    name="phone",
    whole=re.compile(
        rf"(?<![^\W\d_])(?:{'|'.join(_LABELS)})[.:=# ]{{0,3}}(?P<hide>[+(]?\d{_SEPARATED}{{5,14}})(?!\w)", re.IGNORECASE
    ),
    opening=opening_pattern(
        prefixes_of(*_LABELS), rf"(?:{'|'.join(_LABELS)})[.:=# ]{{0,3}}[+(]?[\d ()./-]{{0,70}}", flags=re.IGNORECASE
    ),
    hint=lambda text: _has_number(text) and re.search("|".join(_LABELS), text.lower()),
    check=_phone,
)

_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_VERSION_BEFORE = re.compile(r"(?:[=<>~^!]=?|[vV]|ersion:? ?|[A-Za-z]/)\Z")


def _ip4(text: str, start: int, end: int) -> int:
    """Reject loopback, networks and version numbers."""
    first, *_, third, fourth = text[start:end].split(".")
    if first == "127" or third == fourth == "0" or _VERSION_BEFORE.search(text[max(0, start - 9) : start]):
        return -1
    return end


def _ip6(text: str, start: int, end: int) -> int:
    """Accept valid addresses except loopback and the `::` of programming languages."""
    address = text[start:end]
    if address.endswith(":") and not address.endswith("::"):
        address = address[:-1]
    groups = [group for group in address.split(":") if group]
    if len(groups) < 3 and not (groups and len(groups[0]) >= 3 and len(address) > 5):
        return -1
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return -1
    return start + len(address)


_ip4_shape = Detector(
    name="ip",
    whole=re.compile(rf"(?<![\w.])(?<![A-Za-z]-)(?:{_OCTET}\.){{3}}{_OCTET}(?!\w|\.\w|-[A-Za-z])"),
    opening=opening_pattern(r"\d[\d.]{0,16}-?"),
    hint=re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]").search,
    check=_ip4,
)
_ip6_shape = Detector(
    name="ip",
    whole=re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{6,39}+(?!\w)"),
    opening=opening_pattern(r"[0-9A-Fa-f:]{1,40}"),
    hint=re.compile(r":[0-9A-Fa-f]{0,4}:").search,
    check=_ip6,
)

PERSONAL = (
    _email,
    _iban_shape,
    _card_shape,
    _international,
    _with_trunk_zero,
    _grouped,
    _labelled,
    _ip4_shape,
    _ip6_shape,
)
