"""Tables of who may do what, and of what they used."""

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
    String,
    Table,
    Text,
)

from ragstone.storage.schema.base import UtcDateTime, metadata

plans = Table(
    "plans",
    metadata,
    # No tenant's: the operator's price list. A limit that is NULL does not exist.
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("requests_per_hour", Integer),
    Column("max_documents", Integer),
    Column("max_bytes", BigInteger),
    Column("max_pages", Integer),
    Column("concurrent_streams", Integer),
    Column("overage", Boolean, nullable=False),  # requests beyond the limit are served and counted
    Column("models", JSON, nullable=False),  # ids of `models`, asked in this order; then the extractive answerer
)

models = Table(
    "models",
    metadata,
    # No tenant's: what plans may name, and what it costs. Prices in millionths of the currency per million tokens.
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
    Column("retention_days", Integer),  # conversations older than this are deleted; NULL keeps them
    Column("created_at", UtcDateTime, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), ForeignKey("tenants.tenant"), nullable=False),
    Column("email", String(254), nullable=False, unique=True),  # in small letters
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
    Column("start", String(16), nullable=False),  # its first characters, to tell it by
    Column("key_hash", String(64), nullable=False, unique=True),  # keyed
    Column("permissions", JSON, nullable=False),
    Column("collections", JSON),  # names; NULL: all
    Column("domains", JSON, nullable=False),  # origins a publishable key answers
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
    # How a tenant's chats are enriched and where they go on to; without a row, as the settings say.
    Column("tenant", String(64), primary_key=True),
    Column("settings", JSON, nullable=False),
    Column("keys", JSON, nullable=False),  # by name; each sealed with the installation's secret
    Column("updated_at", UtcDateTime, nullable=False),
)

failures = Table(
    "failures",
    metadata,
    # What failed lately, for operators; bounded. Names and classes only, no text of anybody.
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),  # "" where none is known
    Column("at", UtcDateTime, nullable=False),
    Column("stage", String(64), nullable=False),  # retrieve, upstream, answer, ingest, http, …
    Column("upstream", String(128), nullable=False),  # "" where none was asked
    Column("code", String(64), nullable=False),  # that of the error, or `internal`
    Column("error", String(128), nullable=False),  # the exception's class
    Column("request_id", String(64), nullable=False),
    Index(None, "at"),
    Index(None, "tenant", "at"),
)

usage_records = Table(
    "usage_records",
    metadata,
    # The ledger: one row a request. Written before anything is spent, completed when it is known.
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
    # Append-only; one chain a tenant. It outlives its tenant.
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
    # Where each chain ends, so that a cut tail shows.
    Column("tenant", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),  # that of the last row
    Column("seal", String(64), nullable=False),  # keyed, over tenant, number and hash
)

revisions = Table(
    "revisions",
    metadata,
    # No tenant's: numbers that grow with each change of what processes keep in memory.
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    # No tenant's: what has to stay as it is for this database, such as a proof of the installation's secret.
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)
