"""Counts the modules of Ragstone that are entered at run time, apart for each chain of tasks.

How it counts, so that two figures can be compared:

- A module counts when at least one of its functions, methods or generators is called. Being imported does not
  count, nor does what is called during an import, nor the methods that `dataclasses` and pydantic generate.
- A call belongs to the task that makes it, to the tasks that led to this task, and to the name that the test gave
  to the outermost. Threads that carry a task's context (`asyncio.to_thread`) belong to the task.
- Background tasks have a chain of their own. Threads without context (those that run the embedding model) and
  other processes (parser, index) are left out.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any

import ragstone

PACKAGE = f"{Path(ragstone.__file__).parent}/"

Chain = tuple[object, ...]
"""Tasks, the outermost first; before them the name that a test gave."""

_chain: ContextVar[Chain] = ContextVar("chain", default=())


class Recorder:
    """A profile function that notes which modules each chain enters."""

    def __init__(self) -> None:
        self._entered: defaultdict[Chain, set[str]] = defaultdict(set)
        self._importing = threading.local()
        self._records = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record within the block, and only there."""
        self._records = True
        try:
            yield
        finally:
            self._records = False

    def modules(self, chain: Chain) -> set[str]:
        """The modules entered by a chain and by the tasks that it started: paths such as `api/chat.py`."""
        return {module for each, modules in self._entered.items() if each[: len(chain)] == chain for module in modules}

    def innermost(self, name: str, *packages: str) -> Chain:
        """The innermost chain of that name that enters all of these packages of `ragstone`."""
        chains = {each[:length] for each in self._entered for length in range(1, len(each) + 1) if each[0] == name}
        return max((chain for chain in chains if set(packages) <= self._packages(chain)), key=len)

    def _packages(self, chain: Chain) -> set[str]:
        return {module.split("/")[0] for module in self.modules(chain)}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Take an event of `sys.setprofile`."""
        code = frame.f_code
        if code.co_name == "<module>" and event in {"call", "return"}:
            self._importing.depth = self._import_depth() + (1 if event == "call" else -1)
        elif self._records and event == "call" and code.co_filename.startswith(PACKAGE) and not self._import_depth():
            self._entered[_chain_here()].add(code.co_filename.removeprefix(PACKAGE))

    def _import_depth(self) -> int:
        return getattr(self._importing, "depth", 0)


@contextmanager
def profiled() -> Iterator[Recorder]:
    """A recorder that sees this thread, and the threads that are started within the block."""
    recorder = Recorder()
    before, before_in_threads = sys.getprofile(), threading.getprofile()
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    try:
        yield recorder
    finally:
        sys.setprofile(before)
        threading.setprofile(before_in_threads)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Give the chain of the calls within the block a name."""
    token = _chain.set((name,))
    try:
        yield
    finally:
        _chain.reset(token)


def _chain_here() -> Chain:
    """The chain of the running call; the tasks and threads that it starts inherit it."""
    chain = _chain.get()
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a thread without event loop
        return chain
    if task is not None and task not in chain:
        chain = (*chain, task)
        _chain.set(chain)
    return chain
