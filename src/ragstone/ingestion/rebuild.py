"""REBUILD: the index, made again from SQL, for all tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import func

from ragstone.documents.base import ParsedDocument
from ragstone.embedding.base import Embedder
from ragstone.index.base import Index
from ragstone.ingestion.claims import Claims
from ragstone.ingestion.making import make_points
from ragstone.storage.database import Database, scoped, unscoped
from ragstone.storage.library import chunk_of
from ragstone.storage.schema import chunks, documents
from ragstone.vocabulary import Scope
