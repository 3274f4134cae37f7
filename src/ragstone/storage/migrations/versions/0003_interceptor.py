"""The interceptor of each tenant, recent failures, and which request submitted a job.

Revision: 0003, after 0002. There is no way down: restore a backup made before the upgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ragstone.storage.migrations.row_security import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "interceptors",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_interceptors"),
    )
    op.create_table(
        "failures",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("upstream", sa.String(length=128), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("error", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_failures"),
    )
    op.create_index("ix_failures_at", "failures", ["at"], unique=False)
    op.create_index("ix_failures_tenant_at", "failures", ["tenant", "at"], unique=False)
    op.add_column("jobs", sa.Column("request_id", sa.String(length=64), server_default="", nullable=False))
    protect(op.get_bind(), ["interceptors", "failures"])
