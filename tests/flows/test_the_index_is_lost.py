"""The index is derived: lost, damaged or half made, it comes back from the truth."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from ragstone.errors import IndexUnavailable
from ragstone.vocabulary import Scope
from tests.platforms import default_settings, opened, small_platform
from tests.waiting import alive, until

TEXT = "# Tower\n\nThe tower is 312 metres tall.\n"


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A data directory that knows of a tower, whose index process was killed."""
    (tmp_path / "tower.md").write_text(TEXT, encoding="utf-8")
    async with opened(default_settings(tmp_path / "data")) as platform:
        await platform.ingest(tmp_path / "tower.md")
    owner = json.loads((tmp_path / "data" / "index" / "owner.json").read_text(encoding="utf-8"))["pid"]
    os.kill(owner, signal.SIGKILL)
    await until(lambda: not alive(owner))
    return tmp_path / "data"


async def test_a_deleted_index_is_noticed_and_healed(data_dir: Path):
    shutil.rmtree(data_dir / "index")
    async with opened(default_settings(data_dir)) as platform:
        assert await platform.corpus.ingestion.missing_chunks() == 1
        assert await platform.corpus.ingestion.heal() == 1
        assert await platform.corpus.ingestion.missing_chunks() == 0
        assert (await platform.search("how tall is the tower")).passages


async def test_a_damaged_index_says_how_to_mend_it_and_can_be_made_again(data_dir: Path):
    for file in (data_dir / "index").rglob("*"):
        if file.is_file() and file.name == "edge_config.json":
            file.write_bytes(b"damaged")
    with pytest.raises(IndexUnavailable, match="ragstone rebuild"):
        async with opened(default_settings(data_dir)):
            pass
    async with opened(default_settings(data_dir), recreate_index=True) as platform:
        assert await platform.corpus.ingestion.rebuild() == 1
        assert (await platform.search("how tall is the tower")).passages


async def test_an_index_in_memory_is_filled_when_the_platform_opens(tmp_path: Path):
    (tmp_path / "tower.md").write_text(TEXT, encoding="utf-8")
    async with small_platform(tmp_path / "data") as first:
        await first.ingest(tmp_path / "tower.md")
    async with small_platform(tmp_path / "data") as second:
        assert await second.engines.index.count(Scope()) == 1
