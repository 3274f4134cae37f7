"""Webhooks: a POST to the callback URL of a job when the job has finished, delivered at least once.

The transaction that finishes the job also writes the delivery, so a crash loses none. A worker
claims due deliveries and sends them. The claim of an attempt sets the time of the next one, so two
workers do not send at once, and another worker takes over from one that died. A receiver may get
the same delivery twice, with the same id.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import structlog
from sqlalchemy import Row, func
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import InvalidInput, Unavailable
from ragstone.identity.secrets import Secret
from ragstone.resilience.http_client import HttpClient
from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    scoped,
    scoped_delete,
    scoped_insert,
    scoped_update,
    unscoped,
)
from ragstone.storage.schema import deliveries, job_files, jobs
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import FileState, JobState, Scope

BATCH = 16  # deliveries sent concurrently; tenants take turns
CLAIM_S = 60.0  # an attempt takes at most 10 s; after this time another worker may retry it
DELAYS_S = (5.0, 30.0, 120.0, 600.0, 3_600.0, 14_400.0, 43_200.0)  # between attempts: eight attempts in 17 hours
JITTER = 0.2  # share of a delay, so that deliveries that failed together are not retried together
POLL_S = 1.0
KEEP_DAYS = 30  # finished deliveries are kept for this long
MAX_DOCUMENTS = 1000  # listed in one webhook; the counts include all

SIGNATURE_HEADER = "Ragstone-Signature"
DELIVERY_HEADER = "Ragstone-Delivery"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A webhook and its state; `next_at` is the time of the next attempt."""

    id: str
    url: str
    event: str
    job_id: str
    state: str
    attempts: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    next_at: datetime | None


def signing_key(secret: Secret, tenant: str) -> str:
    """Signing key of a tenant's webhooks; receivers verify the signature with it."""
    return secret.digest("webhook", tenant)


def signature(key: str, body: bytes, *, at: int) -> str:
    """Value of the header `Ragstone-Signature`: HMAC-SHA256 over the time and the body."""
    digest = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


async def enqueue(connection: AsyncConnection, scope: Scope, job_id: str) -> None:
    """Write the delivery of a finished job that has a callback URL, in the transaction that finishes the job."""
    job = (await connection.execute(scoped(jobs, scope).where(jobs.c.id == job_id))).first()
    if job is None or not job.callback_url or job.state not in (JobState.DONE, JobState.FAILED):
        return
    files = scoped(job_files, scope).where(job_files.c.job_id == job_id).order_by(job_files.c.id)
    rows = (await connection.execute(files.limit(MAX_DOCUMENTS))).all()
    now = datetime.now(UTC)
    values = {
        "id": secrets.token_hex(16),
        "url": job.callback_url,
        "body": json.dumps(_body(job, rows, now), ensure_ascii=False, separators=(",", ":")),
        "state": "pending",
        "attempts": 0,
        "not_before": 0.0,
        "created_at": now,
    }
    await connection.execute(scoped_insert(deliveries, scope).values(values))


def _body(job: Row[Any], files: Sequence[Row[Any]], now: datetime) -> dict[str, object]:
    documents = [
        {"id": file.document_id, "source": file.source, "state": _file_state(file.state), "error": file.error}
        for file in files
    ]
    counts = {"total": job.total, "done": job.done, "skipped": job.skipped, "failed": job.failed}
    return {
        "event": f"document.{documents[0]['state']}" if job.total == len(documents) == 1 else "job.finished",
        "job_id": job.id,
        "collection": job.collection,
        "documents": documents,
        "counts": counts,
        "at": now.isoformat(),
    }


def _file_state(state: str) -> str:
    return {FileState.FAILED: "failed", FileState.REMOVED: "removed"}.get(FileState(state), "ready")


class Webhooks:
    """Sends the webhooks of all tenants; lists and deletes those of one tenant."""

    def __init__(
        self,
        database: Database,
        secret: Secret,
        http: HttpClient,
        *,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._secret = secret
        self._http = http
        self._metrics = metrics
        self._clock = clock
        self._spread = spread

    async def run(self, stop: asyncio.Event) -> None:
        """Send due webhooks until `stop` is set."""
        while not stop.is_set():
            if not await self.work_once():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), POLL_S)

    async def work_once(self) -> int:
        """Send the webhooks that are due now, a batch at a time; returns the number of attempts."""
        claimed = await self._claim()
        async with asyncio.TaskGroup() as sending:
            for row in claimed:
                sending.create_task(self._deliver(row))
        return len(claimed)

    async def of(self, tenant: str, *, limit: int = 50) -> list[WebhookDelivery]:
        """The tenant's newest deliveries, newest first."""
        newest = scoped(deliveries, tenant).order_by(deliveries.c.created_at.desc(), deliveries.c.id).limit(limit)
        async with self._database.read(tenant) as connection:
            return [_delivery(row) for row in await connection.execute(newest)]

    async def expire(self, tenant: str, before: datetime) -> int:
        """Delete a tenant's deliveries that finished before `before`; returns their number."""
        old = scoped_delete(deliveries, tenant).where(deliveries.c.finished_at < before)
        async with self._database.write(tenant) as connection:
            return (await connection.execute(old)).rowcount

    async def _claim(self) -> list[Row[Any]]:
        now = self._clock()
        due = (deliveries.c.state == "pending") & (deliveries.c.not_before <= now)
        place = func.row_number().over(partition_by=deliveries.c.tenant, order_by=deliveries.c.not_before)
        waiting = unscoped(deliveries).where(due).order_by(place, deliveries.c.not_before).limit(BATCH)
        async with self._database.read(EVERY_TENANT) as connection:
            found = (await connection.execute(waiting)).all()
        if not found:
            return []
        async with self._database.write(EVERY_TENANT) as connection:
            return [row for row in found if await self._take(connection, row, now + CLAIM_S)]

    async def _take(self, connection: AsyncConnection, row: Row[Any], until: float) -> bool:
        """Claim an attempt; False if another worker has claimed it since the row was read."""
        same = (deliveries.c.id == row.id, deliveries.c.state == "pending", deliveries.c.attempts == row.attempts)
        taken = scoped_update(deliveries, row.tenant).where(*same).values(attempts=row.attempts + 1, not_before=until)
        return (await connection.execute(taken)).rowcount == 1

    async def _deliver(self, row: Row[Any]) -> None:
        exhausted = row.attempts > len(DELAYS_S)  # the worker of each attempt died during it
        problem = _Problem("The worker ended during each attempt.", final=True) if exhausted else await self._send(row)
        attempts = row.attempts + 1
        if problem is None:
            outcome, change = "delivered", self._finished("delivered", None)
        elif problem.final or attempts > len(DELAYS_S):
            outcome, change = "dead", self._finished("dead", problem.sentence)
        else:
            again = self._clock() + self._delay_s(attempts)
            outcome, change = "failed", {"error": problem.sentence, "not_before": again}
        error = problem.sentence if problem else None
        log.info("callback.tried", outcome=outcome, delivery=row.id, tenant=row.tenant, attempts=attempts, error=error)
        self._metrics.callbacks.labels(outcome).inc()
        ours = (deliveries.c.id == row.id) & (deliveries.c.attempts == attempts) & (deliveries.c.state == "pending")
        async with self._database.write(row.tenant) as connection:
            await connection.execute(scoped_update(deliveries, row.tenant).where(ours).values(change))

    async def _send(self, row: Row[Any]) -> _Problem | None:
        body = row.body.encode()
        headers = {
            "content-type": "application/json",
            SIGNATURE_HEADER: signature(signing_key(self._secret, row.tenant), body, at=int(self._clock())),
            DELIVERY_HEADER: row.id,
        }
        try:
            reply = await self._http.post(row.url, body, headers)
        except (InvalidInput, Unavailable) as error:
            return _Problem(error.message)
        if HTTPStatus(200) <= reply.status < HTTPStatus(300):
            return None
        if HTTPStatus(300) <= reply.status < HTTPStatus(400):
            return _Problem(f"The receiver redirects (status {reply.status}); webhooks do not follow redirects.")
        return _Problem(f"The receiver answered with status {reply.status}.", final=reply.status == HTTPStatus.GONE)

    def _finished(self, state: str, error: str | None) -> dict[str, object]:
        return {"state": state, "error": error, "finished_at": datetime.fromtimestamp(self._clock(), UTC)}

    def _delay_s(self, attempts: int) -> float:
        return DELAYS_S[attempts - 1] * (1 + JITTER * (2 * self._spread() - 1))


@dataclass(frozen=True, slots=True)
class _Problem:
    """Reason of a failed attempt; `final`: there is no further attempt."""

    sentence: str
    final: bool = False


def _delivery(row: Row[Any]) -> WebhookDelivery:
    body = json.loads(row.body)
    pending = row.state == "pending"
    return WebhookDelivery(
        id=row.id,
        url=row.url,
        event=body["event"],
        job_id=body["job_id"],
        state=row.state,
        attempts=row.attempts,
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
        next_at=datetime.fromtimestamp(row.not_before, UTC) if pending else None,
    )
