"""Refuse Python every connection that leaves this machine, from the start of the interpreter."""

from __future__ import annotations

import sys

LOCAL = {"127.0.0.1", "::1", "localhost", "", None}


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: raises when a socket connects, or a name is looked up, outside this machine."""
    if event == "socket.getaddrinfo" and arguments[0] not in LOCAL:
        raise OSError(f"offline: {arguments[0]} was looked up")
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in LOCAL:
        raise OSError(f"offline: a connection to {arguments[1]}")


sys.addaudithook(refuse)
