"""All routes of an application, those of mounted applications included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount


@dataclass(frozen=True, slots=True)
class Address:
    """One method and path, and the route that answers it."""

    method: str
    path: str
    route: BaseRoute


def addresses(app: FastAPI) -> Iterator[Address]:
    """Each method and path; converters of path parameters are left out."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, Mount):
            yield from (_address(inner, method, route.path) for inner in route.routes for method in _methods(inner))
        else:
            for method in sorted(context.methods or {"ANY"}):
                yield Address(method, (context.path or "").replace(":path}", "}"), route)


def _methods(route: BaseRoute) -> list[str]:
    return sorted(getattr(route, "methods", None) or {"ANY"})


def _address(route: BaseRoute, method: str, prefix: str) -> Address:
    path: str = getattr(route, "path", "")
    return Address(method, (prefix + path).replace(":path}", "}"), route)
