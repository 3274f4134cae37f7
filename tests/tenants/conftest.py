"""The fixtures of the identity tests, which these tests share."""

from tests.identity.conftest import clock, database, kind_of_database, other_process, secret, stores

__all__ = ["clock", "database", "kind_of_database", "other_process", "secret", "stores"]
