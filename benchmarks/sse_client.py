"""Client for server-sent events on a bare socket; light enough for 300 streams beside the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def posted(
    port: int, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """A connection on which the request has been sent; it is cut, not closed, at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    data = json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n{lines}"
    writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the response, whose headers are read and dropped."""
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1])


async def events(reader: asyncio.StreamReader) -> AsyncGenerator[tuple[str, str, int], None]:
    """Name, data and arrival (monotonic ns) of each event of a chunked response, to its end."""
    name = ""
    while True:
        line = await reader.readline()
        if not line or line == b"0\r\n":
            return
        if line.startswith(b"event: "):
            name = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            yield name, line[6:].strip().decode(), time.monotonic_ns()
