"""One streamed chat, timed: the first word, the gaps between words, the end, or what went wrong."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from ragstone.cli.load.drive import Reply

Kind = Literal["chat", "openai"]
MAX_LINE_BYTES = 4 << 20  # a `done` event holds a whole answer with its sources
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, where and as whom. Questions are taken in turn."""

    url: str
    kind: Kind
    questions: Sequence[str]
    key: str = ""
    model: str = "ragstone"
    timeout_s: float = 60.0

    @property
    def address(self) -> str:
        """The full address of the route."""
        base = self.url.rstrip("/")
        if self.kind == "chat":
            return f"{base}/api/chat"
        return f"{base}/chat/completions" if urlsplit(base).path.endswith("/v1") else f"{base}/v1/chat/completions"

    def body(self, number: int) -> dict[str, object]:
        """The JSON of request number n."""
        question = self.questions[number % len(self.questions)]
        if self.kind == "chat":
            return {"question": question, "stream": True}
        return {"model": self.model, "messages": [{"role": "user", "content": question}], "stream": True}


@dataclass(slots=True)
class Listening:
    """Turns the lines of an event stream into moments of words; `problem` and `ended` say how it went."""

    kind: Kind
    words: list[float] = field(default_factory=list)
    ended: bool = False
    problem: str = ""
    _event: str = ""

    def line(self, line: bytes, moment: float) -> None:
        """Take one line without its end."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value.decode("utf-8", errors="replace")
        elif name == b"data":
            self._data(value, moment)
        elif not line:
            self._event = ""

    def _data(self, value: bytes, moment: float) -> None:
        if self.kind == "openai" and value.strip() == b"[DONE]":
            self.ended = True
            return
        said = self._event if self.kind == "chat" else _said(value)
        if said == "error":
            self.problem = "error in the stream"
        elif said == "delta":
            self.words.append(moment)
        elif said == "done":
            self.ended = True


def _said(value: bytes) -> str:
    """What a chunk of OpenAI's says, by the names of our own events; empty for what is neither."""
    try:
        chunk = json.loads(value)
        if "error" in chunk:
            return "error"
        return "delta" if any(choice.get("delta", {}).get("content") for choice in chunk.get("choices", ())) else ""
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""


class Asker:
    """Asks one target; `session` is the caller's to close."""

    def __init__(
        self, target: Target, session: aiohttp.ClientSession, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._target = target
        self._session = session
        self._clock = clock
        self._headers = {"authorization": f"Bearer {target.key}"} if target.key else {}

    async def ask(self, number: int) -> Reply:
        """Send request number n, and read its answer to the end. What goes wrong is the reply's `problem`."""
        start, heard = self._clock(), Listening(self._target.kind)
        try:
            problem = await self._stream(number, heard)
        except TimeoutError:
            problem = "timed out"
        except aiohttp.ClientConnectorError:
            problem = "no connection"
        except (aiohttp.ClientError, OSError):
            problem = "broke off" if heard.words else "connection lost"
        return _reply(heard, problem, start, self._clock())

    async def _stream(self, number: int, heard: Listening) -> str:
        timeout = aiohttp.ClientTimeout(total=self._target.timeout_s, sock_connect=CONNECT_S)
        async with self._session.post(
            self._target.address,
            json=self._target.body(number),
            headers=self._headers,
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                return f"HTTP {response.status}"
            async for line in _lines(response.content.iter_any()):
                heard.line(line, self._clock())
        return heard.problem or ("" if heard.ended else "broke off")


def _reply(heard: Listening, problem: str, start: float, now: float) -> Reply:
    words = heard.words
    gaps = [later - sooner for sooner, later in pairwise(words)]
    return Reply(words[0] - start if words else None, now - start, len(words), problem, gaps)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The complete lines of a stream; one that is too long ends the connection."""
    rest = b""
    async for chunk in chunks:
        rest += chunk
        *complete, rest = rest.split(b"\n")
        for line in _bare(complete):
            yield line
        if len(rest) > MAX_LINE_BYTES:
            raise aiohttp.ClientPayloadError("a line is too long")


def _bare(lines: Sequence[bytes]) -> Iterator[bytes]:
    return (line.removesuffix(b"\r") for line in lines)


def session(most: int) -> aiohttp.ClientSession:
    """A client with a connection for each request under way; neither cookies nor proxies of the environment."""
    connector = aiohttp.TCPConnector(limit=most)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
