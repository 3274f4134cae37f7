"""Whoever asked for it is told when a job is finished: signed, at least once, whatever fails on the way."""

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
from tests.ingestion.workbench import SCOPE, Stand, upload
from tests.receivers import Received, Receiver, receiving, status

SECRET = Secret(b"the installation's secret, 32 bytes")
EPOCH = 1_800_000_000.0


@dataclass
class Post:
    """A receiver, what sends to it, and a clock that a test moves."""

    stand: Stand
    receiver: Receiver
    http: HttpClient
    clock: Clock

    def worker(self) -> Webhooks:
        return Webhooks(
            self.stand.database,
            SECRET,
            self.http,
            metrics=self.stand.parts.metrics,
            clock=self.clock,
            spread=lambda: 0.5,
        )

    async def finish(self, *uploads: Upload, url: str | None = None, scope: Scope = SCOPE) -> Job:
        """Submit with a callback, and ingest."""
        job = await self.stand.ingestion.submit(scope, uploads, callback_url=url or self.receiver.url())
        return await self.stand.finish(job)

    async def only(self, tenant: str = SCOPE.tenant) -> WebhookDelivery:
        (delivery,) = await self.worker().of(tenant)
        return delivery


@pytest.fixture
async def post(stand: Stand) -> AsyncIterator[Post]:
    async with receiving() as receiver:
        http = HttpClient(allowed_hosts=frozenset({receiver.place}))
        yield Post(stand, receiver, http, Clock(EPOCH))
        await http.close()


async def test_a_finished_document_is_told_of(post: Post):
    job = await post.finish(upload("a.md", "zebra"))
    assert await post.worker().work_once() == 1
    (request,) = post.receiver.received
    body = json.loads(request.body)
    (file,) = job.files
    assert body["event"] == "document.ready"
    assert body["job_id"] == job.id
    assert body["documents"] == [{"id": file.document_id, "source": "upload:a.md", "state": "ready", "error": None}]
    assert request.headers["content-type"] == "application/json"
    assert request.headers["ragstone-delivery"] == (await post.only()).id
    assert (await post.only()).state == "delivered"
    assert await post.worker().work_once() == 0


async def test_a_document_that_failed_is_told_of_with_its_reason(post: Post):
    await post.finish(upload("a.md", " "))
    await post.worker().work_once()
    body = json.loads(post.receiver.received[0].body)
    assert body["event"] == "document.failed"
    assert body["documents"][0]["error"] == "a.md is empty."


async def test_a_job_of_several_documents_is_told_of_once(post: Post):
    await post.finish(upload("a.md", "zebra"), upload("b.md", " "))
    await post.worker().work_once()
    (request,) = post.receiver.received
    body = json.loads(request.body)
    assert body["event"] == "job.finished"
    assert [each["state"] for each in body["documents"]] == ["ready", "failed"]
    assert body["counts"] == {"total": 2, "done": 1, "skipped": 0, "failed": 1}


async def test_unchanged_bytes_are_told_of_too(post: Post):
    await post.finish(upload("a.md", "zebra"))
    await post.finish(upload("a.md", "zebra"))
    await post.worker().work_once()
    assert [json.loads(each.body)["event"] for each in post.receiver.received] == ["document.ready"] * 2


async def test_nobody_is_told_who_did_not_ask(post: Post):
    await post.stand.ingest(upload("a.md", "zebra"))
    assert await post.worker().work_once() == 0


def valid(request: Received, key: str) -> bool:
    """What a receiver checks."""
    fields = dict(part.split("=", 1) for part in request.headers["ragstone-signature"].split(","))
    expected = hmac.new(key.encode(), fields["t"].encode() + b"." + request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, fields["v1"]) and fields["t"] == str(int(EPOCH))


async def test_the_receiver_can_check_who_sent_it_and_when(post: Post):
    await post.finish(upload("a.md", "zebra"))
    await post.worker().work_once()
    (request,) = post.receiver.received
    assert valid(request, signing_key(SECRET, SCOPE.tenant))
    assert not valid(request, signing_key(SECRET, "another"))
    assert not valid(request, signing_key(Secret(b"another installation"), SCOPE.tenant))


async def test_a_failure_is_tried_again_ever_later_and_then_given_up(post: Post):
    post.receiver.answers = [status(500)]
    await post.finish(upload("a.md", "zebra"))
    assert await post.worker().work_once() == 1
    for delay_s in DELAYS_S:
        assert (await post.only()).state == "pending"
        post.clock.now += delay_s - 1
        assert await post.worker().work_once() == 0
        post.clock.now += 1
        assert await post.worker().work_once() == 1
    dead = await post.only()
    assert (dead.state, dead.attempts, dead.error) == ("dead", 8, "The receiver answered with status 500.")
    post.clock.now += 1e9
    assert await post.worker().work_once() == 0
    assert len({each.headers["ragstone-delivery"] for each in post.receiver.received}) == 1


async def test_a_receiver_that_comes_back_gets_it(post: Post):
    post.receiver.answers = [status(503), status(200, body=b"ok")]
    await post.finish(upload("a.md", "zebra"))
    await post.worker().work_once()
    post.clock.now += DELAYS_S[0]
    await post.worker().work_once()
    assert ((await post.only()).state, (await post.only()).attempts) == ("delivered", 2)


async def test_a_receiver_that_is_gone_for_good_is_left_alone(post: Post):
    post.receiver.answers = [status(410)]
    await post.finish(upload("a.md", "zebra"))
    await post.worker().work_once()
    assert (await post.only()).state == "dead"


async def test_a_redirect_is_a_failure_and_not_followed(post: Post):
    async with receiving() as elsewhere:
        post.receiver.answers = [status(307, f"location: {elsewhere.url()}\r\n")]
        await post.finish(upload("a.md", "zebra"))
        await post.worker().work_once()
        assert elsewhere.received == []
    assert "redirect" in str((await post.only()).error)


async def test_a_host_that_has_become_private_gets_nothing(post: Post):
    async with receiving() as private:
        await post.finish(upload("a.md", "zebra"), url=private.url())
        await post.worker().work_once()
        assert private.received == []
    delivery = await post.only()
    assert delivery.state == "pending"
    assert "127.0.0.1" not in str(delivery.error)


async def test_workers_side_by_side_send_each_once(post: Post):
    for number in range(10):
        await post.finish(upload(f"{number}.md", f"zebra {number}"))
    await asyncio.gather(*(post.worker().work_once() for _ in range(4)))
    sent = [each.headers["ragstone-delivery"] for each in post.receiver.received]
    assert len(sent) == len(set(sent)) == 10


async def test_what_a_worker_that_died_had_in_hand_is_sent_again_under_the_same_id(post: Post):
    await post.finish(upload("a.md", "zebra"))
    arrived = asyncio.Event()
    post.receiver.on_request = arrived.set
    post.receiver.answers, post.receiver.endless, post.receiver.pause_s = [b"HTTP/1.1 200 OK\r\n"], b"x: y\r\n", 0.1
    dying = asyncio.create_task(post.worker().work_once())
    await arrived.wait()
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    post.receiver.answers, post.receiver.endless = [status(200)], b""
    assert await post.worker().work_once() == 0
    post.clock.now += CLAIM_S
    assert await post.worker().work_once() == 1
    first, second = post.receiver.received
    assert first.headers["ragstone-delivery"] == second.headers["ragstone-delivery"]


async def test_what_ends_every_worker_is_given_up(post: Post):
    async with post.stand.database.write(SCOPE) as connection:
        await connection.execute(scoped_insert(deliveries, SCOPE), waiting(1, post) | {"attempts": len(DELAYS_S) + 1})
    await post.worker().work_once()
    assert ((await post.only()).state, post.receiver.received) == ("dead", [])


async def test_a_tenant_with_many_callbacks_does_not_hold_up_another(post: Post):
    other = Scope("them", "docs")
    async with post.stand.database.write(EVERY_TENANT) as connection:
        await connection.execute(scoped_insert(deliveries, SCOPE), [waiting(number, post) for number in range(40)])
        await connection.execute(scoped_insert(deliveries, other), [waiting(99, post)])
    await post.worker().work_once()
    assert (await post.only("them")).state == "delivered"


def waiting(number: int, post: Post) -> dict[str, object]:
    return {
        "id": f"{number:032}",
        "url": post.receiver.url(),
        "body": json.dumps({"event": "document.ready", "job_id": "j"}),
        "state": "pending",
        "attempts": 0,
        "not_before": float(number),
        "created_at": datetime.now(UTC),
    }


async def test_a_tenant_sees_only_its_own(post: Post):
    await post.finish(upload("a.md", "zebra"))
    assert await post.worker().of("them") == []


async def test_what_is_not_committed_is_not_told(post: Post):
    job = await post.stand.ingest(upload("a.md", "zebra"))
    with pytest.raises(ZeroDivisionError):
        await finish_and_fail(post, job)
    assert await post.worker().of(SCOPE.tenant) == []


async def finish_and_fail(post: Post, job: Job) -> None:
    async with post.stand.database.write(SCOPE) as connection:
        row = {
            "id": "j" * 32,
            "callback_url": post.receiver.url(),
            "state": JobState.DONE,
            "created_at": job.created_at,
        }
        counts = dict.fromkeys(("total", "done", "skipped", "removed", "failed", "chunks"), 0)
        await connection.execute(scoped_insert(jobs, SCOPE), row | counts)
        await enqueue(connection, SCOPE, "j" * 32)
        assert (await connection.execute(unscoped(deliveries))).first() is not None
        raise ZeroDivisionError


async def test_what_is_finished_is_forgotten_after_a_while_and_what_waits_is_not(post: Post):
    await post.finish(upload("a.md", "zebra"))
    await post.worker().work_once()
    post.receiver.answers = [status(500)]
    await post.finish(upload("b.md", "yak"))
    await post.worker().work_once()
    moment = datetime.fromtimestamp(EPOCH, UTC) + timedelta(days=30)
    assert await post.worker().expire("them", moment) == 0
    assert await post.worker().expire(SCOPE.tenant, moment) == 1
    assert (await post.only()).state == "pending"


async def test_it_goes_on_until_it_is_stopped(post: Post):
    stop, arrived = asyncio.Event(), asyncio.Event()
    post.receiver.on_request = arrived.set
    running = asyncio.create_task(post.worker().run(stop))
    await post.finish(upload("a.md", "zebra"))
    await asyncio.wait_for(arrived.wait(), 10)
    stop.set()
    await running
    assert (await post.only()).state == "delivered"
