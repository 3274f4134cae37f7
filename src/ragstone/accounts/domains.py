"""The origins that a publishable key answers."""

from __future__ import annotations

from collections.abc import Iterable


def checked_domain(text: str) -> str:
    """A domain of an allow-list, made canonical: `shop.example`, `*.shop.example`, `http://localhost:3000`.

    A bare host means https on its default port.

    Raises:
        InvalidInput: it is no host, or so wide that it allows everybody.
    """
    raise NotImplementedError


def allows(domains: Iterable[str], origin: str) -> bool:
    """Whether a browser's `Origin` is on the list; an empty list allows none, nor does the origin `null`."""
    raise NotImplementedError
