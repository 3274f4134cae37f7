"""The MiniLM embedder: its vectors equal those of the original model."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from tokenizers import Tokenizer

from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.errors import ModelUnavailable
from ragstone.inference.encoder import EncoderSession, read_model_files

# First components from sentence-transformers 6.2.0 on torch 2.13.0 with the same weights;
# over 66 texts (abstracts, odd Unicode, empty, overlong) the largest difference was 2e-7.
REFERENCE = {
    "The cat sits on the mat.": [0.13417706, -0.03290032, -0.0248038, 0.04143902, -0.03634764, 0.04181415],
    "How do I borrow a value mutably?": [-4.8565e-05, 0.07498637, -0.03172313, -0.03185274, -0.07880662, -0.00580552],
    "Überraschung: 東京 🚀 naïve café": [0.08334623, 0.03685319, 0.07063743, 0.00756682, 0.00057654, -0.00742498],
}


@pytest.fixture(scope="module")
def minilm():
    embedder = MiniLMEmbedder.load(threads=1)
    yield embedder
    embedder.close()


async def test_vectors_are_those_of_the_original_model(minilm):
    vectors = await minilm.embed(list(REFERENCE), purpose="document")
    np.testing.assert_allclose(vectors[:, :6], list(REFERENCE.values()), atol=1e-6)


def test_the_name_is_that_of_the_vectors_in_every_data_directory():
    assert MiniLMEmbedder.name == "all-MiniLM-L6-v2:53aa51172d14"


async def test_padding_does_not_change_a_vector(minilm):
    short, long = "A cat.", "A cat is on the mat, and it does not mind. " * 20
    alone = await minilm.embed([short], purpose="query")
    padded = await minilm.embed([short, long], purpose="query")
    np.testing.assert_allclose(padded[0], alone[0], atol=1e-6)


async def test_a_query_overtakes_a_bulk_of_documents(minilm):
    finished = []

    async def embed(texts, purpose):
        await minilm.embed(texts, purpose=purpose)
        finished.append(purpose)

    bulk = ["A long passage about rivers. " * 40] * 20
    await asyncio.gather(embed(bulk, "document"), embed(["What is a river?"], "query"))
    assert finished == ["query", "document"]


async def test_a_query_does_not_wait_for_a_batch_of_documents():
    class HeldSession(EncoderSession):
        """Finishes a batch of documents only after a query."""

        def __init__(self):
            self.bulk_runs = threading.Event()
            self.query_done = threading.Event()

        def vectors(self, ids, mask):
            if len(ids) > 1:
                self.bulk_runs.set()
                assert self.query_done.wait(10)
            return np.ones((len(ids), 384), np.float32)

    session = HeldSession()
    embedder = MiniLMEmbedder(session, Tokenizer.from_buffer(read_model_files(None).tokenizer))
    bulk = asyncio.create_task(embedder.embed(["one", "two"], purpose="document"))
    assert await asyncio.to_thread(session.bulk_runs.wait, 10)
    await embedder.embed(["one"], purpose="query")
    session.query_done.set()
    await bulk
    embedder.close()


async def test_many_tasks_at_once_get_their_own_vectors(minilm):
    texts = [[f"Task {task} says {number}" for number in range(5)] for task in range(8)]
    alone = [await minilm.embed(batch, purpose="document") for batch in texts]
    together = await asyncio.gather(*(minilm.embed(batch, purpose="document") for batch in texts))
    np.testing.assert_allclose(np.stack(together), np.stack(alone), atol=1e-5)


async def test_a_closed_embedder_says_so():
    embedder = MiniLMEmbedder.load(threads=1)
    embedder.close()
    with pytest.raises(ModelUnavailable, match="closed"):
        await embedder.embed(["late"], purpose="document")


def test_offsets_do_not_depend_on_where_a_large_text_is_cut(minilm):
    line = "Ownership moves, borrowing does not; naïve cafés — 東京 — agree. "
    text = line * 2500
    one = minilm.token_offsets(line)
    expected = (one[None] + (np.arange(2500) * len(line))[:, None, None]).reshape(-1, 2)
    np.testing.assert_array_equal(minilm.token_offsets(text), expected)
