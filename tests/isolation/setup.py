"""Two customers of one installation who own one of everything, and every kind of credential.

Everything a customer owns carries its mark. A mark where it does not belong is a leak.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
from fastapi import FastAPI
from sqlalchemy import select

from ragstone.app import create_app
from ragstone.billing.plans import Plan
from ragstone.identity.api_keys import NewKey
from ragstone.identity.source_links import SourceLinks
from ragstone.identity.tenants import TenantChange, TenantState
from ragstone.identity.users import NewUser
from ragstone.ingestion.submit import Upload
from ragstone.principals import LOCAL, SECRET_KEY_PERMISSIONS, Permission, Role
from ragstone.storage.database import EVERY_TENANT, scoped_update
from ragstone.storage.schema import api_keys, metadata
from ragstone.vocabulary import Scope
from tests.platforms import OpenedPlatform, small_platform

MARKS = {"a": "wombat2c9a", "b": "quokka7f3b", "suspended": "numbat51d0"}
PASSWORD = "correct horse battery"
PLAN = "wide"
QUESTION = "How many tonnes does the harbour crane lift?"
KEPT_BY_THE_DOOR = {"last_used_at"}  # columns that a valid credential's own use changes
ALL_PERMISSIONS = SECRET_KEY_PERMISSIONS
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Customer:
    """A tenant, the ids of what it owns by kind, and the headers of its credentials by name."""

    tenant: str
    mark: str
    ids: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, Headers] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"https://{self.mark}.example"


@dataclass(frozen=True)
class Stand:
    """The platform, its application, and who is on it."""

    platform: OpenedPlatform
    app: FastAPI
    a: Customer
    b: Customer
    refused: dict[str, Headers]
    operator: Headers

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://127.0.0.1:8000")

    async def belongings(self, customer: Customer) -> dict[str, list[str]]:
        """All rows of a customer, by table, and the chunks the index holds; read past the code under test."""
        found = {}
        async with self.platform.storage.database.read(EVERY_TENANT) as connection:
            for table in metadata.sorted_tables:
                if "tenant" not in table.c:
                    continue
                columns = [column for column in table.c if column.name not in KEPT_BY_THE_DOOR]
                rows = await connection.execute(select(*columns).where(table.c.tenant == customer.tenant))
                found[table.name] = sorted(map(repr, rows))
        for collection in ("default", customer.ids["collection"]):
            count = await self.platform.engines.index.count(Scope(customer.tenant, collection))
            found[f"points of {collection}"] = [str(count)]
        return found


@asynccontextmanager
async def standing(folder: Path, **settings: object) -> AsyncIterator[Stand]:
    """An installation with both customers, and its application running."""
    async with small_platform(folder, **settings) as platform:
        await platform.billing.plans.save("local", Plan(id=PLAN, name="Wide", requests_per_hour=1_000_000))
        a, b = [await customer(platform, name) for name in ("a", "b")]
        refused = await _refused(platform, a)
        operator = await _operator(platform)
        app = create_app(platform.services)
        async with app.router.lifespan_context(app):
            yield Stand(platform, app, a, b, refused, operator)


async def customer(platform: OpenedPlatform, name: str) -> Customer:
    """A tenant with one of everything."""
    mark = MARKS[name]
    made = Customer(f"{mark}-inc", mark)
    made.ids.update(tenant=made.tenant, collection=f"{mark}-books")
    await platform.identity.tenants.create("local", made.tenant, name=f"{mark} Ltd", plan=PLAN)
    await _people(platform, made)
    await _keys(platform, made)
    await _documents(platform, made)
    await _rows(platform, made)
    scope = Scope(made.tenant)
    widget = await platform.tenancy.widgets.create("local", scope, name=f"{mark} chat", settings={"greeting": mark})
    made.ids["widget"] = widget.id
    return made


async def _people(platform: OpenedPlatform, made: Customer) -> None:
    for name, role in {"owner": Role.OWNER, "viewer": Role.VIEWER, "user": Role.EDITOR}.items():
        email = f"{name}@{made.mark}.example"
        user = await platform.identity.users.create(
            LOCAL, made.tenant, NewUser(email=email, password=PASSWORD, role=role, name=f"{made.mark} {name}")
        )
        session, token = await platform.identity.sessions.login(email, PASSWORD, address="127.0.0.1")
        made.ids[name], made.ids[f"session of {name}"] = user.id, session.id
        made.credentials[f"session of {name}"] = {"authorization": f"Bearer {token}"}
    made.ids["email"] = f"user@{made.mark}.example"
    made.ids["new email"] = f"new@{made.mark}.example"
    another, _ = await platform.identity.sessions.login(made.ids["email"], PASSWORD, address="127.0.0.1")
    made.ids["session"] = another.id


async def _keys(platform: OpenedPlatform, made: Customer) -> None:
    keys = platform.identity.api_keys
    wanted = {
        "secret key": NewKey(name=f"{made.mark} all", permissions=ALL_PERMISSIONS),
        "key for chat": NewKey(name=f"{made.mark} chat", permissions=frozenset({Permission.CHAT})),
        "publishable key": NewKey(kind="publishable", name=f"{made.mark} site", domains=[made.origin]),
    }
    for name, new in wanted.items():
        key, shown = await keys.create(LOCAL, made.tenant, new)
        made.ids[name] = key.id
        made.credentials[name] = {"x-api-key": shown}
    made.credentials["publishable key"] = {**made.credentials["publishable key"], "origin": made.origin}
    victim, _ = await keys.create(LOCAL, made.tenant, NewKey(name=f"{made.mark} spare"))
    made.ids["key"] = victim.id


async def _documents(platform: OpenedPlatform, made: Customer) -> None:
    """The same words for everybody but the mark, so that each question of one would find the other's too."""
    text = f"# Crane {made.mark}\n\nThe harbour crane lifts forty tonnes, says {made.mark}.\n"
    for collection in ("default", made.ids["collection"]):
        scope = Scope(made.tenant, collection)
        upload = Upload(
            f"upload:{made.mark}.md", f"Crane {made.mark}", text.encode(), "text/markdown", {"project": made.mark}
        )
        job = await platform.corpus.ingestion.submit(scope, [upload])
        await platform.corpus.ingestion.work(until_job=(scope, job.id))
        (file,) = job.files
        assert file.document_id
        made.ids.setdefault("job", job.id)
        made.ids.setdefault("document", file.document_id)
    made.ids["source link"] = _token(platform, Scope(made.tenant), made.ids["document"])


def _token(platform: OpenedPlatform, scope: Scope, document_id: str) -> str:
    """What a link to a passage ends with; it is all that a reader needs."""
    links = SourceLinks(platform.identity.secret, "https://rag.example")
    link = links.link(scope.tenant, scope.collection, document_id, 1, 0, 5)
    assert link
    return link.rpartition("/")[2]


async def _rows(platform: OpenedPlatform, made: Customer) -> None:
    """A conversation with a turn and feedback, a line of the bill, a callback, a record: written as they are kept."""
    now = datetime.now(UTC)
    mark, owner = made.mark, {"tenant": made.tenant, "collection": "default"}
    kinds = ("conversation", "turn", "visit", "turn of the visit", "feedback", "usage", "delivery")
    made.ids.update({kind: secrets.token_hex(16) for kind in kinds})
    ids = made.ids
    tokens = {"model": mark, "input_tokens": 1, "output_tokens": 2, "cached_tokens": 0}

    def conversation(kind: str, by: str) -> dict[str, object]:
        row = {"id": ids[kind], **owner, "owner": by, "title": mark}
        return row | {"created_at": now, "updated_at": now}

    def turn(kind: str, of: str) -> dict[str, object]:
        row = {"id": ids[kind], "tenant": made.tenant, "conversation_id": ids[of], "ordinal": 0, "citations": []}
        row |= {"question": f"Who is {mark}?", "condensed": mark, "answer": f"{mark} lifts.", "created_at": now}
        return row | {"abstained": False, "degraded": [], **tokens}

    feedback = {"id": ids["feedback"], **owner, "conversation_id": ids["conversation"], "turn_id": ids["turn"]}
    usage = {"id": ids["usage"], "tenant": made.tenant, "at": now, "kind": "chat", "state": "settled"}
    usage |= {"principal": f"key:{ids['key']}", "conversation_id": ids["conversation"], **tokens, "settled_at": now}
    delivery = {"id": ids["delivery"], "tenant": made.tenant, "url": f"https://{mark}.example/hook", "error": None}
    told = json.dumps({"event": mark, "job_id": ids["job"]})
    rows: list[tuple[str, dict[str, object]]] = [
        ("conversations", conversation("conversation", f"user:{ids['user']}")),
        ("conversations", conversation("visit", f"key:{ids['publishable key']}")),
        ("turns", turn("turn", "conversation")),
        ("turns", turn("turn of the visit", "visit")),
        ("feedback", feedback | {"author": f"user:{ids['user']}", "rating": 1, "comment": mark, "created_at": now}),
        (
            "usage_records",
            usage | {"embedding_tokens": 3, "cost": 4, "overage": False, "estimated": False, "expires_at": 0.0},
        ),
        (
            "deliveries",
            delivery
            | {
                "body": told,
                "state": "delivered",
                "attempts": 1,
                "not_before": 0.0,
                "created_at": now,
                "finished_at": now,
            },
        ),
    ]
    async with platform.storage.database.write(made.tenant) as connection:
        for table, row in rows:
            await connection.execute(metadata.tables[table].insert(), [row])
    await platform.identity.audit.note(
        made.tenant, actor=f"user:{ids['user']}", action="settings.changed", target=mark, details={"said": mark}
    )


async def _refused(platform: OpenedPlatform, a: Customer) -> dict[str, Headers]:
    """Credentials that were good once, or never, by why they are not."""
    keys = platform.identity.api_keys
    expired, of_expired = await keys.create(LOCAL, a.tenant, NewKey(name="expired", permissions=ALL_PERMISSIONS))
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with platform.storage.database.write(a.tenant) as connection:
        ending = scoped_update(api_keys, a.tenant).where(api_keys.c.id == expired.id).values(expires_at=past)
        await connection.execute(ending)
    revoked, of_revoked = await keys.create(LOCAL, a.tenant, NewKey(name="revoked", permissions=ALL_PERMISSIONS))
    await keys.revoke(LOCAL, a.tenant, revoked.id)
    session, of_ended = await platform.identity.sessions.login(f"owner@{a.mark}.example", PASSWORD, address="127.0.0.1")
    await platform.identity.sessions.end("local", a.tenant, session.id)
    gone = f"{MARKS['suspended']}-inc"
    await platform.identity.tenants.create("local", gone, name="Suspended", plan=PLAN)
    _, of_suspended = await keys.create(LOCAL, gone, NewKey(permissions=ALL_PERMISSIONS))
    await platform.identity.tenants.change("local", gone, TenantChange(state=TenantState.SUSPENDED))
    shown = {"expired": of_expired, "revoked": of_revoked, "ended session": of_ended, "suspended": of_suspended}
    unknown = of_revoked[:-1] + ("0" if of_revoked[-1] != "0" else "1")
    return {name: {"x-api-key": key} for name, key in {**shown, "unknown": unknown}.items()}


async def _operator(platform: OpenedPlatform) -> Headers:
    """The session of somebody who runs the installation, in a tenant of its own."""
    await platform.identity.tenants.create("local", "provider", name="Provider", plan=PLAN)
    email = "operator@provider.example"
    await platform.identity.users.create(LOCAL, "provider", NewUser(email=email, password=PASSWORD, role=Role.OPERATOR))
    _, token = await platform.identity.sessions.login(email, PASSWORD, address="127.0.0.1")
    return {"authorization": f"Bearer {token}"}
