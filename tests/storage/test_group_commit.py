"""Writes of many in one transaction: in order, tried again, and failing for everybody in the group."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ragstone.errors import DataDirectoryError, Unavailable
from ragstone.storage.group_commit import MAX_GROUP, GroupCommit


class Disk:
    """Takes groups of numbers; fails as often as it is told to, and waits while it is held."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.groups: list[list[int]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def write(self, items: Sequence[int]) -> None:
        await self.free.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.groups.append(list(items))


async def test_what_comes_during_a_write_is_written_together_and_in_order():
    disk = Disk()
    disk.free.clear()
    commit = GroupCommit(disk.write)
    first = commit.add(0)
    await asyncio.sleep(0)
    rest = [commit.add(number) for number in range(1, MAX_GROUP + 2)]
    disk.free.set()
    await asyncio.gather(first, *rest)
    assert disk.groups == [[0], list(range(1, MAX_GROUP + 1)), [MAX_GROUP + 1]]


async def test_a_write_that_fails_once_is_tried_again():
    disk = Disk(Unavailable("Locked."))
    await GroupCommit(disk.write).add(1)
    assert disk.groups == [[1]]


async def test_a_write_that_keeps_failing_fails_for_its_group_and_for_no_later_one():
    disk = Disk(*[DataDirectoryError("Full.")] * 2)
    commit = GroupCommit(disk.write, attempts=2)
    failed = await asyncio.gather(commit.add(1), commit.add(2), return_exceptions=True)
    assert [type(each) for each in failed] == [DataDirectoryError] * 2
    await commit.add(3)
    assert disk.groups == [[3]]


async def test_a_bug_reaches_every_waiting_caller():
    disk = Disk(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await GroupCommit(disk.write).add(1)


async def test_what_is_not_being_written_can_be_taken_back():
    disk = Disk()
    disk.free.clear()
    commit = GroupCommit(disk.write)
    first = commit.add(0)
    await asyncio.sleep(0)
    second = commit.add(1)
    assert (commit.withdraw(first), commit.withdraw(second)) == (False, True)
    disk.free.set()
    await commit.close()
    assert disk.groups == [[0]]


async def test_closing_waits_for_what_is_written():
    disk = Disk()
    commit = GroupCommit(disk.write)
    commit.add(1)
    await commit.close()
    assert disk.groups == [[1]]
