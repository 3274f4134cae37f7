"""A server without accounts, for tests of authentication and middleware."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from ragstone.billing.plans import Plan
from ragstone.errors import Unauthenticated
from ragstone.http.authentication import Accounts, Authenticator
from ragstone.http.context import ServerContext
from ragstone.identity.audit import Detail
from ragstone.principals import Principal
from ragstone.settings import ServerSettings
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import RateLimitStatus


class NoCallers:
    """Admits no caller: there are none."""

    async def admit(self, presented: str) -> Principal:
        raise Unauthenticated("This key or session is not known.")

    async def has_accounts(self) -> bool:
        return False

    async def is_still_valid(self, principal: Principal) -> bool:
        return False


class NothingKept:
    """An audit log that keeps nothing."""

    async def note(
        self, tenant: str, *, actor: str, action: str, target: str = "", details: Mapping[str, Detail] | None = None
    ) -> None:
        return None


class NoKeys:
    """No publishable keys."""

    async def origins(self) -> frozenset[str]:
        return frozenset()


class NothingCounted:
    """Limits of plans that have none."""

    async def hit(self, principal: Principal) -> RateLimitStatus:
        return RateLimitStatus(None, 0, 0.0)

    async def call(self, principal: Principal) -> None:
        return None


class OnePlan:
    """A plan without limits, whatever is asked for."""

    async def get(self, plan_id: str) -> Plan:
        return Plan(id=plan_id, name=plan_id)


def server_without_accounts(*keys: str, max_body_bytes: int = 1 << 20) -> ServerContext:
    """The context of a server whose keys are those of its settings."""
    settings = ServerSettings(api_keys=tuple(SecretStr(key) for key in keys), max_body_bytes=max_body_bytes)
    accounts = Accounts(NoCallers(), NothingKept(), NoKeys(), NothingCounted(), OnePlan())
    return ServerContext(Authenticator.of(settings, accounts), Metrics(), FailureBuffer())
