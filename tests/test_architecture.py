"""The picture of the architecture shows the code as it is."""

from __future__ import annotations

import re
from pathlib import Path

from tools.draw_architecture import PICTURE, SOURCE, floors, needed, picture

PAGE = PICTURE.with_suffix(".md")


def test_the_picture_is_the_one_that_the_code_gives():
    assert PICTURE.read_text(encoding="utf-8") == picture(), "Run `make picture` and commit docs/architecture.svg."


def test_an_arrow_that_others_imply_is_not_drawn():
    arrows = {"top": {"middle", "bottom"}, "middle": {"bottom"}, "bottom": set[str]()}
    assert needed(arrows) == [("middle", "bottom"), ("top", "middle")]


def test_the_page_names_every_package_and_only_files_that_exist():
    page = PAGE.read_text(encoding="utf-8")
    assert not [name for floor in floors() for name in floor if f"`{name}`" not in page]
    files = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", page))
    assert files
    assert not [file for file in sorted(files) if not _exists(file)]


def _exists(file: str) -> bool:
    return (SOURCE / file).is_file() or (Path(__file__).parent.parent / file).is_file()
