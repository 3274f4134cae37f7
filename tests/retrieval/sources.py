"""Sources of passages for tests: pipelines on loopback, and a local index that does as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ragstone.resilience.http_client import HttpClient
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.retrieval.base import Retrieval
from ragstone.retrieval.vectorize.client import RemotePipeline, VectorizeClient, pipeline_address
from ragstone.retrieval.vectorize.retriever import PipelineOptions, VectorizeRetriever
from ragstone.telemetry.metrics import Metrics
from tests.retrieval.vectorize_server import jwt, url_of

DEFAULTS = PipelineOptions()


@asynccontextmanager
async def vectorize_client() -> AsyncIterator[VectorizeClient]:
    """A client of pipelines, closed at the end."""
    http = HttpClient()
    yield VectorizeClient(http, UpstreamPolicies(UpstreamOptions(), metrics=Metrics()))
    await http.close()


def remote(upstream, **changes):
    """The pipeline that `upstream` serves."""
    address = pipeline_address(url=url_of(upstream), trusted=True)
    return RemotePipeline(**{"address": address, "token": jwt(), **changes})


def finder(client, upstream, *, metrics=None, options=DEFAULTS, **changes):
    """A retriever of the pipeline that `upstream` serves."""
    return VectorizeRetriever(client, remote(upstream, **changes), metrics=metrics or Metrics(), options=options)


class Local:
    """The retriever of the local index, which finds, fails or hangs as told."""

    def __init__(self, *passages, fails=None, waits=False):
        self.asked = 0
        self._found, self._fails, self._waits = Retrieval(tuple(passages)), fails, waits

    async def search(self, scope, query):
        self.asked += 1
        if self._waits:
            await asyncio.Event().wait()
        if self._fails:
            raise self._fails
        return self._found

    async def check(self, scope, query):
        if self._fails:
            raise self._fails
