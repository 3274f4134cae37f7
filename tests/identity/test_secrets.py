"""The installation's secret: created once, readable by its owner only, and bound to the database."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ragstone.errors import ConfigurationError, DataDirectoryError
from ragstone.identity.secrets import FILE_NAME, Secret
from ragstone.storage.database import Database
from tests.identity.conftest import on_both

LOAD = """
import asyncio, sys
from pathlib import Path
from ragstone.identity.secrets import Secret
sys.stdin.readline()  # all of them begin at once
print(asyncio.run(Secret.load(None, Path(sys.argv[1]))).digest("test", ""))
"""


def test_concurrent_processes_create_one_secret(tmp_path: Path):
    command = [sys.executable, "-c", LOAD, str(tmp_path)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate()[0] for process in started}
    assert len(answers) == 1
    assert answers != {""}
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


async def test_concurrent_threads_create_one_secret(tmp_path: Path):
    loaded = await asyncio.gather(*(Secret.load(None, tmp_path) for _ in range(20)))
    assert len({secret.digest("test", "") for secret in loaded}) == 1
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


async def test_its_file_is_for_its_owner_alone_and_each_folder_has_another(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = [await Secret.load(None, tmp_path / name) for name in ("one", "two")]
    file = tmp_path / "one" / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 64
    assert one.digest("test", "") != two.digest("test", "")


async def test_the_setting_wins_and_makes_no_file(tmp_path: Path):
    secret = await Secret.load("from the settings", tmp_path)
    assert secret.digest("test", "x") == Secret(b"from the settings").digest("test", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_digest_depends_on_its_purpose():
    secret = Secret(b"secret")
    digests = {secret.digest(purpose, text) for purpose, text in [("ab", "c"), ("a", "bc"), ("", "abc"), ("ab", "")]}
    assert len(digests) == 4
    assert all(len(digest) == 64 for digest in digests)
    assert secret.digest("key", "\ud800")  # whatever somebody sends


async def test_a_missing_folder_is_reported(tmp_path: Path):
    with pytest.raises(DataDirectoryError):
        await Secret.load(None, tmp_path / "gone")


@pytest.mark.parametrize("content", [b"", b"short"])
async def test_a_file_without_a_secret_in_it_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigurationError):
        await Secret.load(None, tmp_path)


@on_both
async def test_a_database_stays_with_its_secret(database: Database):
    await Secret(b"the first").prove(database)
    await Secret(b"the first").prove(database)
    with pytest.raises(ConfigurationError, match="RAGSTONE_SECRET_KEY"):
        await Secret(b"another").prove(database)


async def test_of_two_concurrent_secrets_one_is_refused(database: Database):
    secrets = [Secret(str(number).encode()) for number in range(10)]
    results = await asyncio.gather(*(secret.prove(database) for secret in secrets), return_exceptions=True)
    assert results.count(None) == 1
    assert all(isinstance(result, ConfigurationError) for result in results if result)
