"""Tables of what tenants ingest and ask: documents, jobs, conversations."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ragstone.storage.schema.base import SequenceNumber, UtcDateTime, metadata

collections = Table(
    "collections",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("collection", String(128), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),  # grows whenever searches may find other things
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
    Column("fingerprint", String(64), nullable=False),  # of what is active; "" before
    Column("blob_key", String(64), nullable=False),  # bytes of what is active; "" before
    Column("size_bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("active_version", Integer),
    Column("last_version", Integer, nullable=False),  # the highest ever given out
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
    Column("callback_url", Text),  # told when the job is finished
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
    Column("name", Text, nullable=False),  # the file's name, for the parser
    Column("title", Text, nullable=False),
    Column("media_type", String(128)),  # what the sender says
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
    # Who may write this document's points. A row whose lease has run out, and that no
    # pending file stands behind, tells the sweeper of leftovers in the index.
    Column("document_id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("owner", String(32), nullable=False),
    Column("lease_until", Float, nullable=False),  # Unix seconds; 0: nobody's
    Column("littered", Boolean, nullable=False),  # somebody else wrote points meanwhile
    Index(None, "lease_until"),
)

discarded_blobs = Table(
    "discarded_blobs",
    metadata,
    # Blobs that something let go of; the sweeper deletes those that nothing else refers to.
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
    Column("condensed", Text, nullable=False),  # the question made whole, as it was looked up
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
    # Callbacks that are to be sent, written in the transaction that finished what they tell of.
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
    # The key is a hash of model and text, the value follows from them.
    Column("tenant", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)
