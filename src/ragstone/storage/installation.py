"""Which installation this is: a number of its own, so that several may share a Redis."""

from __future__ import annotations

import secrets

from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.schema import facts

_NAME = "installation"
_ID_BYTES = 8


async def installation_id(database: Database) -> str:
    """The id of the database, made at the first call; a new database is a new installation.

    A data directory that is emptied begins to count its versions anew: what others, or
    its own past, left in Redis must not look like something it knows.
    """
    known = unscoped(facts, facts.c.value).where(facts.c.name == _NAME)
    async with database.read(EVERY_TENANT) as connection:
        found = (await connection.execute(known)).scalar()
    if found is None:
        async with database.write(EVERY_TENANT) as connection:
            new = {"name": _NAME, "value": secrets.token_hex(_ID_BYTES)}
            await connection.execute(database.insert_missing(facts), new)
            found = (await connection.execute(known)).scalar_one()
    return str(found)
