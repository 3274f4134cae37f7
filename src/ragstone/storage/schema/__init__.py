"""All tables of Ragstone. SQL is the truth; index and caches are made again from it.

Every table of tenant data has a `tenant` column, and is read and written through the
`scoped` family of `storage.database` only. Types are those that SQLite and PostgreSQL
share. A change here needs a migration in `migrations/versions` and a new `HEAD_REVISION`.
"""

from ragstone.storage.schema.accounts import (
    api_keys,
    audit_heads,
    audit_log,
    facts,
    failures,
    interceptors,
    models,
    plans,
    revisions,
    sessions,
    tenants,
    usage_records,
    users,
    widgets,
)
from ragstone.storage.schema.base import (
    HEAD_REVISION,
    SequenceNumber,
    UtcDateTime,
    metadata,
)
from ragstone.storage.schema.content import (
    chunks,
    claims,
    collections,
    conversations,
    deliveries,
    discarded_blobs,
    document_texts,
    documents,
    embedding_cache,
    feedback,
    job_files,
    jobs,
    turns,
)

OPERATORS_TABLES = (plans, models, revisions, facts)
"""Those without a tenant; every other one has rows of tenants."""

__all__ = [
    "HEAD_REVISION",
    "OPERATORS_TABLES",
    "SequenceNumber",
    "UtcDateTime",
    "api_keys",
    "audit_heads",
    "audit_log",
    "chunks",
    "claims",
    "collections",
    "conversations",
    "deliveries",
    "discarded_blobs",
    "document_texts",
    "documents",
    "embedding_cache",
    "facts",
    "failures",
    "feedback",
    "interceptors",
    "job_files",
    "jobs",
    "metadata",
    "models",
    "plans",
    "revisions",
    "sessions",
    "tenants",
    "turns",
    "usage_records",
    "users",
    "widgets",
]
