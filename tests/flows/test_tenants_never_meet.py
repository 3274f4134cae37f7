"""No customer sees, changes or notices what is another's: every route, every name, every credential.

The routes come from the application's router and the names they take from its description, so what is added later is
attacked too; `tests/isolation/table.py` says what each route needs. `test_the_isolation_suite_can_fail.py` takes out
one filter after another and expects these tests to notice.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

import ragstone
from ragstone.principals import Permission
from ragstone.storage.schema import metadata
from tests.isolation.attack import apart, leaks, send, shape, shown, unused
from tests.isolation.setup import Customer, Headers, Stand, standing
from tests.isolation.table import APART, TABLE, Line, Slot, slots
from tests.postgres import APP, PostgresServer
from tests.redis_server import RedisServer
from tests.routes import addresses

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOURCE = os.environ.get("RAGSTONE_TEST_SOURCE")  # set by the controls: the altered copy that has to be under test

WITHOUT_ROW_SECURITY = "RAGSTONE_TEST_WITHOUT_ROW_SECURITY" in os.environ  # set by the controls too


@pytest.fixture(scope="module", params=["alone", "served"])
def backends(request: pytest.FixtureRequest) -> Callable[[], dict[str, object]]:
    """Settings of an empty installation each: SQLite in one process, or PostgreSQL and Redis."""
    if request.param == "alone":
        return dict
    postgres: PostgresServer = request.getfixturevalue("postgres")
    redis: RedisServer = request.getfixturevalue("redis_of_this_run")

    def served() -> dict[str, object]:
        assert redis.command("FLUSHALL") == b"+OK"
        database = postgres.migrated_database()
        if WITHOUT_ROW_SECURITY:
            tables = [table.name for table in metadata.sorted_tables]
            postgres.execute(*(f"ALTER TABLE {each} DISABLE ROW LEVEL SECURITY" for each in tables), database=database)
        url = postgres.url(database, user=APP)
        return {"database": {"url": url}, "redis": {"url": redis.url, "timeout_s": 1.0}}

    return served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(
    tmp_path_factory: pytest.TempPathFactory, backends: Callable[[], dict[str, object]]
) -> AsyncIterator[Stand]:
    """Both customers; nothing of b's is ever changed here, which is what the tests say."""
    async with standing(tmp_path_factory.mktemp("stand") / "data", **backends()) as open_stand:
        yield open_stand


@pytest_asyncio.fixture(loop_scope="module")
async def own_stand(tmp_path: Path, backends: Callable[[], dict[str, object]]) -> AsyncIterator[Stand]:
    """Both customers, for what b does to its own."""
    async with standing(tmp_path / "data", **backends()) as open_stand:
        yield open_stand


def described(stand: Stand) -> dict[str, list[Slot]]:
    """The slots of each route that the application describes."""
    openapi = stand.app.openapi()
    schemas = openapi["components"]["schemas"]
    return {
        f"{method.upper()} {path}": list(slots(operation, schemas))
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }


def attacked(stand: Stand) -> list[tuple[Line, Slot, str]]:
    """Each line with each place where it takes the name of something that a tenant owns, and the kind of that."""
    places = described(stand)
    return [
        (line, slot, kind) for line in TABLE for slot in places.get(str(line), ()) if (kind := line.kind(slot.name))
    ]


def the_ones_of_a(stand: Stand) -> dict[str, Headers]:
    return stand.a.credentials


async def test_the_source_under_test_is_the_one_that_is_meant():
    if SOURCE:
        assert Path(ragstone.__file__).is_relative_to(SOURCE)


async def test_every_route_has_a_line_and_every_line_a_route(stand: Stand):
    routes = {
        f"{address.method} {address.path}"
        for address in addresses(stand.app)
        if address.method != "HEAD" and not address.path.startswith(tuple(APART))
    }
    lines = [str(line) for line in TABLE]
    assert sorted(lines) == sorted(routes), "tests/isolation/table.py needs a line for each route, and no other"


async def test_every_name_that_a_route_takes_is_known_to_be_of_some_kind(stand: Stand):
    lines = {str(line): line for line in TABLE}
    unknown = []
    for route, places in described(stand).items():
        for slot in places:
            try:
                lines[route].kind(slot.name)
            except KeyError:
                unknown.append(f"{route}: {'.'.join(slot.keys)}")
    assert not unknown, "say in tests/isolation/table.py what these refer to"
    assert len(attacked(stand)) > 25


async def test_a_credential_that_is_good_now_is_needed(stand: Stand):
    wrong = []
    async with stand.client() as client:
        for line in TABLE:
            if line.needs is None:
                continue
            bodies = set()
            for name, headers in {**stand.refused, "none": {}}.items():
                response = await client.request(line.method, _anywhere(line), headers=dict(headers), content=b"{broken")
                if response.status_code != 401 or leaks(shown(response), stand.b):
                    wrong.append(f"{line} by {name}: {response.status_code}")
                if name != "none":
                    told = response.json()
                    bodies.add(told["error"]["message"] if "error" in told else told["detail"])
            if len(bodies) != 1:
                wrong.append(f"{line} tells refused credentials apart: {bodies}")
    assert not wrong


async def test_a_route_asks_for_its_permission_before_it_reads(stand: Stand):
    wrong = []
    held = {
        "publishable key": {Permission.WIDGET},
        "key for chat": {Permission.CHAT},
        "session of viewer": {Permission.CHAT, Permission.READ},
        "session of user": {Permission.CHAT, Permission.READ, Permission.WRITE, Permission.CONVERSATIONS},
        "secret key": set(Permission) - {Permission.OPERATE, Permission.WIDGET},
        "session of owner": set(Permission) - {Permission.OPERATE, Permission.WIDGET},
    }
    async with stand.client() as client:
        for line in TABLE:
            for name, permissions in held.items():
                if line.needs is None or line.needs in permissions:
                    continue
                headers = dict(stand.a.credentials[name])
                response = await client.request(line.method, _anywhere(line), headers=headers, content=b"{broken")
                if response.status_code != 403:
                    wrong.append(f"{line} by {name}: {response.status_code}")
    assert not wrong


async def test_no_route_shows_a_anything_of_bs_unasked(stand: Stand):
    """Before the attack below, in which a gives things of its own the names that b's have."""
    wrong = []
    async with stand.client() as client:
        for line in TABLE:
            if line.method != "GET":
                continue
            for name, headers in the_ones_of_a(stand).items():
                for query in ({}, {"all": "true"}):  # what an operator may ask for
                    asked = replace(line, query={**line.query, **query})
                    response = await send(client, asked, stand.a, headers)
                    if found := leaks(shown(response), stand.b):
                        wrong.append(f"{line} by {name} of a shows {found}")
    assert not wrong


async def test_what_is_anothers_is_as_if_it_were_not_there(stand: Stand):
    """With each credential of a, a name of b is answered as an unused name is, and b keeps all it has."""
    wrong: list[str] = []
    before = await stand.belongings(stand.b)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        async with stand.client() as client:
            for line, slot, kind in attacked(stand):
                if line.needs is Permission.OPERATE:
                    continue  # an operator may; no other role gets that far
                foreign, unused_name = stand.b.ids[kind], unused(kind)
                for name, headers in the_ones_of_a(stand).items():
                    case = f"{line} with {'.'.join(slot.keys)} by {name} of a"
                    theirs = await send(client, line, stand.a, headers, slot=slot, value=foreign)
                    none = await send(client, line, stand.a, headers, slot=slot, value=unused_name)
                    one, other = (
                        shape(theirs, foreign, moves=line.moves),
                        shape(none, unused_name, moves=line.moves),
                    )
                    if one != other:
                        wrong.append(f"{case}: {apart(one, other)}")
                    if theirs.status_code >= 500:
                        wrong.append(f"{case}: {theirs.status_code}")
                    if found := leaks(shown(theirs), stand.b, but=foreign):
                        wrong.append(f"{case}: shows {found}")
                if line.method != "GET" and (changed := _changed(before, await stand.belongings(stand.b))):
                    wrong.append(f"{line} with {'.'.join(slot.keys)} changed b's {changed}")
                    before = await stand.belongings(stand.b)
    assert not wrong, "\n".join(wrong)
    sent = [stand.b.ids[kind] for _, _, kind in attacked(stand)]
    said = "\n".join(map(str, logs))
    for name in sent:
        said = said.replace(name, "<sent>")
    assert not leaks(said, stand.b)


async def test_questions_of_one_are_not_answered_from_the_other(stand: Stand):
    """Both own the same words; b asks first, so that whatever is kept for b would serve a."""
    asking = [line for line in TABLE if line.needs in {Permission.CHAT, Permission.WIDGET} and line.shows]
    assert asking
    for customer in (stand.a, stand.b):  # other attacks have set up a's, which then asks elsewhere
        await stand.platform.tenancy.tenant_settings.remove("test", customer.tenant)
    async with stand.client() as client:
        for line in asking:
            for asker, stranger in ((stand.b, stand.a), (stand.a, stand.b), (stand.b, stand.a)):
                response = await send(client, line, asker, credential(stand, line, asker))
                assert response.is_success, response.text
                assert asker.mark in response.text, line
                assert not leaks(shown(response), stranger), line


async def test_a_reader_sees_no_conversation_of_another_reader(stand: Stand):
    """Within a tenant too, for those who may not see everybody's."""
    wrong = []
    async with stand.client() as client:
        for line, slot, kind in attacked(stand):
            if kind not in {"conversation", "turn", "session"} or line.needs is Permission.OPERATE:
                continue
            headers = stand.a.credentials["session of viewer"]
            theirs = await send(client, line, stand.a, headers, slot=slot, value=stand.a.ids[kind])
            none = await send(client, line, stand.a, headers, slot=slot, value=unused(kind))
            if shape(theirs, stand.a.ids[kind], moves=line.moves) != shape(none, unused(kind), moves=line.moves):
                wrong.append(f"{line} with {'.'.join(slot.keys)}: {theirs.status_code} is not {none.status_code}")
        for line in TABLE:
            if line.method == "GET" and line.needs is Permission.READ and "conversation_id" not in line.path:
                response = await send(client, line, stand.a, stand.a.credentials["session of viewer"])
                if stand.a.ids["conversation"] in response.text:
                    wrong.append(f"{line} lists it")
    assert not wrong


async def test_a_publishable_key_answers_pages_of_its_own_domains_only(stand: Stand):
    wrong = []
    key = {"x-api-key": stand.a.credentials["publishable key"]["x-api-key"]}
    async with stand.client() as client:
        for line in TABLE:
            if line.needs is not Permission.WIDGET:
                continue
            for headers in (key, *({**key, "origin": origin} for origin in (stand.b.origin, "null", "https://other"))):
                response = await send(client, line, stand.a, headers)
                if response.status_code != 403:
                    wrong.append(f"{line} from {headers.get('origin')}: {response.status_code}")
    assert not wrong


async def test_metrics_name_no_tenant(stand: Stand):
    for customer in (stand.a, stand.b):
        assert not leaks(stand.platform.operations.metrics.render().decode(), customer)


async def test_its_owner_gets_all_of_it(own_stand: Stand):
    """The control: with b's own credential every route works and shows b's mark, so the others could have failed."""
    wrong = []
    b = own_stand.b
    async with own_stand.client() as client:
        for line in TABLE:
            response = await send(client, line, b, credential(own_stand, line, b))
            client.cookies.clear()  # that of the login
            if not response.is_success:
                wrong.append(f"{line}: {response.status_code} {response.text[:300]}")
            elif line.shows and b.mark not in response.text.lower():
                wrong.append(f"{line} does not show {b.mark}: {response.text[:300]}")
    assert not wrong, "\n".join(wrong)


def credential(stand: Stand, line: Line, customer: Customer) -> Headers:
    """What the owner of the customer's things calls this route with."""
    if line.needs is None:
        return {}
    if line.needs is Permission.OPERATE:
        return stand.operator
    by = line.by or ("publishable key" if line.needs is Permission.WIDGET else "secret key")
    return customer.credentials[by]


def _anywhere(line: Line) -> str:
    return line.path.replace("{", "").replace("}", "")


def _changed(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    return [name for name in after if after[name] != before[name]]
