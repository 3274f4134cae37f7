"""The database schema. SQL is the source of truth; index and caches are rebuilt from it.

Every table of tenant data has a `tenant` column, and is read and written only through the
`scoped` functions of `storage.database`. Column types exist in both SQLite and PostgreSQL.
A change here needs a migration in `migrations/versions` and a new `HEAD_REVISION`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

HEAD_REVISION = "0003"
"""The newest migration. Declared here so that opening a current database does not import Alembic."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SequenceNumber = BigInteger().with_variant(Integer, "sqlite")
"""An ascending number assigned by the database; SQLite supports autoincrement for INTEGER only."""


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite does not store the time zone, so it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read as UTC."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


plans = Table(
    "plans",
    metadata,
    # Without tenants: the operator's plans. A limit that is NULL means no limit.
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("requests_per_hour", Integer),
    Column("max_documents", Integer),
    Column("max_bytes", BigInteger),
    Column("max_pages", Integer),
    Column("concurrent_streams", Integer),
    Column("overage", Boolean, nullable=False),  # requests beyond the limit are served and counted
    Column("models", JSON, nullable=False),  # ids of `models`, tried in this order; then the extractive answerer
)

models = Table(
    "models",
    metadata,
    # Without tenants: the models that plans can name. Prices are millionths of the currency per million tokens.
    Column("id", String(64), primary_key=True),
    Column("provider", String(16), nullable=False),  # openai, anthropic, extractive
    Column("model", String(128), nullable=False),  # the provider's name for it
    Column("base_url", Text),
    Column("key_variable", String(64)),  # environment variable that holds the provider's key
    Column("input_price", BigInteger, nullable=False),
    Column("output_price", BigInteger, nullable=False),
    Column("cached_price", BigInteger, nullable=False),
)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("plan", String(64), ForeignKey("plans.id"), nullable=False),
    Column("state", String(16), nullable=False),  # active, suspended, deleting
    Column("retention_days", Integer),  # conversations older than this are deleted; NULL: never
    Column("created_at", UtcDateTime, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), ForeignKey("tenants.tenant"), nullable=False),
    Column("email", String(254), nullable=False, unique=True),  # in lower case
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),  # viewer, editor, owner, operator
    Column("state", String(16), nullable=False),  # active, suspended
    Column("password_hash", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "tenant", "email"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(32), ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),  # keyed
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Index(None, "tenant", "user_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), ForeignKey("tenants.tenant"), nullable=False),
    Column("kind", String(16), nullable=False),  # secret, publishable
    Column("name", Text, nullable=False),
    Column("start", String(16), nullable=False),  # its first characters, which identify it in lists
    Column("key_hash", String(64), nullable=False, unique=True),  # keyed
    Column("permissions", JSON, nullable=False),
    Column("collections", JSON),  # names; NULL: all
    Column("domains", JSON, nullable=False),  # allowed origins of a publishable key
    Column("created_by", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("replaced_by", String(32)),  # the key it was rotated to
    Index(None, "tenant", "created_at"),
)

widgets = Table(
    "widgets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("name", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "tenant", "created_at"),
)

interceptors = Table(
    "interceptors",
    metadata,
    # A tenant's own settings of interceptor, knowledge, LibreChat and privacy; without a row, the defaults apply.
    Column("tenant", String(64), primary_key=True),
    Column("settings", JSON, nullable=False),
    Column("keys", JSON, nullable=False),  # by name; each sealed with the installation's secret
    Column("updated_at", UtcDateTime, nullable=False),
)

failures = Table(
    "failures",
    metadata,
    # Recent failures, for operators; bounded. Names and classes only, no text of users.
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),  # "" if not known
    Column("at", UtcDateTime, nullable=False),
    Column("stage", String(64), nullable=False),  # retrieve, upstream, answer, ingest, http, …
    Column("upstream", String(128), nullable=False),  # "" if none was called
    Column("code", String(64), nullable=False),  # of the error, or `internal`
    Column("error", String(128), nullable=False),  # the exception's class
    Column("request_id", String(64), nullable=False),
    Index(None, "at"),
    Index(None, "tenant", "at"),
)

usage_records = Table(
    "usage_records",
    metadata,
    # The usage ledger: one row per request, inserted before it runs and completed after it.
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(16), nullable=False),  # chat, search, ingest
    Column("state", String(16), nullable=False),  # reserved, settled, lost
    Column("principal", String(64), nullable=False),
    Column("conversation_id", String(32)),
    Column("model", String(128), nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("embedding_tokens", Integer, nullable=False),
    Column("cost", BigInteger, nullable=False),  # millionths of the currency
    Column("overage", Boolean, nullable=False),
    Column("estimated", Boolean, nullable=False),  # counted here, not reported by the model
    Column("expires_at", Float, nullable=False),  # Unix seconds; a row still reserved then is lost
    Column("settled_at", UtcDateTime),
    Index(None, "tenant", "at"),
    Index(None, "state", "expires_at"),
)

audit_log = Table(
    "audit_log",
    metadata,
    # Append-only; one chain per tenant. Records remain after the tenant is deleted.
    Column("tenant", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3, … without a gap
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("hash", String(64), nullable=False),  # keyed, over the row and the hash before it
)

audit_heads = Table(
    "audit_heads",
    metadata,
    # The end of each chain, so that removed last records are detected.
    Column("tenant", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),  # of the last row
    Column("seal", String(64), nullable=False),  # keyed, over tenant, number and hash
)

revisions = Table(
    "revisions",
    metadata,
    # Without tenants: numbers that each change of data cached by processes increments.
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    # Without tenants: constants of this database, such as the proof of the installation's secret.
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)


collections = Table(
    "collections",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("collection", String(128), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column(
        "generation", Integer, nullable=False, server_default="0"
    ),  # incremented by each change that can affect search results
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("source", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("fingerprint", String(64), nullable=False),  # of the active version; "" before the first
    Column("blob_key", String(64), nullable=False),  # bytes of the active version; "" before the first
    Column("size_bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("active_version", Integer),
    Column("last_version", Integer, nullable=False),  # the highest version number used so far
    Column("wanted_file", SequenceNumber, nullable=False),  # job_files.id submitted last
    Column("chunk_count", Integer, nullable=False),
    Column("page_count", Integer),
    Column("error", Text),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "collection", "source"),
    Index(None, "tenant", "blob_key"),
)

document_texts = Table(
    "document_texts",
    metadata,
    Column("document_id", String(32), ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("text", Text, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("document_id", String(32), ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("token_count", Integer, nullable=False),
    Column("headings", JSON, nullable=False),  # [[start, [heading, …]], …]
    Column("pages", JSON, nullable=False),  # [[number, start, end], …]
    Column("table_header", Text, nullable=False),
    UniqueConstraint("document_id", "version", "ordinal"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("callback_url", Text),  # webhook that is called when the job is finished
    Column("principal", String(64), nullable=False, server_default=""),  # who submitted it
    Column("request_id", String(64), nullable=False, server_default=""),  # of the request that submitted it
    Index(None, "tenant", "collection", "created_at"),
)

job_files = Table(
    "job_files",
    metadata,
    Column("id", SequenceNumber, primary_key=True, autoincrement=True),  # order of submission
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("document_id", String(32)),  # no foreign key: the document may be gone by now
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),  # the file name, for the parser
    Column("title", Text, nullable=False),
    Column("media_type", String(128)),  # declared by the sender
    Column("metadata", JSON, nullable=False),
    Column("blob_key", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Float, nullable=False),  # Unix seconds
    Column("error_code", String(64)),
    Column("error", Text),
    Column("warnings", JSON, nullable=False),
    Column("dead", Boolean, nullable=False, server_default="0"),  # failed for reasons that are not the file's
    Index(None, "state", "tenant", "id"),
    Index(None, "job_id", "id"),
    Index(None, "document_id"),
    Index(None, "tenant", "blob_key"),
)

claims = Table(
    "claims",
    metadata,
    # The worker that may write a document's points. An expired lease without a pending file
    # tells the sweep that the index may hold orphaned points.
    Column("document_id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("owner", String(32), nullable=False),
    Column("lease_until", Float, nullable=False),  # Unix seconds; 0: not claimed
    Column("littered", Boolean, key="orphaned", nullable=False),  # the index may hold unpublished points
    Index(None, "lease_until"),
)

discarded_blobs = Table(
    "discarded_blobs",
    metadata,
    # Blobs that lost a reference; the sweep deletes those without any other reference.
    Column("tenant", String(64), primary_key=True),
    Column("blob_key", String(64), primary_key=True),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("owner", String(64), nullable=False, server_default=""),  # the principal who began it
    Column("title", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "tenant", "collection", "updated_at"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("conversation_id", String(32), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("question", Text, nullable=False),
    Column("condensed", Text, nullable=False),  # the condensed question, as it was searched
    Column("answer", Text, nullable=False),
    Column("citations", JSON, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("degraded", JSON, nullable=False),
    Column("model", String(128), nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("conversation_id", "ordinal"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("conversation_id", String(32), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("turn_id", String(32), ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("author", String(64), nullable=False),  # the principal who gave it
    Column("rating", Integer, nullable=False),  # 1 good, -1 bad
    Column("comment", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("turn_id", "author"),
    Index(None, "tenant", "collection", "created_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    # Webhook deliveries, inserted in the transaction that finished their job.
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),  # pending, delivered, dead
    Column("attempts", Integer, nullable=False),
    Column("not_before", Float, nullable=False),  # Unix seconds
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Index(None, "state", "not_before"),
    Index(None, "tenant", "created_at"),
)

embedding_cache = Table(
    "embedding_cache",
    metadata,
    # The key is a hash of model and text, which determine the value.
    Column("tenant", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)


OPERATORS_TABLES = (plans, models, revisions, facts)
"""The tables without tenants; every other table has rows of tenants."""

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
