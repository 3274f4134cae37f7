"""Accounts, plans, usage, audit and callbacks; rows of tenants get their tenant.

Revision: 0002, after 0001. There is no way down: restore a backup made before the upgrade.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from ragstone.storage.migrations.row_security import (
    SYSTEM_ROLE,
    TENANT_ROLE,
    grant,
    make_append_only,
    make_roles,
    protect,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_tables()
    _change_tables()
    _add_shipped_rows()
    _keep_tenants_apart()


def _add_tables() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_audit_heads"),
    )
    op.create_table(
        "audit_log",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "number", name="pk_audit_log"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_state_not_before", "deliveries", ["state", "not_before"], unique=False)
    op.create_index("ix_deliveries_tenant_created_at", "deliveries", ["tenant", "created_at"], unique=False)

    op.create_table(
        "facts",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=True),
        sa.Column("key_variable", sa.String(length=64), nullable=True),
        sa.Column("input_price", sa.BigInteger(), nullable=False),
        sa.Column("output_price", sa.BigInteger(), nullable=False),
        sa.Column("cached_price", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
    )
    op.create_table(
        "plans",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("requests_per_hour", sa.Integer(), nullable=True),
        sa.Column("max_documents", sa.Integer(), nullable=True),
        sa.Column("max_bytes", sa.BigInteger(), nullable=True),
        sa.Column("max_pages", sa.Integer(), nullable=True),
        sa.Column("concurrent_streams", sa.Integer(), nullable=True),
        sa.Column("overage", sa.Boolean(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
    )
    op.create_table(
        "revisions",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_revisions"),
    )
    op.create_table(
        "usage_records",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("principal", sa.String(length=64), nullable=False),
        sa.Column("conversation_id", sa.String(length=32), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("embedding_tokens", sa.Integer(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("overage", sa.Boolean(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_usage_records"),
    )
    op.create_index("ix_usage_records_state_expires_at", "usage_records", ["state", "expires_at"], unique=False)
    op.create_index("ix_usage_records_tenant_at", "usage_records", ["tenant", "at"], unique=False)

    op.create_table(
        "widgets",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("collection", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_widgets"),
    )
    op.create_index("ix_widgets_tenant_created_at", "widgets", ["tenant", "created_at"], unique=False)

    op.create_table(
        "tenants",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["plan"], ["plans.id"], name="fk_tenants_plan"),
        sa.PrimaryKeyConstraint("tenant", name="pk_tenants"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("start", sa.String(length=16), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("collections", sa.JSON(), nullable=True),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replaced_by", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name="fk_api_keys_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_index("ix_api_keys_tenant_created_at", "api_keys", ["tenant", "created_at"], unique=False)

    op.create_table(
        "feedback",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("collection", sa.String(length=128), nullable=False),
        sa.Column("conversation_id", sa.String(length=32), nullable=False),
        sa.Column("turn_id", sa.String(length=32), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_feedback_conversation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_feedback_turn_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.UniqueConstraint("turn_id", "author", name="uq_feedback_turn_id_author"),
    )
    op.create_index(
        "ix_feedback_tenant_collection_created_at", "feedback", ["tenant", "collection", "created_at"], unique=False
    )

    op.create_table(
        "users",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name="fk_users_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_index("ix_users_tenant_email", "users", ["tenant", "email"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
    )
    op.create_index("ix_sessions_tenant_user_id", "sessions", ["tenant", "user_id"], unique=False)


def _change_tables() -> None:
    op.add_column("collections", sa.Column("generation", sa.Integer(), server_default="0", nullable=False))

    op.add_column("conversations", sa.Column("owner", sa.String(length=64), server_default="", nullable=False))

    op.drop_table("embedding_cache")  # derived; made anew with a tenant in its key
    op.create_table(
        "embedding_cache",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_embedding_cache"),
    )

    op.add_column("job_files", sa.Column("dead", sa.Boolean(), server_default="0", nullable=False))

    op.add_column("jobs", sa.Column("callback_url", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("principal", sa.String(length=64), server_default="", nullable=False))


def _add_shipped_rows() -> None:
    """The plans and models that every installation begins with, and the tenants that are there already."""
    connection = op.get_bind()
    tables = sa.MetaData()
    tables.reflect(connection, only=["plans", "models", "tenants", "collections", "revisions"])
    connection.execute(tables.tables["models"].insert(), _MODELS)
    connection.execute(tables.tables["plans"].insert(), _PLANS)
    connection.execute(tables.tables["revisions"].insert(), [{"name": "accounts", "value": 0}])
    known = {"default", *connection.scalars(sa.select(tables.tables["collections"].c.tenant))}
    now = datetime.now(UTC)
    rows = [{"tenant": each, "name": each, "plan": "unlimited", "state": "active", "created_at": now} for each in known]
    connection.execute(tables.tables["tenants"].insert(), rows)


def _keep_tenants_apart() -> None:
    """Row level security for the tables of both migrations; the last step, as from here on the owner sees no rows."""
    connection = op.get_bind()
    make_roles(connection)
    inspected = sa.inspect(connection)
    protect(
        connection,
        [
            table
            for table in inspected.get_table_names()
            if any(column["name"] == "tenant" for column in inspected.get_columns(table))
        ],
    )
    for table in ("plans", "models", "revisions", "facts"):
        grant(connection, table, "SELECT, INSERT, UPDATE, DELETE", SYSTEM_ROLE)
    grant(connection, "plans", "SELECT", TENANT_ROLE)
    grant(connection, "models", "SELECT", TENANT_ROLE)
    grant(connection, "revisions", "SELECT, UPDATE", TENANT_ROLE)  # a tenant's change of its keys counts as well
    grant(connection, "SEQUENCE job_files_id_seq", "USAGE, SELECT", TENANT_ROLE, SYSTEM_ROLE)
    make_append_only(connection, "audit_log")


# Prices in millionths of a US dollar per million tokens, from the vendors' public price lists.
_MODELS: list[dict[str, Any]] = [
    {
        "id": "gpt-4o-mini",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "key_variable": "OPENAI_API_KEY",
        "input_price": 150_000,
        "output_price": 600_000,
        "cached_price": 75_000,
    },
    {
        "id": "claude-sonnet",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "key_variable": "ANTHROPIC_API_KEY",
        "input_price": 3_000_000,
        "output_price": 15_000_000,
        "cached_price": 300_000,
    },
]
_NO_LIMIT: dict[str, Any] = {
    "requests_per_hour": None,
    "max_documents": None,
    "max_bytes": None,
    "max_pages": None,
    "concurrent_streams": None,
    "overage": False,
    "models": [],
}
_PLANS: list[dict[str, Any]] = [
    # That of the operator of the installation: the model of the settings, and no limits.
    {**_NO_LIMIT, "id": "unlimited", "name": "Unlimited"},
    {
        **_NO_LIMIT,
        "id": "free",
        "name": "Free",
        "requests_per_hour": 100,
        "max_documents": 100,
        "max_bytes": 100 << 20,
        "max_pages": 1_000,
        "concurrent_streams": 2,
        "models": ["gpt-4o-mini"],
    },
    {
        **_NO_LIMIT,
        "id": "paid",
        "name": "Paid",
        "requests_per_hour": 1_000,
        "max_documents": 10_000,
        "max_bytes": 10 << 30,
        "max_pages": 100_000,
        "concurrent_streams": 20,
        "models": ["claude-sonnet", "gpt-4o-mini"],
    },
]
