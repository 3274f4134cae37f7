"""Routes of webhooks (callbacks): the deliveries, and the key of their signatures."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from ragstone.api.bodies import Out, shown
from ragstone.api.jobs import JOB_ID
from ragstone.http.capabilities import SecretDep, WebhooksDep
from ragstone.http.routing import Admitted, admitted_router
from ragstone.ingestion.webhooks import signing_key
from ragstone.principals import Permission

MAX_CALLBACKS = 500

router = admitted_router(tag="callbacks", needs=Permission.MANAGE)


class CallbackOut(Out):
    """One callback and the state of its delivery."""

    id: str = Field(description="Sent in the header Ragstone-Delivery, the same on each attempt.")
    url: str
    event: str
    job_id: str
    state: str = Field(description="pending, delivered or dead.")
    attempts: int
    error: str | None = Field(description="Why the last attempt failed.")
    created_at: datetime
    finished_at: datetime | None
    next_at: datetime | None = Field(description="Time of the next attempt.")


class CallbackList(Out):
    """The latest callbacks, newest first."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "callbacks": [
                    {
                        "id": "0d9c4b7ae1f24c6b9a3e58d7f2b16c04",
                        "url": "https://hooks.example.com/ragstone",
                        "event": "document.ready",
                        "job_id": JOB_ID,
                        "state": "delivered",
                        "attempts": 1,
                        "error": None,
                        "created_at": "2026-11-21T10:00:00Z",
                        "finished_at": "2026-11-21T10:00:01Z",
                        "next_at": None,
                    }
                ]
            }
        )
    )

    callbacks: list[CallbackOut]


class SigningKeyOut(Out):
    """The key of the signatures of callbacks. Keep it secret: it can forge them."""

    model_config = ConfigDict(json_schema_extra=shown({"signing_key": "c0ffee" * 10 + "c0de"}))

    signing_key: str = Field(description="Key of the HMAC-SHA256 over `<t>.<body>`: these characters in UTF-8.")


@router.get("/api/callbacks", response_model=CallbackList, summary="List callbacks")
async def list_callbacks(
    principal: Admitted,
    webhooks: WebhooksDep,
    limit: Annotated[int, Query(ge=1, le=MAX_CALLBACKS, description="Callbacks to list, at most.")] = 50,
) -> CallbackList:
    """The callbacks for finished jobs, newest first, and why deliveries failed."""
    found = await webhooks.of(principal.tenant, limit=limit)
    return CallbackList(callbacks=[CallbackOut.model_validate(each) for each in found])


@router.get("/api/callbacks/signing-key", response_model=SigningKeyOut, summary="Show the key of signatures")
async def show_signing_key(principal: Admitted, secret: SecretDep) -> SigningKeyOut:
    """The key to check the header Ragstone-Signature: `t=<unix time>,v1=<hex digest>`."""
    return SigningKeyOut(signing_key=signing_key(secret, principal.tenant))


ROUTERS: tuple[APIRouter, ...] = (router,)
