"""Clients in processes of their own: each gets one task, gives one report, and reaches loopback only."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.postgres import missing

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
LITELLM = REPOSITORY / ".litellm" / "bin" / "python"
LIMIT_S = 60.0  # a machine at work needs seconds to start one
QUIET = {
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "NO_PROXY": "*",
    "OTEL_SDK_DISABLED": "true",
}


async def librechat(script: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """The report of one of the scripts here, which use LibreChat's packages."""
    node = shutil.which("node")
    if node is None or not (MODULES / "@librechat" / "agents").is_dir():
        missing("node", "The tests need Node.js 20 or newer and LibreChat's packages: make clients")
        raise AssertionError("unreachable")
    report = await _report([node, str(HERE / script)], task)
    assert report["strangers"] == [], "A package wants to reach somebody else."
    return report


async def litellm(task: Mapping[str, Any]) -> dict[str, Any]:
    """The report of LiteLLM, which has an environment of its own."""
    if not LITELLM.exists():
        missing("litellm", "It needs an environment of its own: make clients")
    return await _report([str(LITELLM), str(HERE / "litellm_calls.py")], task)


async def _report(command: Sequence[str], task: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env={**given, **QUIET}, cwd=HERE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(json.dumps(task).encode()), LIMIT_S)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert process.returncode == 0, err.decode(errors="replace")[-2000:]
    report: dict[str, Any] = json.loads(out)
    return report
