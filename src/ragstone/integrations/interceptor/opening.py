"""The interceptor of an open platform, which has models of its own."""

from __future__ import annotations

from ragstone.integrations.interceptor.assembling import assembled
from ragstone.integrations.interceptor.embeddings import OwnEmbeddings
from ragstone.integrations.interceptor.own_model import OwnModel
from ragstone.integrations.interceptor.serving import Serving
from ragstone.wiring.platform import Platform


def serving_of(platform: Platform) -> Serving:
    """What answers the requests of /v1."""
    return assembled(platform, own=OwnModel(platform.chat), embeddings=OwnEmbeddings(platform.embedder))
