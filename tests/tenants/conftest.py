"""The fixtures of the identity tests, which these tests share."""

from tests.identity.conftest import clock, database, elsewhere, kind_of_database, office, secret

__all__ = ["clock", "database", "elsewhere", "kind_of_database", "office", "secret"]
