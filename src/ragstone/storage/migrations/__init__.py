"""Alembic migrations of the relational truth."""
