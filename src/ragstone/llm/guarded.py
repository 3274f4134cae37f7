"""A language model behind the policy of its server: concurrency limit, circuit, retries before the first word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial

from ragstone.errors import CircuitOpen, ModelUnavailable, Overloaded
from ragstone.llm.base import LanguageModel, Message
from ragstone.llm.errors import ModelFault, broken_off
from ragstone.resilience.retry import UpstreamFault
from ragstone.resilience.upstream_policy import UpstreamPolicy
from ragstone.vocabulary import Usage

Pieces = AsyncGenerator[str | Usage, None]


class _Fault(UpstreamFault):
    """The model's fault, as the guard reads it."""

    def __init__(self, fault: ModelFault) -> None:
        super().__init__(fault.message, retryable=fault.again, retry_after_s=fault.retry_after_s, refused=fault.refused)
        self.fault = fault


class GuardedModel:
    """A `LanguageModel` with retries and a circuit. Wrap each model once, or retries would multiply.

    A call is retried only before the first piece of its answer, and only if its server did no
    work for it, so that it is not paid for twice. It counts against the concurrency limit until
    the answer ends.
    """

    def __init__(
        self,
        inner: LanguageModel,
        guard: UpstreamPolicy,
        *,
        tenant: Callable[[], str] = lambda: "",
        patience_s: float | None = None,
    ) -> None:
        """Nothing is opened before the first call.

        Args:
            inner: The model.
            guard: That of its server.
            tenant: Names whose call it is, when one begins; unless given, all share the places of one tenant.
            patience_s: A caller who leaves after so long without a word was kept waiting by a server that fails.
        """
        self._inner = inner
        self._guard = guard
        self._tenant = tenant
        self._patience_s = patience_s

    @property
    def name(self) -> str:
        """The model's name."""
        return self._inner.name

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        """See `LanguageModel.stream`. Refused here, it raises `ModelUnavailable` with the reason as its cause."""
        try:
            async with self._guard.place(self._tenant()):
                first, pieces = await self._guard.call(
                    partial(self._opened, messages, max_tokens), patience_s=self._patience_s
                )
                async with aclosing(pieces):
                    yield first
                    with self._told_if_broken():
                        async for piece in pieces:
                            yield piece
        except _Fault as error:
            raise error.fault from None
        except CircuitOpen as error:
            raise ModelFault(
                f"The server of model {self.name} failed too often a moment ago. Ask again in a few seconds.",
                retry_after_s=error.retry_after_s,
            ) from error
        except Overloaded as error:
            raise ModelFault(
                f"The model {self.name} writes as many answers as it may. Ask again in a few seconds.",
                retry_after_s=error.retry_after_s,
            ) from error

    async def close(self) -> None:
        """See `LanguageModel.close`."""
        await self._inner.close()

    async def _opened(self, messages: Sequence[Message], max_tokens: int) -> tuple[str | Usage, Pieces]:
        """An answer whose first piece has come, and that piece."""
        pieces = self._inner.stream(messages, max_tokens=max_tokens)
        try:
            first = await anext(pieces, None)
        except ModelFault as fault:
            raise _Fault(fault) from None
        if first is None:
            raise _Fault(broken_off(self.name))
        return first, pieces

    @contextmanager
    def _told_if_broken(self) -> Iterator[None]:
        try:
            yield
        except ModelUnavailable as error:
            if not (isinstance(error, ModelFault) and error.refused):
                self._guard.broke()
            raise
