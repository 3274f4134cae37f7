"""The documentation does not lie: links lead somewhere, and what it shows runs.

A block marked `bash` or `python` is run, in the order of its page; one marked `sh` needs
what a test cannot give (a network, a key, a second terminal) and is only read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.commands import running_server

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
PORTS = {
    "docs/api.md": 8899,
    "docs/accounts.md": 8898,
    "docs/api-accounts.md": 8897,
    "docs/api-widget.md": 8896,
    "docs/interceptor.md": 8895,
}
"""Where the server of each page's examples listens."""


def blocks(page: str, language: str) -> list[str]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(folder), "RAGSTONE_DATA_DIR": str(folder / "data"), "LC_ALL": "C.UTF-8"}


def run_script(script: str, folder: Path, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_the_commands_of_the_readme_run(tmp_path: Path):
    script = "\n".join(blocks("README.md", "bash")).replace(". .venv/bin/activate\n", "")
    assert "ragstone ask" in script
    done = run_script(script, tmp_path, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert "[1]" in done.stdout


@pytest.mark.parametrize("page", ["docs/first-run.md", "docs/cli.md"])
def test_the_commands_of_the_page_run(page: str, tmp_path: Path):
    script = "\n".join(blocks(page, "bash"))
    assert "ragstone" in script
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    done = run_script(script, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("block", blocks("README.md", "python"), ids=["async", "sync"])
def test_the_python_of_the_readme_runs(block: str, tmp_path: Path):
    head, body = block.split("\n\n", 1)
    program = f"import asyncio\n{head}\nasync def main():\n{textwrap.indent(body, '    ')}\nasyncio.run(main())\n"
    program = program.replace('data_dir="data"', f"data_dir={str(tmp_path / 'data')!r}")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[1]" in done.stdout


@pytest.mark.parametrize("page", PORTS)
def test_the_examples_of_the_page_run_against_a_server(page: str, tmp_path: Path):
    script = "\n".join(blocks(page, "bash"))
    shown = f"http://127.0.0.1:{PORTS[page]}"
    assert shown in script
    with running_server(tmp_path / "data") as address:
        done = run_script(script.replace(shown, address), tmp_path, cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("target", ["demo", "serve", "test", "check"])
def test_the_targets_that_the_readme_names_exist(target: str):
    done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
