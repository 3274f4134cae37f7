"""One timed chat over HTTP: time to the first word, gaps between words, end or error."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from benchmarks.load.drive import Reply

Kind = Literal["chat", "openai"]
MAX_LINE_BYTES = 4 << 20  # a `done` event holds a whole answer with its sources
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Address, key and questions of the server under test. Questions are taken in turn."""

    url: str
    kind: Kind
    questions: Sequence[str]
    key: str = ""
    model: str = "ragstone"
    timeout_s: float = 60.0

    @property
    def address(self) -> str:
        """Full URL of the route."""
        base = self.url.rstrip("/")
        if self.kind == "chat":
            return f"{base}/api/chat"
        return f"{base}/chat/completions" if urlsplit(base).path.endswith("/v1") else f"{base}/v1/chat/completions"

    def body(self, number: int) -> dict[str, object]:
        """JSON body of request number `number`."""
        question = self.questions[number % len(self.questions)]
        if self.kind == "chat":
            return {"question": question, "stream": True}
        return {"model": self.model, "messages": [{"role": "user", "content": question}], "stream": True}


@dataclass(slots=True)
class ChatEvents:
    """Parser of an event stream that records the moment of each word, the end, and a problem."""

    kind: Kind
    words: list[float] = field(default_factory=list)
    ended: bool = False
    problem: str = ""
    _event: str = ""

    def line(self, line: bytes, moment: float) -> None:
        """Read one line, without its line break."""
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
        said = self._event if self.kind == "chat" else _event_of(value)
        if said == "error":
            self.problem = "error in the stream"
        elif said == "delta":
            self.words.append(moment)
        elif said == "done":
            self.ended = True


def _event_of(value: bytes) -> str:
    """Name of the /api/chat event that an OpenAI chunk corresponds to; empty for other chunks."""
    try:
        chunk = json.loads(value)
        if "error" in chunk:
            return "error"
        return "delta" if any(choice.get("delta", {}).get("content") for choice in chunk.get("choices", ())) else ""
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""


class Asker:
    """Sends timed requests to one target. The caller closes `session`."""

    def __init__(
        self, target: Target, session: aiohttp.ClientSession, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._target = target
        self._session = session
        self._clock = clock
        self._headers = {"authorization": f"Bearer {target.key}"} if target.key else {}

    async def ask(self, number: int) -> Reply:
        """Send request number `number` and read its answer. `Reply.problem` names an error."""
        start, heard = self._clock(), ChatEvents(self._target.kind)
        try:
            problem = await self._stream(number, heard)
        except TimeoutError:
            problem = "timed out"
        except aiohttp.ClientConnectorError:
            problem = "no connection"
        except (aiohttp.ClientError, OSError):
            problem = "broke off" if heard.words else "connection lost"
        return _reply(heard, problem, start, self._clock())

    async def _stream(self, number: int, heard: ChatEvents) -> str:
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


def _reply(heard: ChatEvents, problem: str, start: float, now: float) -> Reply:
    words = heard.words
    gaps = [later - sooner for sooner, later in pairwise(words)]
    return Reply(words[0] - start if words else None, now - start, len(words), problem, gaps)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the complete lines of a stream. A line above `MAX_LINE_BYTES` ends the connection."""
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
    """HTTP client with `most` connections, without cookies and without the environment's proxies."""
    connector = aiohttp.TCPConnector(limit=most)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
