"""Models that keep a bill of their own: what a vendor would charge for what it was asked and what it sent.

Their tokens are simple: four characters of a prompt are one, and each piece of text is one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from ragstone.billing.plans import ModelEntry
from ragstone.errors import ModelUnavailable
from ragstone.llm.base import Message
from ragstone.vocabulary import Usage


@dataclass
class VendorBill:
    """One entry a call that was served at all."""

    calls: list[Usage] = field(default_factory=list)

    def open(self, model: str, input_tokens: int) -> int:
        self.calls.append(Usage(model, input_tokens))
        return len(self.calls) - 1

    def sent(self, call: int, output_tokens: int) -> None:
        usage = self.calls[call]
        self.calls[call] = Usage(usage.model, usage.input_tokens, output_tokens)

    def waive(self, call: int) -> None:
        self.calls[call] = Usage(self.calls[call].model)

    def total(self) -> tuple[int, int]:
        return sum(each.input_tokens for each in self.calls), sum(each.output_tokens for each in self.calls)

    def cost(self, entries: Sequence[ModelEntry]) -> int:
        prices = {entry.id: entry for entry in entries}
        return sum(prices[each.model].cost(each) for each in self.calls)


class CapriciousModel:
    """Answers, refuses, breaks off or stalls, as its dice say; reports usage always, at the end, or never."""

    def __init__(self, name: str, bill: VendorBill, dice: random.Random) -> None:
        self.name = name
        self._bill = bill
        self._dice = dice

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        fate, reports = self._dice.choice(["ends"] * 4 + ["refuses", "breaks", "stalls"]), self._dice.randrange(3)
        tokens = self._dice.randrange(9)
        call = self._bill.open(self.name, sum(len(message.text) for message in messages) // 4)
        await asyncio.sleep(0)
        if fate == "refuses":
            self._bill.waive(call)
            raise ModelUnavailable("No.")
        for sent in range(1, tokens + 1):
            self._bill.sent(call, sent)
            if reports == 0:
                yield self._bill.calls[call]
            yield f" word{sent}"
            if sent % 3 == 0:
                await asyncio.sleep(0)
        if fate == "stalls":
            await asyncio.Event().wait()
        if fate == "breaks" and tokens:
            raise ModelUnavailable("It broke off.")
        yield self._bill.calls[call] if reports < 2 else Usage(self.name)

    async def close(self) -> None:
        """Nothing is open."""
