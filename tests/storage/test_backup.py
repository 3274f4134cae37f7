"""A backup is whole, and an installation comes back from it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from ragstone.errors import Conflict
from ragstone.storage.backup import back_up
from ragstone.vocabulary import Scope
from tests.platforms import small_platform


async def ingested(folder: Path, *texts: str) -> Path:
    source = folder / "source"
    source.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (source / f"{number}.md").write_text(text, encoding="utf-8")
    async with small_platform(folder / "data") as platform:
        await platform.ingest(source)
    return folder / "data"


async def test_an_installation_comes_back_from_its_backup(tmp_path: Path):
    data = await ingested(tmp_path, "# Tower\n\nThe tower is 92 metres high.")
    made = await asyncio.to_thread(back_up, data, tmp_path / "copy")
    assert (made.database, made.blobs) == (True, 1)
    shutil.rmtree(data)
    async with small_platform(tmp_path / "copy") as platform:
        found = await platform.search("how high is the tower")
        assert "92 metres" in found.passages[0].chunk.text
        assert await platform.storage.library.original(Scope(), found.passages[0].chunk.document_id)


async def test_a_backup_made_while_documents_change_refers_to_no_bytes_it_lacks(tmp_path: Path):
    data = await ingested(tmp_path, *(f"# Note {number}\n\nFirst." for number in range(5)))
    for round_ in range(3):
        changing = asyncio.create_task(ingested(tmp_path, *(f"# Note {n}\n\nRound {round_}." for n in range(5))))
        await asyncio.to_thread(back_up, data, tmp_path / f"copy{round_}")
        await changing
        async with small_platform(tmp_path / f"copy{round_}") as platform:
            for document in await platform.storage.library.documents(Scope()):
                assert await platform.storage.library.original(Scope(), document.id)


async def test_a_backup_mixes_with_nothing(tmp_path: Path):
    data = await ingested(tmp_path, "text")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "older").touch()
    with pytest.raises(Conflict, match="not empty"):
        await asyncio.to_thread(back_up, data, tmp_path / "copy")


async def test_a_backup_keeps_the_secret_for_its_owner_alone(tmp_path: Path):
    data = await ingested(tmp_path, "text")
    await asyncio.to_thread(back_up, data, tmp_path / "copy")
    assert (tmp_path / "copy" / "secret.key").read_bytes() == (data / "secret.key").read_bytes()
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
