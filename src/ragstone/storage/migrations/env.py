"""Alembic's environment: runs the migrations inside the transaction of `storage.database`."""

from __future__ import annotations

from alembic import context

from ragstone.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making it again
)
with context.begin_transaction():
    context.run_migrations()
