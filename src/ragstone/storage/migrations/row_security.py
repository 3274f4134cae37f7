"""Row level security of PostgreSQL, and triggers that refuse changes of the audit log on both databases.

A migration that adds tables calls `protect` with their names; a test finds the one that forgot.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

TENANT_ROLE = "ragstone_tenant"
SYSTEM_ROLE = "ragstone_system"

# Roles belong to the server, so that another database of it may have made them, at this very moment too.
_MAKE_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
_PROTECT = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON {table} TO ragstone_tenant
    USING (tenant = nullif(current_setting('ragstone.tenant', true), ''))
    WITH CHECK (tenant = nullif(current_setting('ragstone.tenant', true), ''));
-- A login that inherits the role's rights has to take the role all the same.
CREATE POLICY of_system ON {table} TO ragstone_system
    USING (current_user = 'ragstone_system') WITH CHECK (current_user = 'ragstone_system')
"""
_APPEND_ONLY_FUNCTION = """
CREATE FUNCTION ragstone_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
_APPEND_ONLY_TRIGGER = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION ragstone_append_only()
"""


def make_roles(connection: Connection) -> None:
    """Create the two roles, which own nothing and cannot log in; PostgreSQL only."""
    if connection.dialect.name == "postgresql":
        for role in (TENANT_ROLE, SYSTEM_ROLE):
            connection.execute(text(_MAKE_ROLE.format(role=role)))
        schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {TENANT_ROLE}, {SYSTEM_ROLE}"))
        connection.execute(text("GRANT SELECT ON alembic_version TO PUBLIC"))


def protect(connection: Connection, tables: Iterable[str]) -> None:
    """Row level security on tables with a `tenant` column; PostgreSQL only."""
    if connection.dialect.name == "postgresql":
        for table in tables:
            for statement in _PROTECT.format(table=table).split(";"):
                connection.execute(text(statement))
            grant(connection, table, "SELECT, INSERT, UPDATE, DELETE", TENANT_ROLE, SYSTEM_ROLE)


def grant(connection: Connection, table: str, rights: str, *roles: str) -> None:
    """Let the roles do this to a table; PostgreSQL only."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"GRANT {rights} ON {table} TO {', '.join(roles)}"))


def make_append_only(connection: Connection, table: str) -> None:
    """Make the rows of a table permanent: revoke the rights to change them, and refuse it by trigger."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"REVOKE UPDATE, DELETE ON {table} FROM {TENANT_ROLE}, {SYSTEM_ROLE}"))
        connection.execute(text(_APPEND_ONLY_FUNCTION))
        connection.execute(text(_APPEND_ONLY_TRIGGER.format(table=table)))
        return
    for change in ("update", "delete"):
        connection.execute(
            text(
                f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        )
