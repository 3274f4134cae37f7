"""Asking a running server, for commands that look at one from outside."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ragstone.cli.output import complain
from ragstone.errors import Forbidden, InvalidInput, Unauthenticated, Unavailable

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 << 20  # a thousand upstreams and routes make about 2 MiB of numbers
LOOPBACK = {"127.0.0.1", "::1", "localhost"}  # `settings.LOOPBACK_HOSTS`; to import it would make `--help` slow


async def fetched(url: str, path: str, key: str) -> str:
    """What a server answers to a GET, as text.

    Raises:
        InvalidInput: the address is none.
        Unauthenticated: it wants a key, or another one.
        Forbidden: the key is not of somebody who runs the installation.
        Unavailable: no server answers there, or it answers something else.
    """
    import httpx2

    base = checked_address(url, key)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        async with (
            httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client,
            client.stream("GET", f"{base}{path}", headers=headers) as response,
        ):
            _check_status(response.status_code, base)
            return (await _content(response)).decode("utf-8", errors="replace")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unavailable(
            f"No server answers at {base} ({type(error).__name__}). "
            "Start it with `ragstone serve`, or name it with --url."
        ) from error


async def fetched_json(url: str, path: str, key: str) -> object:
    """What a server answers to a GET, read as JSON. Raises as `fetched` does."""
    text = await fetched(url, path, key)
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _another(checked_address(url, "")) from error
    return value


def checked_address(url: str, key: str) -> str:
    """The address without a slash at its end. A key that travels unencrypted is pointed out.

    Raises:
        InvalidInput: it is no http or https address, or holds a name or a key.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query:
        raise InvalidInput("--url is the server's address, such as http://127.0.0.1:8000.")
    if key and parts.scheme == "http" and host not in LOOPBACK:
        complain(f"Warning: the key goes to {host} unencrypted; use https.")
    return url.rstrip("/")


def _check_status(status: int, base: str) -> None:
    if status == HTTPStatus.UNAUTHORIZED:
        raise Unauthenticated("The server wants a key of somebody who runs it. Give one with --key-file.")
    if status == HTTPStatus.FORBIDDEN:
        raise Forbidden(
            "This is for those who run the installation: use a key of RAGSTONE_SERVER__API_KEYS, "
            "or the session of an operator."
        )
    if status != HTTPStatus.OK:
        raise _another(base)


async def _content(response: httpx2.Response) -> bytes:
    content = b""
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise Unavailable("The server answers more than numbers. Is that a Ragstone?")
    return content


def _another(base: str) -> Unavailable:
    return Unavailable(f"What answers at {base} is no Ragstone of this version. Name another with --url.")
