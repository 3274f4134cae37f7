"""Blobs are whole or absent, by content, and apart by tenant."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ragstone.errors import NotFound
from ragstone.storage.blobs import LocalBlobs
from ragstone.vocabulary import Scope

OURS = Scope("us", "docs")
CONTENT = b"the bytes\x00\xff"


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_bytes_come_back_by_their_hash(blobs: LocalBlobs):
    key = await blobs.put(OURS, CONTENT)
    assert key == hashlib.sha256(CONTENT).hexdigest()
    assert await blobs.get(OURS, key) == CONTENT


async def test_equal_bytes_are_one_file_and_nothing_is_left_beside_it(blobs: LocalBlobs, tmp_path: Path):
    await blobs.put(OURS, CONTENT)
    key = await blobs.put(Scope("us", "another collection"), CONTENT)
    assert [path.name for path in files_below(tmp_path)] == [key]


async def test_another_tenant_does_not_find_them(blobs: LocalBlobs):
    key = await blobs.put(OURS, CONTENT)
    with pytest.raises(NotFound):
        await blobs.get(Scope("them", "docs"), key)
    await blobs.delete(Scope("them", "docs"), key)
    assert await blobs.get(OURS, key) == CONTENT


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", f"{'a' * 62}/b"])
async def test_a_key_that_is_no_hash_is_refused(blobs: LocalBlobs, key: str):
    with pytest.raises(NotFound):
        await blobs.get(OURS, key)
    with pytest.raises(NotFound):
        await blobs.delete(OURS, key)


@pytest.mark.parametrize("tenant", ["../../outside", "/etc", "a/b", "", "\x00"])
async def test_a_tenants_name_cannot_lead_out_of_the_folder(blobs: LocalBlobs, tmp_path: Path, tenant: str):
    scope = Scope(tenant)
    key = await blobs.put(scope, CONTENT)
    assert await blobs.get(scope, key) == CONTENT
    assert [path.relative_to(tmp_path).parts[0] for path in files_below(tmp_path)] == ["blobs"]


async def test_deleting_twice_is_no_error(blobs: LocalBlobs):
    key = await blobs.put(OURS, CONTENT)
    await blobs.delete(OURS, key)
    await blobs.delete(OURS, key)
    assert await blobs.missing(OURS, {key}) == {key}


def test_a_full_disk_says_so_and_leaves_nothing_half_written(tmp_path: Path):
    script = (
        "import asyncio, pathlib, resource, sys\n"
        "from ragstone.errors import DataDirectoryError\n"
        "from ragstone.storage.blobs import LocalBlobs\n"
        "from ragstone.vocabulary import Scope\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"  # the kernel refuses the 1001st byte
        "try:\n"
        "    asyncio.run(LocalBlobs(pathlib.Path(sys.argv[1])).put(Scope(), bytes(5000)))\n"
        "except DataDirectoryError as error:\n"
        "    sys.stdout.write(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert "is full; the write was rolled back" in done.stdout
    assert files_below(tmp_path) == []
