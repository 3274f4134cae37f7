"""An installation without accounts, for tests of the door that need none."""

from __future__ import annotations

from types import SimpleNamespace

from ragstone.errors import Unauthenticated
from ragstone.principals import Principal
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics


class NobodyKnown:
    """Admits nobody, as there is nobody to admit."""

    async def admit(self, presented: str) -> Principal:
        raise Unauthenticated("This key or session is not known.")

    async def has_accounts(self) -> bool:
        return False

    async def still(self, principal: Principal) -> bool:
        return False


class NothingKept:
    """An audit whose records nobody reads."""

    async def note(self, tenant: str, **record: object) -> None:
        return None


class NothingCounted:
    """Limits of plans that have none."""

    async def call(self, principal: Principal) -> None:
        return None


def platform_without_accounts() -> SimpleNamespace:
    """As much of a platform as the door asks for."""
    accounts = SimpleNamespace(admission=NobodyKnown(), audit=NothingKept(), limits=NothingCounted())
    return SimpleNamespace(accounts=accounts, metrics=Metrics(), failures=FailureBuffer())
