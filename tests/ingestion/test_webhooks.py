"""Webhooks: a finished job is reported to its callback URL, signed and at least once, despite failures."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from ragstone.identity.secrets import Secret
from ragstone.ingestion.submit import Upload
from ragstone.ingestion.webhooks import CLAIM_S, DELAYS_S, WebhookDelivery, Webhooks, enqueue, signing_key
from ragstone.resilience.http_client import HttpClient
from ragstone.storage.database import EVERY_TENANT, scoped_insert, unscoped
from ragstone.storage.schema import deliveries, jobs
from ragstone.vocabulary import Job, JobState, Scope
from tests.clocks import Clock
from tests.ingestion.harness import SCOPE, Harness, upload
from tests.receivers import Received, Receiver, receiving, status

SECRET = Secret(b"the installation's secret, 32 bytes")
EPOCH = 1_800_000_000.0


@dataclass
class WebhookSetup:
    """A receiver, a client that sends to it, and a clock that the test moves."""

    harness: Harness
    receiver: Receiver
    http: HttpClient
    clock: Clock

    def worker(self) -> Webhooks:
        return Webhooks(
            self.harness.database,
            SECRET,
            self.http,
            metrics=self.harness.parts.metrics,
            clock=self.clock,
            spread=lambda: 0.5,
        )

    async def finish(self, *uploads: Upload, url: str | None = None, scope: Scope = SCOPE) -> Job:
        """Submit with a callback, and ingest."""
        job = await self.harness.ingestion.submit(scope, uploads, callback_url=url or self.receiver.url())
        return await self.harness.finish(job)

    async def only(self, tenant: str = SCOPE.tenant) -> WebhookDelivery:
        (delivery,) = await self.worker().of(tenant)
        return delivery


@pytest.fixture
async def setup(harness: Harness) -> AsyncIterator[WebhookSetup]:
    async with receiving() as receiver:
        http = HttpClient(allowed_hosts=frozenset({receiver.place}))
        yield WebhookSetup(harness, receiver, http, Clock(EPOCH))
        await http.close()


async def test_a_finished_document_is_reported(setup: WebhookSetup):
    job = await setup.finish(upload("a.md", "zebra"))
    assert await setup.worker().work_once() == 1
    (request,) = setup.receiver.received
    body = json.loads(request.body)
    (file,) = job.files
    assert body["event"] == "document.ready"
    assert body["job_id"] == job.id
    assert body["documents"] == [{"id": file.document_id, "source": "upload:a.md", "state": "ready", "error": None}]
    assert request.headers["content-type"] == "application/json"
    assert request.headers["ragstone-delivery"] == (await setup.only()).id
    assert (await setup.only()).state == "delivered"
    assert await setup.worker().work_once() == 0


async def test_a_failed_document_is_reported_with_its_reason(setup: WebhookSetup):
    await setup.finish(upload("a.md", " "))
    await setup.worker().work_once()
    body = json.loads(setup.receiver.received[0].body)
    assert body["event"] == "document.failed"
    assert body["documents"][0]["error"] == "a.md is empty."


async def test_a_job_of_several_documents_is_reported_once(setup: WebhookSetup):
    await setup.finish(upload("a.md", "zebra"), upload("b.md", " "))
    await setup.worker().work_once()
    (request,) = setup.receiver.received
    body = json.loads(request.body)
    assert body["event"] == "job.finished"
    assert [each["state"] for each in body["documents"]] == ["ready", "failed"]
    assert body["counts"] == {"total": 2, "done": 1, "skipped": 0, "failed": 1}


async def test_unchanged_bytes_are_reported_too(setup: WebhookSetup):
    await setup.finish(upload("a.md", "zebra"))
    await setup.finish(upload("a.md", "zebra"))
    await setup.worker().work_once()
    assert [json.loads(each.body)["event"] for each in setup.receiver.received] == ["document.ready"] * 2


async def test_a_job_without_a_callback_url_sends_nothing(setup: WebhookSetup):
    await setup.harness.ingest(upload("a.md", "zebra"))
    assert await setup.worker().work_once() == 0


def valid(request: Received, key: str) -> bool:
    """Whether a receiver accepts the signature of a request."""
    fields = dict(part.split("=", 1) for part in request.headers["ragstone-signature"].split(","))
    expected = hmac.new(key.encode(), fields["t"].encode() + b"." + request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, fields["v1"]) and fields["t"] == str(int(EPOCH))


async def test_the_receiver_can_check_who_sent_it_and_when(setup: WebhookSetup):
    await setup.finish(upload("a.md", "zebra"))
    await setup.worker().work_once()
    (request,) = setup.receiver.received
    assert valid(request, signing_key(SECRET, SCOPE.tenant))
    assert not valid(request, signing_key(SECRET, "another"))
    assert not valid(request, signing_key(Secret(b"another installation"), SCOPE.tenant))


async def test_a_failure_is_tried_again_ever_later_and_then_given_up(setup: WebhookSetup):
    setup.receiver.answers = [status(500)]
    await setup.finish(upload("a.md", "zebra"))
    assert await setup.worker().work_once() == 1
    for delay_s in DELAYS_S:
        assert (await setup.only()).state == "pending"
        setup.clock.now += delay_s - 1
        assert await setup.worker().work_once() == 0
        setup.clock.now += 1
        assert await setup.worker().work_once() == 1
    dead = await setup.only()
    assert (dead.state, dead.attempts, dead.error) == ("dead", 8, "The receiver answered with status 500.")
    setup.clock.now += 1e9
    assert await setup.worker().work_once() == 0
    assert len({each.headers["ragstone-delivery"] for each in setup.receiver.received}) == 1


async def test_a_receiver_that_comes_back_gets_it(setup: WebhookSetup):
    setup.receiver.answers = [status(503), status(200, body=b"ok")]
    await setup.finish(upload("a.md", "zebra"))
    await setup.worker().work_once()
    setup.clock.now += DELAYS_S[0]
    await setup.worker().work_once()
    assert ((await setup.only()).state, (await setup.only()).attempts) == ("delivered", 2)


async def test_a_receiver_that_is_gone_for_good_is_left_alone(setup: WebhookSetup):
    setup.receiver.answers = [status(410)]
    await setup.finish(upload("a.md", "zebra"))
    await setup.worker().work_once()
    assert (await setup.only()).state == "dead"


async def test_a_redirect_is_a_failure_and_not_followed(setup: WebhookSetup):
    async with receiving() as elsewhere:
        setup.receiver.answers = [status(307, f"location: {elsewhere.url()}\r\n")]
        await setup.finish(upload("a.md", "zebra"))
        await setup.worker().work_once()
        assert elsewhere.received == []
    assert "redirect" in str((await setup.only()).error)


async def test_a_host_that_has_become_private_gets_nothing(setup: WebhookSetup):
    async with receiving() as private:
        await setup.finish(upload("a.md", "zebra"), url=private.url())
        await setup.worker().work_once()
        assert private.received == []
    delivery = await setup.only()
    assert delivery.state == "pending"
    assert "127.0.0.1" not in str(delivery.error)


async def test_workers_side_by_side_send_each_once(setup: WebhookSetup):
    for number in range(10):
        await setup.finish(upload(f"{number}.md", f"zebra {number}"))
    await asyncio.gather(*(setup.worker().work_once() for _ in range(4)))
    sent = [each.headers["ragstone-delivery"] for each in setup.receiver.received]
    assert len(sent) == len(set(sent)) == 10


async def test_a_delivery_of_a_dead_worker_is_sent_again_with_the_same_id(setup: WebhookSetup):
    await setup.finish(upload("a.md", "zebra"))
    arrived = asyncio.Event()
    setup.receiver.on_request = arrived.set
    setup.receiver.answers, setup.receiver.endless, setup.receiver.pause_s = [b"HTTP/1.1 200 OK\r\n"], b"x: y\r\n", 0.1
    dying = asyncio.create_task(setup.worker().work_once())
    await arrived.wait()
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    setup.receiver.answers, setup.receiver.endless = [status(200)], b""
    assert await setup.worker().work_once() == 0
    setup.clock.now += CLAIM_S
    assert await setup.worker().work_once() == 1
    first, second = setup.receiver.received
    assert first.headers["ragstone-delivery"] == second.headers["ragstone-delivery"]


async def test_a_delivery_that_ends_every_worker_is_given_up(setup: WebhookSetup):
    async with setup.harness.database.write(SCOPE) as connection:
        await connection.execute(scoped_insert(deliveries, SCOPE), waiting(1, setup) | {"attempts": len(DELAYS_S) + 1})
    await setup.worker().work_once()
    assert ((await setup.only()).state, setup.receiver.received) == ("dead", [])


async def test_a_tenant_with_many_callbacks_does_not_hold_up_another(setup: WebhookSetup):
    other = Scope("them", "docs")
    async with setup.harness.database.write(EVERY_TENANT) as connection:
        await connection.execute(scoped_insert(deliveries, SCOPE), [waiting(number, setup) for number in range(40)])
        await connection.execute(scoped_insert(deliveries, other), [waiting(99, setup)])
    await setup.worker().work_once()
    assert (await setup.only("them")).state == "delivered"


def waiting(number: int, setup: WebhookSetup) -> dict[str, object]:
    return {
        "id": f"{number:032}",
        "url": setup.receiver.url(),
        "body": json.dumps({"event": "document.ready", "job_id": "j"}),
        "state": "pending",
        "attempts": 0,
        "not_before": float(number),
        "created_at": datetime.now(UTC),
    }


async def test_a_tenant_sees_only_its_own(setup: WebhookSetup):
    await setup.finish(upload("a.md", "zebra"))
    assert await setup.worker().of("them") == []


async def test_an_uncommitted_job_is_not_reported(setup: WebhookSetup):
    job = await setup.harness.ingest(upload("a.md", "zebra"))
    with pytest.raises(ZeroDivisionError):
        await finish_and_fail(setup, job)
    assert await setup.worker().of(SCOPE.tenant) == []


async def finish_and_fail(setup: WebhookSetup, job: Job) -> None:
    async with setup.harness.database.write(SCOPE) as connection:
        row = {
            "id": "j" * 32,
            "callback_url": setup.receiver.url(),
            "state": JobState.DONE,
            "created_at": job.created_at,
        }
        counts = dict.fromkeys(("total", "done", "skipped", "removed", "failed", "chunks"), 0)
        await connection.execute(scoped_insert(jobs, SCOPE), row | counts)
        await enqueue(connection, SCOPE, "j" * 32)
        assert (await connection.execute(unscoped(deliveries))).first() is not None
        raise ZeroDivisionError


async def test_finished_deliveries_are_deleted_after_a_while_and_pending_ones_are_not(setup: WebhookSetup):
    await setup.finish(upload("a.md", "zebra"))
    await setup.worker().work_once()
    setup.receiver.answers = [status(500)]
    await setup.finish(upload("b.md", "yak"))
    await setup.worker().work_once()
    moment = datetime.fromtimestamp(EPOCH, UTC) + timedelta(days=30)
    assert await setup.worker().expire("them", moment) == 0
    assert await setup.worker().expire(SCOPE.tenant, moment) == 1
    assert (await setup.only()).state == "pending"


async def test_sending_goes_on_until_it_is_stopped(setup: WebhookSetup):
    stop, arrived = asyncio.Event(), asyncio.Event()
    setup.receiver.on_request = arrived.set
    running = asyncio.create_task(setup.worker().run(stop))
    await setup.finish(upload("a.md", "zebra"))
    await asyncio.wait_for(arrived.wait(), 10)
    stop.set()
    await running
    assert (await setup.only()).state == "delivered"
