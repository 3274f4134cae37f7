"""Quality of the platform's answers on squad_v2 with the shipped defaults.

The ten articles are ingested, a paragraph as one Markdown file; retrieval, answer and
check run with their defaults. *contained*: the answer cites a span that holds a gold
answer. *abstained*: no answer to an unanswerable question. The weights and the threshold
have seen these articles; docs/citations.md has articles that they have not.

    python -m benchmarks.platform_answers --keep /tmp/quality [--every 4]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path

import structlog

from benchmarks.retrieval_quality import DATA, ingest
from benchmarks.train_relevance import folded, holds_gold
from ragstone.evaluation.datasets import read_collection
from ragstone.settings import Settings
from ragstone.vocabulary import Answer
from ragstone.wiring import open_platform, open_services


def contained(answer: Answer, gold: list[str]) -> bool:
    """Whether a citation holds a gold answer. Those of an abstention are of the closest passages and do not count."""
    if answer.abstained:
        return False
    quotes = [folded(citation.quote) for citation in answer.citations]
    return any(holds_gold(quote, folded(one)) for quote in quotes for one in gold)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, help="keep the ingested data here, and use it again")
    parser.add_argument("--every", type=int, default=1, help="take every n-th question")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    rows = (options.data / "squad_v2" / "queries.jsonl").read_text(encoding="utf-8").splitlines()[:: options.every]
    held: list[bool] = []
    silent: list[bool] = []
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder) / "squad_v2")
        async with open_services(settings) as services:
            await ingest(services, read_collection(options.data / "squad_v2"))
        async with open_platform(settings) as platform:
            for row in map(json.loads, rows):
                answer = await platform.ask(row["text"])
                if row["unanswerable"]:
                    silent.append(answer.abstained)
                else:
                    held.append(contained(answer, row["answers"]))
    print(f"contained {sum(held) / len(held):.3f} of {len(held)} answerable questions")
    print(f"abstained {sum(silent) / len(silent):.3f} of {len(silent)} unanswerable ones")


if __name__ == "__main__":
    asyncio.run(main())
