"""EPUB reader: chapters to Markdown, in the order of the book's spine."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ragstone.documents.archive import opened_archive
from ragstone.documents.base import ParserLimits
from ragstone.documents.canonical import MarkdownDraft
from ragstone.documents.encodings import decode
from ragstone.documents.html import fragment_to_markdown
from ragstone.errors import EncryptedDocument, UnreadableDocument

_CHAPTER_TYPES = frozenset({"application/xhtml+xml", "text/html"})
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"


def read_epub(content: bytes, limits: ParserLimits) -> MarkdownDraft:
    """Read the chapters in reading order, with their headings.

    Raises:
        UnreadableDocument: the list of chapters is missing, or no chapter can be read.
        EncryptedDocument: the chapters are locked (DRM).
    """
    with opened_archive(content, limits) as archive:
        try:
            package_path = _package_path(archive)
            package = fromstring(archive.read(package_path))
        except (KeyError, ParseError, DefusedXmlException, zipfile.BadZipFile) as error:
            raise UnreadableDocument("The book's table of contents is missing or damaged.") from error
        paths = list(_chapter_paths(package, posixpath.dirname(package_path)))
        if locked := _locked(archive) & set(paths):
            raise EncryptedDocument(f"{len(locked)} chapters of the book are locked (DRM); use a copy without it.")
        chapters, missing = _chapters(archive, paths)
    title = package.findtext(f".//{_DUBLIN_CORE}title")
    warnings = tuple(f"The chapter {path!r} is listed but missing or damaged." for path in missing)
    return MarkdownDraft((_about(package), *chapters), title=title, warnings=warnings)


def _package_path(archive: zipfile.ZipFile) -> str:
    container = fromstring(archive.read("META-INF/container.xml"))
    rootfile = container.find(".//{*}rootfile")
    if rootfile is None:
        raise KeyError("rootfile")
    return str(rootfile.get("full-path", ""))


def _chapter_paths(package: Element, folder: str) -> Iterator[str]:
    items = {item.get("id"): item for item in package.iterfind(".//{*}manifest/{*}item")}
    for reference in package.iterfind(".//{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _CHAPTER_TYPES:
            continue
        if "nav" not in (item.get("properties") or "").split():
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))


def _chapters(archive: zipfile.ZipFile, paths: list[str]) -> tuple[list[str], list[str]]:
    chapters: list[str] = []
    missing: list[str] = []
    for path in paths:
        try:
            chapters.append(fragment_to_markdown(decode(archive.read(path)).text))
        except (KeyError, zipfile.BadZipFile):
            missing.append(path)
    return chapters, missing


def _locked(archive: zipfile.ZipFile) -> set[str]:
    """Entries listed in META-INF/encryption.xml: often fonts, chapters only with DRM."""
    try:
        tree = fromstring(archive.read("META-INF/encryption.xml"))
    except (KeyError, ParseError, DefusedXmlException, zipfile.BadZipFile):
        return set()
    return {unquote(node.get("URI", "")) for node in tree.iterfind(".//{*}CipherReference")}


def _about(package: Element) -> str:
    """Authors and description of the book, because readers ask for them."""
    authors = ", ".join(filter(None, (node.text for node in package.iterfind(f".//{_DUBLIN_CORE}creator"))))
    description = package.findtext(f".//{_DUBLIN_CORE}description") or ""
    lines = [f"**Authors:** {authors}" if authors else "", fragment_to_markdown(description)]
    return "\n\n".join(filter(None, lines))
