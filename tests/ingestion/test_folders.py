"""Folders: the walk is sorted and filtered, and never leaves its root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone.errors import InvalidInput, NotFound
from ragstone.ingestion.folders import source_of, uploads, vanished, walk
from ragstone.ingestion.submit import Rejected
from ragstone.vocabulary import FileState
from tests.ingestion.harness import SCOPE, Harness


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return (tmp_path / "site").resolve()


def put(folder: Path, name: str, text: str = "text") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def listed(folder: Path, pattern: str = "**/*") -> list[str]:
    return [
        "rejected" if isinstance(found, Rejected) else found.relative_to(folder).as_posix()
        for found in walk(folder, pattern)
    ]


def test_files_come_sorted_and_only_those_a_parser_reads(folder: Path):
    for name in ("b.md", "a/z.txt", "a/b/c.pdf", "photo.png", "noext", "LOUD.MD"):
        put(folder, name)
    assert listed(folder) == ["LOUD.MD", "a/b/c.pdf", "a/z.txt", "b.md"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*", ["a.md", "docs/b.md", "docs/deep/c.txt"]),
        ("*.md", ["a.md"]),
        ("*", ["a.md"]),
        ("**/*.md", ["a.md", "docs/b.md"]),
        ("docs/**/*", ["docs/b.md", "docs/deep/c.txt"]),
        ("docs/*", ["docs/b.md"]),
        ("**/deep/**/?.txt", ["docs/deep/c.txt"]),
        ("[ab].md", ["a.md"]),
    ],
)
def test_a_pattern_is_a_glob(folder: Path, pattern: str, expected: list[str]):
    for name in ("a.md", "docs/b.md", "docs/deep/c.txt"):
        put(folder, name)
    assert listed(folder, pattern) == expected


@pytest.mark.parametrize("pattern", ["", "/", "/etc/*", "../*.md", "a/../b", "docs/", "**", "a//b", "x" * 300])
def test_a_pattern_that_can_match_no_file_is_refused(folder: Path, pattern: str):
    put(folder, "a.md")
    with pytest.raises(InvalidInput):
        list(walk(folder, pattern))


def test_a_hostile_pattern_does_not_take_long(folder: Path):
    put(folder, "/".join("abcdefghijkl") + "/a.md")
    assert listed(folder, "**/" * 20 + "nothing.md") == []


def test_hidden_files_and_folders_are_left_out(folder: Path):
    for name in (".secret.md", ".git/a.md", "a/.b/c.md", "seen.md"):
        put(folder, name)
    assert listed(folder) == ["seen.md"]


def test_an_ignore_file_works_as_git_means_it(folder: Path):
    for name in ("a.md", "draft.md", "build/x.md", "docs/build/y.md", "docs/keep.md", "docs/draft.md", "only/top.md"):
        put(folder, name)
    put(folder, ".ragstoneignore", "# comment\ndraft.md\n/build/\nonly/*\n")
    put(folder, "docs/.ragstoneignore", "!draft.md\nkeep.md\n")
    assert listed(folder) == ["a.md", "docs/build/y.md", "docs/draft.md"]


def test_links_out_of_the_root_are_not_followed(folder: Path, tmp_path: Path):
    put(tmp_path, "outside/secret.md", "secret")
    put(folder, "inside.md")
    (folder / "file.md").symlink_to(tmp_path / "outside" / "secret.md")
    (folder / "dir").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    (folder / "broken.md").symlink_to(folder / "nowhere.md")
    (folder / "alias.md").symlink_to(folder / "inside.md")
    assert listed(folder) == ["alias.md", "inside.md"]


def test_a_pipe_is_not_a_file(folder: Path):
    put(folder, "a.md")
    os.mkfifo(folder / "pipe.md")
    assert listed(folder) == ["a.md"]


def test_files_are_read_one_by_one_as_they_are_asked_for(folder: Path):
    put(folder, "a.md", "first")
    put(folder, "b.md", "second")
    files = uploads([folder], pattern="**/*", max_file_bytes=100)
    next(files)
    put(folder, "b.md", "changed meanwhile")
    second = next(files)
    assert not isinstance(second, Rejected)
    assert second.content == b"changed meanwhile"


def test_a_file_named_outright_is_read_whatever_it_is_called(folder: Path):
    put(folder, ".notes")
    (only,) = uploads([folder / ".notes"], pattern="**/*", max_file_bytes=100)
    assert only.source == (folder / ".notes").as_uri()


@pytest.fixture
def unreadable() -> Iterator[Path]:
    """A folder with a file and a folder that this process may not read, even as root."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        folder.chmod(0o755)
        for name in ("a.md", "closed.md", "shut/b.md"):
            put(folder, name)
        (folder / "closed.md").chmod(0)
        (folder / "shut").chmod(0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            (folder / "shut").chmod(0o755)


def test_an_unreadable_file_is_reported_and_the_others_are_read(unreadable: Path):
    found = list(uploads([unreadable], pattern="**/*", max_file_bytes=100))
    errors = {each.source: each.error.message for each in found if isinstance(each, Rejected)}
    assert [each.source for each in found if not isinstance(each, Rejected)] == [source_of(unreadable / "a.md")]
    assert set(errors) == {source_of(unreadable / "closed.md"), source_of(unreadable / "shut")}
    assert all("Permission denied" in message for message in errors.values())


def test_an_unreadable_path_has_not_vanished(unreadable: Path):
    sources = [source_of(unreadable / name) for name in ("closed.md", "shut/b.md", "gone.md")]
    assert vanished([unreadable], "**/*", sources) == [source_of(unreadable / "gone.md")]


def test_only_what_folder_and_pattern_cover_can_vanish(folder: Path, tmp_path: Path):
    put(folder, "here.md")
    names = ["here.md", "gone.md", "gone.txt", "deep/with space.md"]
    sources = [source_of(folder / name) for name in names]
    sources += [source_of(tmp_path / "elsewhere.md"), source_of(Path(f"{folder}-sibling") / "x.md"), "upload:gone.md"]
    expected = [source_of(folder / "gone.md"), source_of(folder / "deep/with space.md")]
    assert vanished([folder], "**/*.md", sources) == expected


async def test_a_directory_becomes_documents(harness: Harness, folder: Path):
    put(folder, "a.md", "# Zoo\n\nzebra")
    put(folder, "deep/ünï code.md", "gnu")
    job = await harness.finish(await harness.ingestion.submit_directory(SCOPE, folder))
    assert job.done == 2
    sources = [document.source for document in await harness.library.documents(SCOPE)]
    assert sources == [source_of(folder / "a.md"), source_of(folder / "deep/ünï code.md")]
    assert [document.title for document in await harness.library.documents(SCOPE)] == ["Zoo", "ünï code.md"]


async def test_pruning_removes_what_vanished_and_nothing_else(harness: Harness, folder: Path):
    for name in ("a.md", "b.md", "c.txt"):
        put(folder, name, f"zebra {name}")
    await harness.finish(await harness.ingestion.submit_directory(SCOPE, folder))
    for name in ("b.md", "c.txt"):
        (folder / name).unlink()
    job = await harness.finish(await harness.ingestion.submit_directory(SCOPE, folder, pattern="**/*.md", prune=True))
    assert (job.skipped, job.removed) == (1, 1)
    assert [file.state for file in job.files] == [FileState.SKIPPED, FileState.REMOVED]
    await harness.settle()
    assert {passage.source for passage in await harness.found("zebra")} == {
        source_of(folder / "a.md"),
        source_of(folder / "c.txt"),
    }
    assert await harness.index.count(SCOPE) == 2


async def test_without_pruning_what_vanished_stays(harness: Harness, folder: Path):
    put(folder, "a.md", "zebra")
    await harness.finish(await harness.ingestion.submit_directory(SCOPE, folder))
    (folder / "a.md").unlink()
    job = await harness.finish(await harness.ingestion.submit_directory(SCOPE, folder))
    assert (job.total, len(await harness.found("zebra"))) == (0, 1)


async def test_files_and_folders_make_one_job(harness: Harness, folder: Path, tmp_path: Path):
    put(folder, "a.md", "zebra")
    put(tmp_path, "b.md", "gnu")
    job = await harness.finish(await harness.ingestion.submit_paths(SCOPE, [folder, tmp_path / "b.md"]))
    assert job.done == 2


async def test_a_path_that_is_not_there_is_named(harness: Harness, folder: Path):
    with pytest.raises(NotFound, match="nowhere"):
        await harness.ingestion.submit_paths(SCOPE, [folder / "nowhere"])
    put(folder, "a.md")
    with pytest.raises(InvalidInput, match="is a file"):
        await harness.ingestion.submit_directory(SCOPE, folder / "a.md")


async def test_a_file_too_large_fails_alone(harness: Harness, folder: Path):
    put(folder, "a.md", "zebra")
    put(folder, "b.md", "x" * 20_000)
    job = await harness.finish(await harness.ingestion.submit_directory(SCOPE, folder))
    assert (job.done, job.failed, job.files[1].error_code) == (1, 1, "too_large")
