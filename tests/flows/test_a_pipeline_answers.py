"""A Vectorize.io pipeline as a tenant's knowledge: for questions to the platform and for chats that pass through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ragstone.errors import ConfigurationError
from tests.interceptor.setup import asking, stand
from tests.interceptor.upstreams import upstream
from tests.platforms import small_platform
from tests.retrieval.vectorize_server import a_pipeline, document, jwt, url_of

QUESTION = "How many metres tall is the water tower?"
TOWER = document("The water tower is forty metres tall.")


@pytest.mark.parametrize("mode", ["alone", "fused"])
async def test_questions_and_chats_are_answered_from_it(tmp_path: Path, mode: str):
    async with a_pipeline(TOWER) as pipeline, upstream() as model:
        vectorize = {"url": url_of(pipeline), "token": jwt(), "mode": mode}
        async with stand(tmp_path, model.url, vectorize=vectorize) as here:
            answer = await here.platform.ask(QUESTION)
            response = await here.chat(asking(QUESTION))
            [seen] = model.seen
    assert "forty metres tall [1]" in answer.text
    [citation, *_] = answer.citations
    assert citation.quote == "The water tower is forty metres tall."
    assert response.headers["x-ragstone-status"].startswith("enriched")
    assert "forty metres tall" in seen.json["messages"][0]["content"]


async def test_a_pipeline_that_is_down_leaves_the_chat_as_it_was_and_the_index_to_answer(tmp_path: Path):
    async with upstream() as model:
        gone = {"url": "http://127.0.0.1:9/retrieval", "token": jwt()}
        async with stand(tmp_path, model.url, vectorize=gone, upstream={"attempts": 1}) as here:
            alone = await here.chat()
            [seen] = model.seen
    assert alone.headers["x-ragstone-status"] == "bypass; reason=error"
    assert seen.json == asking()


async def test_a_token_that_has_expired_is_told_at_the_start(tmp_path: Path):
    expired = jwt(ends=datetime.now(UTC) - timedelta(days=1))
    vectorize = {"organization": "acme", "pipeline": "p1", "token": expired}
    with pytest.raises(ConfigurationError, match="expired"):
        async with small_platform(tmp_path / "data", vectorize=vectorize):
            pass
