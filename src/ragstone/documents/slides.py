"""Presentation reader (PPTX): slides to pages of Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from pptx import Presentation
from pptx.chart.chart import Chart
from pptx.shapes.autoshape import Shape
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from ragstone.documents.archive import opened_archive
from ragstone.documents.base import ParserLimits, limit_reached
from ragstone.documents.canonical import MarkdownDraft
from ragstone.documents.office import core_title
from ragstone.documents.sheets import cell_text, markdown_table, one_line, table_block


def read_pptx(content: bytes, limits: ParserLimits) -> MarkdownDraft:
    """Read each slide as a page: its title as a heading, text as lists, tables, charts, speaker notes."""
    with opened_archive(content, limits) as archive:
        title = core_title(archive)
    presentation = Presentation(BytesIO(content))
    slides = presentation.slides
    if len(slides) > limits.max_pages:
        raise limit_reached(limits, "max_pages")
    return MarkdownDraft(tuple("\n\n".join(_slide(slide)) for slide in slides), paged=True, title=title)


def _slide(slide: Slide) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and title.text_frame.text.strip():
        yield f"## {one_line(title.text_frame.text)}"
    for shape in slide.shapes:
        if title is None or shape.shape_id != title.shape_id:
            yield from _shape(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        if notes:
            yield f"Notes: {notes}"


def _shape(shape: BaseShape) -> Iterator[str]:
    """Markdown blocks of a shape; for a group, of its shapes in order."""
    if isinstance(shape, GroupShape):
        for inner in shape.shapes:
            yield from _shape(inner)
    elif isinstance(shape, GraphicFrame) and shape.has_table:
        yield table_block([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif isinstance(shape, GraphicFrame) and shape.has_chart:
        yield from _chart(shape.chart)
    elif isinstance(shape, Shape):
        yield from _paragraphs(shape)
    elif description := _description(shape):
        yield f"[{description}]"


def _paragraphs(shape: Shape) -> Iterator[str]:
    """Text of a shape: a single paragraph unchanged, several as a list with levels."""
    paragraphs = [(paragraph.level, one_line(paragraph.text)) for paragraph in shape.text_frame.paragraphs]
    shown = [(level, text) for level, text in paragraphs if text]
    if len(shown) == 1:
        yield shown[0][1]
    elif shown:
        yield "\n".join(f"{'  ' * level}- {text}" for level, text in shown)


def _chart(chart: Chart) -> Iterator[str]:
    """Title and numbers of a chart as a table: a row per category, a column per series."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield one_line(chart.chart_title.text_frame.text)
    for plot in chart.plots:
        series = [(cell_text(line.name), list(line.values)) for line in plot.series]
        header = ["", *(name for name, _ in series)]
        rows = [
            [cell_text(category), *(cell_text(values[row]) if row < len(values) else "" for _, values in series)]
            for row, category in enumerate(plot.categories)
        ]
        if rows:
            yield markdown_table([header, *rows])


def _description(shape: BaseShape) -> str:
    properties = next(iter(shape.element.xpath(".//p:cNvPr")), None)
    return one_line(properties.get("descr") or "") if properties is not None else ""
