"""Command group `ragstone documents`: list, show and remove documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from ragstone.cli.command import AsJson, CollectionName, DataDir, ExitCode, opened, opened_records, run, scope_of
from ragstone.cli.output import complain, one_line, say, say_json, say_table

if TYPE_CHECKING:
    from ragstone.storage.library import Library
    from ragstone.vocabulary import Chunk, Document, Scope

PAGE_SIZE = 500


class ListByDefault(TyperGroup):
    """Command group that runs `list` if no command is named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own kind
        """See `TyperGroup.parse_args`."""
        asks_for_help = bool(args) and args[0] in {"-h", "--help"}
        if not asks_for_help and (not args or args[0].startswith("-")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


documents = typer.Typer(cls=ListByDefault, help="List, show and remove documents.", rich_markup_mode=None)

DocumentId = Annotated[str, typer.Argument(metavar="ID", help="The document's id, as `ragstone documents` lists it.")]


@documents.command("list")
@run
async def list_(
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="Number of documents. [default: all]")] = None,
    collection: CollectionName = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """List the documents of a collection by source."""
    async with opened_records(data_dir) as records:
        found = [document async for document in _all(records.storage.library, scope_of(collection), limit)]
    if as_json:
        say_json(found)
    elif found:
        say_table(("ID", "STATE", "CHUNKS", "TITLE", "SOURCE"), [_row(document) for document in found])
    else:
        complain("No documents yet. Add some with `ragstone ingest PATH`.")
    return ExitCode.OK


async def _all(library: Library, scope: Scope, limit: int | None) -> AsyncIterator[Document]:
    last, left = None, limit
    while left is None or left > 0:
        size = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
        page = await library.documents(scope, limit=size, after=last)
        for document in page:
            yield document
        if len(page) < size:
            return
        last = page[-1].id
        left = None if left is None else left - len(page)


def _row(document: Document) -> tuple[object, ...]:
    return document.id, document.state.value, document.chunk_count, document.title, document.source


@documents.command()
@run
async def show(
    document_id: DocumentId,
    *,
    chunks: Annotated[bool, typer.Option("--chunks", help="Show the chunks instead of the text.")] = False,
    collection: CollectionName = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Show the text of a document as Ragstone reads it."""
    scope = scope_of(collection)
    async with opened_records(data_dir) as records:
        document = await records.storage.library.document(scope, document_id)
        if chunks:
            found = await records.storage.library.chunks(scope, document_id)
            shown: object = {"document": document, "chunks": found}
            lines = [line for chunk in found for line in (_chunk_line(chunk), chunk.text, "")]
        else:
            text = await records.storage.library.text(scope, document_id)
            shown, lines = {"document": document, "text": text}, [text]
    if as_json:
        say_json(shown)
    else:
        say("\n".join(lines))
    return ExitCode.OK


def _chunk_line(chunk: Chunk) -> str:
    place = [f"chunk {chunk.ordinal}", f"characters {chunk.start}-{chunk.end}", f"{chunk.token_count} tokens"]
    if chunk.page_first:
        place.append(f"page {chunk.page_first}")
    return f"--- {', '.join(place)}: {one_line(' > '.join(chunk.heading_path))}"


@documents.command()
@run
async def remove(
    document_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The documents to remove.")],
    *,
    collection: CollectionName = None,
    data_dir: DataDir = None,
) -> ExitCode:
    """Remove documents from the collection; their files stay."""
    scope = scope_of(collection)
    async with opened(data_dir) as services:
        found = [await services.storage.library.document(scope, document_id) for document_id in document_ids]
        for document in found:
            await services.corpus.ingestion.remove(scope, document.id)
            say(f"Removed {document.title} ({document.source}).")
    return ExitCode.OK
