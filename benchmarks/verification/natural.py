"""Natural pairs: sentences that people wrote about a passage, and answers to questions turned into statements.

All are of documents that only measure (`benchmarks.splits`); CLIMATE-FEVER and HealthVer are measured as a whole, for
nothing may be trained on them. SciFact's abstracts are the whole passage.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.answer_sets import DATA
from benchmarks.splits import is_held_out
from benchmarks.training.rows import is_kept_back, stored
from benchmarks.verification.cases import Case, Source, key_of, lines
from benchmarks.verification.sentences_of import spots
from benchmarks.verification.statements import answer_kind, expected_kind, statement
from ragstone.documents.sentences import sentences

LABELS = {"SUPPORT": "supported", "CONTRADICT": "contradicted"}
KINDS = {
    "supports": "supported",
    "refutes": "contradicted",
    "not_enough_info": "not enough said",
    "neutral": "not enough said",
}


def pairs(passages: Sequence[Source], random_: random.Random) -> Iterator[Case]:
    """Cases of every natural set; `passages` give the sentences that are cited to a wrong passage."""
    yield from scifact()
    yield from clapnq()
    yield from squad(random_)
    yield from measured_only()
    yield from kept_back()
    yield from elsewhere(passages, random_)


def scifact() -> Iterator[Case]:
    """Experts' claims with the abstract that supports, contradicts, or only touches them."""
    corpus = {entry["id"]: entry for entry in lines(DATA / "scifact" / "corpus.jsonl")}
    for query in lines(DATA / "scifact" / "queries.jsonl"):
        proofs = {proof["doc"]: LABELS[proof["label"]] for proof in query["evidence"]}
        cited = proofs or dict.fromkeys(query["cited"], "not enough said")
        for document, label in cited.items():
            if is_held_out(document) and document in corpus:
                entry = corpus[document]
                yield Case(
                    f"scifact, {label}", label == "supported", query["text"], entry["text"], entry["title"], "en"
                )


def clapnq() -> Iterator[Case]:
    """The sentences of people's answers with the passage that they were written from."""
    corpus = {entry["id"]: entry for entry in lines(DATA / "clapnq" / "corpus.jsonl")}
    for query in lines(DATA / "clapnq" / "queries.jsonl"):
        for answer in query["answers"][:1]:
            entry = corpus[query["evidence_ids"][0]]
            if is_held_out(entry["id"]):
                for one in sentences(answer):
                    claim = answer[one.start : one.end]
                    if len(claim.split()) > 3:
                        yield Case("clapnq, answer", True, claim, entry["text"], entry["title"], "en")


def squad(random_: random.Random) -> Iterator[Case]:
    """Statements of a question with its right answer, a wrong one of the same kind, and where there is no answer."""
    corpus = {entry["id"]: entry for entry in lines(DATA / "squad_v2" / "corpus.jsonl")}
    asked: dict[str, list[dict]] = defaultdict(list)
    for query in lines(DATA / "squad_v2" / "queries.jsonl"):
        place = query.get("source_doc") or query["evidence_ids"][0]
        if is_held_out(key_of("squad_v2", place)):
            asked[place].append(query)
    for place, queries in asked.items():
        text, title = corpus[place]["text"], corpus[place]["title"]
        answers = sorted({query["answers"][0] for query in queries if query["answers"]})
        for query in queries:
            for kind, true, claim in _statements(query, answers, text, random_):
                yield Case(kind, true, claim, text, title, "en")


def _statements(
    query: dict, answers: Sequence[str], text: str, random_: random.Random
) -> Iterator[tuple[str, bool, str]]:
    question, gold = query["text"], query["answers"]
    kind = answer_kind(gold[0]) if gold else expected_kind(question)
    wrong = [one for one in answers if answer_kind(one) == kind and not any(_overlap(one, right) for right in gold)]
    wrong = [one for one in wrong if not _overlap(one, question)]
    if not wrong:
        return
    false = statement(question, random_.choice(wrong), text)
    if gold and false and (right := statement(question, gold[0], text)):
        yield "squad, right answer", True, right
        yield "squad, wrong answer of the same kind", False, false
    elif not gold and false:
        yield "squad, question without an answer", False, false


def _overlap(one: str, other: str) -> bool:
    """Whether they share a word of more than three letters, or a figure."""
    left, right = (set(re.findall(r"\w+", text.casefold())) for text in (one, other))
    shared = any(len(word) > 3 or word.isdigit() for word in left & right)
    return shared or one.casefold() in other.casefold() or other.casefold() in one.casefold()


def measured_only() -> Iterator[Case]:
    """CLIMATE-FEVER and HealthVer: claims of the public with sentences of Wikipedia and of papers."""
    with gzip.open(DATA / "training" / "verify_measure_only.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            kind = f"{row['source'].lower()}, {KINDS[row['kind']]}"
            yield Case(kind, row["label"] == 1, row["hypothesis"], row["premise"], "", row["lang"])


def kept_back() -> Iterator[Case]:
    """Rows of the labelled sets that training leaves out (its development set), by language."""
    for row in stored("verify"):
        if is_kept_back(row["premise"]):
            kind = f"labelled sets, {'borne out' if row['label'] else 'not borne out'} ({row['lang']})"
            yield Case(kind, bool(row["label"]), row["hypothesis"], row["premise"], "", row["lang"])


def elsewhere(passages: Sequence[Source], random_: random.Random) -> Iterator[Case]:
    """Whole sentences cited to a passage of another document, and to another passage of their own document."""
    siblings: dict[tuple[str, str], list[Source]] = defaultdict(list)
    domains: dict[str, list[Source]] = defaultdict(list)
    for source in passages:
        siblings[source.domain, source.title].append(source)
        domains[source.domain].append(source)
    for source in passages:
        claims = spots(source)
        if not claims:
            continue
        claim = random_.choice(claims)
        near = [one for one in siblings[source.domain, source.title] if claim not in one.text]
        far = [one for one in domains[source.domain] if claim not in one.text and one.title != source.title]
        for kind, others in (("passage of the same document", near), ("passage of another document", far)):
            if others:
                other = random_.choice(others)
                yield Case(f"wrong {kind}", False, claim, other.text, other.title, source.language)
