"""A stranger's first run: no key, no network, no other service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# A process in which every socket but a Unix one is refused before it connects.
OFFLINE = """
import socket, sys
connect, resolve = socket.socket.connect, socket.getaddrinfo
def guarded(self, address):
    if self.family != socket.AF_UNIX:
        raise SystemExit(f"tried to reach {address}")
    return connect(self, address)
def no_names(*args, **options):
    raise SystemExit(f"tried to resolve {args[0]}")
socket.socket.connect, socket.getaddrinfo = guarded, no_names
import asyncio, ragstone
async def main():
    async with ragstone.open_platform(data_dir=sys.argv[1]) as platform:
        job = await platform.ingest(sys.argv[2])
        answer = await platform.ask("How tall is the tower?")
        print(job.done, answer.text, answer.citations[0].verified)
asyncio.run(main())
"""


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """No keys, no settings, no caches of the user's."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}


def test_a_first_answer_needs_no_key_and_no_network(tmp_path: Path, bare_environment: dict[str, str]):
    (tmp_path / "tower.md").write_text("# Tower\n\nThe tower is 312 metres tall.\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(tmp_path / "data"), str(tmp_path / "tower.md")],
        cwd=tmp_path,
        env=bare_environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 ")
    assert "312 metres" in done.stdout
    assert done.stdout.strip().endswith("True")


def test_the_guard_against_the_network_catches_a_connection(tmp_path: Path, bare_environment: dict[str, str]):
    reaching = OFFLINE.split("import asyncio", maxsplit=1)[0] + "socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run(
        [sys.executable, "-c", reaching], env=bare_environment, capture_output=True, text=True, check=False
    )
    assert "tried to" in done.stderr


def test_no_heavy_framework_is_installed_with_it():
    frozen = (Path(__file__).parents[2] / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    names = {line.split("==")[0] for line in frozen.splitlines() if "==" in line}
    assert not names & {"torch", "sentence-transformers", "transformers", "tensorflow"}
    assert not [name for name in names if name.startswith("nvidia-")]
