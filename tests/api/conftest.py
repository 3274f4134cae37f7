"""The application on a small platform, called in process or over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from ragstone.app import create_app
from ragstone.services import Services
from tests.platforms import OpenedPlatform, small_platform

KEY = "test-key-" + "k" * 40


@asynccontextmanager
async def running(source: OpenedPlatform | Services) -> AsyncIterator[FastAPI]:
    """The application with its worker."""
    app = create_app(source.services if isinstance(source, OpenedPlatform) else source)
    async with app.router.lifespan_context(app):
        yield app


def calling(app: FastAPI, **headers: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000", headers=headers)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that the server may read."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
async def app(tmp_path: Path, root: Path) -> AsyncIterator[FastAPI]:
    ingestion = {"allowed_root": root, "max_file_bytes": 200_000}
    async with small_platform(tmp_path / "data", ingestion=ingestion) as platform, running(platform) as app:
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with calling(app) as client:
        yield client


@pytest.fixture
async def keyed_app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The application where a key is needed: `KEY`."""
    async with small_platform(tmp_path / "data", server={"api_keys": [KEY]}) as platform, running(platform) as app:
        yield app
