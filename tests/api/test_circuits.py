"""Circuits over HTTP: for operators only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from ragstone.resilience.breaker import State
from tests.api.people import Installation, installation

CIRCUITS = "/api/operate/circuits"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "data") as made:
        yield made


async def test_the_operator_sees_how_each_server_does(place):
    async def works() -> str:
        return "an answer"

    async def fails() -> str:
        raise OSError

    for _ in range(60):
        await place.platform.operations.policies.guard("good.example.com").call(works)
        with suppress(Exception):
            await place.platform.operations.policies.guard("bad.example.com").call(fails)
    assert place.platform.operations.policies.states()[0].state is State.OPEN
    async with place.calling(await place.token("root@example.org")) as root:
        response = await root.get(CIRCUITS)
    bad, good = response.json()["circuits"]
    assert (bad["name"], bad["state"], bad["opened_s_ago"] is None) == ("bad.example.com", "open", False)
    assert (good["name"], good["state"], good["opened_s_ago"]) == ("good.example.com", "closed", None)
    assert (good["recent_failures"], good["running"]) == (0, 0)


async def test_a_tenant_s_owner_is_not_shown_which_servers_others_use(place):
    await place.platform.operations.policies.guard("models.rival.example").call(_nothing)
    async with place.calling(await place.token("owner@acme.example")) as owner:
        response = await owner.get(CIRCUITS)
    assert (response.status_code, "rival" in response.text) == (403, False)


async def test_an_editor_lacks_the_permission(place):
    _, key = await place.key()
    async with place.calling(key) as program:
        assert (await program.get(CIRCUITS)).status_code == 403


async def _nothing() -> None:
    return None
