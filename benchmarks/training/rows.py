"""Labelled pairs that the judge learns from: edited sentences, pairs that people wrote, questions with sentences.

Texts for which `is_held_out` is true are left out; of the sets of `training/` only those for which `is_kept_back` is
true, a quarter of the held-out half: they are the development set.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from benchmarks.answer_sets import DATA
from benchmarks.splits import is_held_out
from benchmarks.verification.built import FALSE_KINDS, TRUE_KINDS, Spot, of_spot, plain_sentences, pool_of
from benchmarks.verification.cases import Source, key_of, lines, passages, sections
from ragstone.generation.evidence import stems, support_pair

NOT_STATED, SUPPORTED, CONTRADICTED, NOT_SUPPORTED = 0, 1, 2, 3
"""Labels of "supports"; NOT_SUPPORTED where it is not known whether the evidence contradicts."""

NO, YES = 0, 1
"""Labels of "answers"."""

LEFT_OUT = {"tquad-tr", "tquad-tr +swap"}
"""Sources whose licence is in doubt."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pair: `left` claim or question, `right` evidence or candidate; `kind` its source or the edit."""

    task: str
    left: str
    right: str
    label: int
    kind: str
    language: str
    dev: bool


def is_kept_back(key: str) -> bool:
    """Whether a text of `training/` belongs to the development set."""
    return is_held_out(key) and sha256(f"dev {key}".encode()).digest()[0] % 4 == 0


def stored(name: str) -> list[dict]:
    """The rows of a file of `training/`."""
    with gzip.open(DATA / "training" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [row for row in map(json.loads, file) if row["source"] not in LEFT_OUT]


# Edits -----------------------------------------------------------------------------------------------------------

CONTRADICTING = {
    "figure", "figure_same_passage", "figures_exchanged", "year", "month", "name_foreign", "name_same_passage",
    "names_swapped", "negation_added", "negation_removed", "antonym", "quantifier", "unit", "scale", "ordinal",
    "number_word", "from_to", "roles_reversed", "comparison", "modality", "implicit_negation",
}  # fmt: skip
HARD = {
    "words_exchanged": 2.0, "tail_same_passage": 2.0, "head_same_passage": 1.3, "common_word_same_passage": 1.7,
    "name_same_passage": 1.5, "antonym": 2.0, "common_word_foreign": 1.7, "names_swapped": 1.3, "quantifier": 1.3,
    "negation_added": 1.0, "implicit_negation": 1.3, "tail_foreign": 1.3, "wrong_passage": 1.0, "subject_replaced": 1.3,
    "comparison": 1.5, "modality": 1.5, "verbatim": 1.5, "synonym": 2.0, "shortened": 1.5, "joined": 1.5,
}  # fmt: skip
"""How many cases of a kind are taken, as a multiple of the others."""


def texts(qa: Sequence[dict]) -> list[Source]:
    """English passages for edits: the training half of the open sets, and contexts of question sets."""
    named = {"natural-questions (QED)", "tydiqa-goldp-en", "policyqa"}
    more = {row["context"]: row["source"] for row in qa if row["source"] in named}
    found = [source for source in passages(held_out=False) if source.language == "en"]
    found = [one for place, one in enumerate(found) if one.domain != "scifact" or place % 4 == 0]
    return found + [Source(text, "", "en", name) for text, name in more.items() if 150 < len(text) < 1500]


def edits(qa: Sequence[dict], chance: random.Random, each: int) -> Iterator[Row]:
    """Rows of built kinds, about `each` of every kind, of as many true ones as false ones."""
    sources = texts(qa)
    chance.shuffle(sources)
    read = [(source, plain_sentences(source.text)) for source in sources]
    pool = pool_of([one for _, found in read for one in found])
    quota = {kind: int(each * HARD.get(kind, 1.0)) for kind in (*FALSE_KINDS, "wrong_passage")}
    true_each = sum(quota.values()) / sum(HARD.get(kind, 1.0) for kind in TRUE_KINDS)
    quota |= {kind: int(true_each * HARD.get(kind, 1.0)) for kind in TRUE_KINDS}
    taken: Counter[str] = Counter()
    for source, found in read:
        spots = [place for place, one in enumerate(found) if 6 <= len(one.split()) <= 34]
        for place in chance.sample(spots, min(4, len(spots))):
            cases = list(of_spot(Spot(found[place], place, found, source.title, pool, chance), source))
            chance.shuffle(cases)
            for true in (True, False):
                fit = [one for one in cases if one.true is true and taken[one.kind] < quota[one.kind]]
                fit.sort(key=lambda one: taken[one.kind] / quota[one.kind])
                for case in fit[: 4 if true else 3]:
                    taken[case.kind] += 1
                    left, right = support_pair(case.claim, found, source.title if chance.random() < 0.7 else "")
                    label = SUPPORTED if true else CONTRADICTED if case.kind in CONTRADICTING else NOT_SUPPORTED
                    dev = source.domain not in {"squad_v2", "clapnq", "scifact"} and is_kept_back(source.text)
                    yield Row("supports", left, right, label, f"edit {case.kind}", "en", dev)


# Pairs that people wrote -----------------------------------------------------------------------------------------

CAPS = {
    "vitaminc-real": 7000, "fever-dev-rte (covidfact repo)": 2400, "fever-symmetric": 1300,
    "semi-automatic-nli (wiki)": 1000, "vitaminc-synthetic": 1200, "multinli-dev": 1500, "cad-snli (revised)": 600,
    "scitail-dev": 1200, "hans (generated by its own script)": 700, "begin (wow, cmu-dog)": 500, "med": 600,
    "snli-dev": 300, "wice": 700, "faithdial audit (wow, cmu-dog)": 300,
}  # fmt: skip
OTHER_CAP = 260
"""Rows of each source of another language."""

_CONTRADICTED = re.compile(
    r"^(?:REFUTES|contradiction|c|negation|name changed|two names|figure changed|answer replaced)"
)
_NOT_STATED = re.compile(r"^(?:NOT ENOUGH INFO|neutral|n)$")


def natural(rows: Sequence[dict], chance: random.Random) -> Iterator[Row]:
    """Rows of the sets of labelled pairs, capped by source, as many supported as not."""
    groups: dict[tuple[str, int], list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["source"], row["label"]].append(row)
    for (source, label), found in sorted(groups.items()):
        chance.shuffle(found)
        cap = CAPS.get(source, 900 if source.startswith("tydiqa-goldp-en") else OTHER_CAP) // 2
        kept = [row for row in found if not is_kept_back(row["premise"])][:cap]
        back = [row for row in found if is_kept_back(row["premise"])][: max(cap // 6, 30)]
        yield from (_natural(row, label, dev=row in back) for row in (*kept, *back))


def _natural(row: dict, label: int, *, dev: bool) -> Row:
    original = str(row.get("orig", row.get("orig_label", "")))
    if label == 0:
        contradicted = bool(_CONTRADICTED.match(original))
        label = CONTRADICTED if contradicted else NOT_STATED if _NOT_STATED.match(original) else NOT_SUPPORTED
    left, right = support_pair(row["hypothesis"], plain_sentences(row["premise"]) or [row["premise"]])
    return Row("supports", left, right, label, row["source"], row["lang"], dev)


# Statements of an answer -----------------------------------------------------------------------------------------

_ASKED = re.compile(r"^(?P<wh>who|which [a-z]+|what [a-z]+|what|how many [a-z]+)\b (?P<rest>.{8,})$", re.IGNORECASE)
_DID = re.compile(
    r"^(?P<wh>when|where|who|what|how many [a-z]+|what [a-z]+) (?:did|do|does) (?P<rest>.{8,})$", re.IGNORECASE
)
_WAS = re.compile(
    r"^(?P<wh>when|where) (?P<aux>was|were|is|are) (?P<rest>.{5,}?) (?P<verb>[a-z]+(?:ed|en|rn|lt|de|nd))$",
    re.IGNORECASE,
)
_AUXILIARY = re.compile(r"(?:did|do|does|is|are|was|were|can|could|will|would|has|have|had|should)\b", re.IGNORECASE)
_SHAPES = (
    re.compile(r"\b(?:1[0-9]|20)\d\d\b"),
    re.compile(r"\d[\d,.]*\d|\d"),
    re.compile(r"[A-Z][\w’'-]+(?: (?:of |the )?[A-Z][\w’'-]+){0,3}"),
)


def statement(question: str, answer: str) -> str | None:
    """The question with its answer as a plain statement, for the forms that a rule can turn."""
    asked = question.strip().rstrip("?").strip()
    answer = answer.strip().rstrip(".")
    if found := _WAS.match(asked):
        link = "" if re.match(r"(?:in|on|at|by|from|during|before|after)\b", answer) else "in "
        return f"{_up(found['rest'])} {found['aux']} {found['verb']} {link}{answer}."
    if found := _DID.match(asked):
        link = (
            "in "
            if found["wh"].lower() in {"when", "where"} and not re.match(r"(?:in|on|at|by|from)\b", answer)
            else ""
        )
        return f"{_up(found['rest'])} {link}{answer}."
    if (found := _ASKED.match(asked)) and not (
        found["wh"].count(" ") == 0 and re.match(r"(?:did|do|does)\b", found["rest"])
    ):
        if (
            " " in found["wh"]
            and _AUXILIARY.match(found["rest"])
            and found["rest"].lower()[:3] not in ("was", "is ", "are")
        ):
            return None
        return f"{_up(answer)} {found['rest']}."
    return None


def _up(text: str) -> str:
    return text[:1].upper() + text[1:]


def same_kind(answer: str, passage: str, chance: random.Random) -> str | None:
    """Another span of the passage of the same shape: a year, a figure, a name."""
    for shape in _SHAPES:
        if shape.search(answer):
            spans = {one for one in shape.findall(passage) if one not in answer and answer not in one}
            return chance.choice(sorted(spans)) if spans else None
    return None


def statements(questions: Sequence[tuple], chance: random.Random) -> Iterator[Row]:
    """Rows of right and wrong answers of the same kind as statements, and of unanswerable questions."""
    for question, answer, passage, title, _, dev in questions:
        found = plain_sentences(passage)
        if answer is None:
            names = _SHAPES[2 if re.match("(?:who|where|which|what)", question, re.IGNORECASE) else 0].findall(passage)
            claim = statement(question, chance.choice(names)) if names else None
            if claim and found:
                yield Row("supports", *support_pair(claim, found, title), NOT_STATED, "answer none", "en", dev)
            continue
        right, other = statement(question, answer), same_kind(answer, passage, chance)
        wrong = statement(question, other) if other else None
        if right and wrong and found:
            yield Row("supports", *support_pair(right, found, title), SUPPORTED, "answer right", "en", dev)
            yield Row("supports", *support_pair(wrong, found, title), NOT_SUPPORTED, "answer wrong", "en", dev)


def asked(qa: Sequence[dict]) -> list[tuple]:
    """(question, answer or nothing, passage, title, source, dev) of English question sets."""
    found: list[tuple] = [
        (row["question"], row["answers"][0]["text"], row["context"], "", row["source"], is_kept_back(row["context"]))
        for row in qa
        if row["lang"] == "en"
    ]
    corpus = {entry["id"]: entry for entry in lines(DATA / "squad_v2" / "corpus.jsonl")}
    for query in lines(DATA / "squad_v2" / "queries.jsonl"):
        if not is_held_out(key_of("squad_v2", query["source_doc"])):
            entry = corpus[query["source_doc"]]
            answer = query["answers"][0] if query["answers"] else None
            found.append((query["text"], answer, entry["text"], entry["title"], "squad_v2", False))
    return found


# Questions and sentences -----------------------------------------------------------------------------------------


def candidate(found: Sequence[str], place: int, title: str, chance: random.Random) -> str:
    """A sentence below its context, as `PairJudge.answers` reads it; sometimes without."""
    before = found[place - 1] if place and chance.random() < 0.8 else ""
    context = ": ".join(part for part in (title, before) if part)
    return f"{context}\n{found[place]}" if context and chance.random() < 0.85 else found[place]


def _overlap(question: str, sentence: str) -> float:
    words = stems(question)
    return (
        len(words & stems(sentence)) / (len(words) or 1) if " " in question.strip() else _characters(question, sentence)
    )


def _characters(question: str, sentence: str) -> float:
    couples = {question[at : at + 2] for at in range(len(question) - 1)}
    return sum(one in sentence for one in couples) / (len(couples) or 1)


def answering(
    question: str, passage: str, spans: Sequence[str], title: str, chance: random.Random
) -> Iterator[tuple[str, int, str]]:
    """(candidate, label, kind): the sentence with the answer, the one most like the question, a random one."""
    found = plain_sentences(passage)
    holds = [place for place, one in enumerate(found) if any(span.strip() and span.strip() in one for span in spans)]
    rest = [place for place in range(len(found)) if place not in holds]
    if holds:
        best = max(holds, key=lambda place: _overlap(question, found[place]))
        yield candidate(found, best, title, chance), YES, "gold"
    rest.sort(key=lambda place: -_overlap(question, found[place]))
    for place in rest[: 1 if holds else 2]:
        yield candidate(found, place, title, chance), NO, "likest"
    if len(rest) > 2 and holds and chance.random() < 0.4:
        yield candidate(found, chance.choice(rest[1:]), title, chance), NO, "other"


def every_sentence(
    question: str, passage: str, spans: Sequence[str], title: str, chance: random.Random
) -> Iterator[tuple[str, int, str]]:
    """As `answering`, with any other sentences as negatives: where only the likest are, likeness misleads."""
    found = plain_sentences(passage)
    holds = [place for place, one in enumerate(found) if any(span.strip() and span.strip() in one for span in spans)]
    if holds and len(found) > 2:
        best = max(holds, key=lambda place: _overlap(question, found[place]))
        yield candidate(found, best, title, chance), YES, "gold"
    rest = [place for place in range(len(found)) if place not in holds]
    for place in chance.sample(rest, min(2 if holds else 1, len(rest))):
        yield candidate(found, place, title, chance), NO, "any"


def questions_again(asked_: Sequence[tuple], chance: random.Random) -> Iterator[Row]:
    """Rows of English questions with sentences that are not chosen by their likeness."""
    for question, answer, passage, title, source, dev in asked_:
        spans = [answer] if answer else []
        for text, label, kind in every_sentence(question, passage, spans, title, chance):
            yield Row("answers", question, text, label, f"{kind} {source}", "en", dev)


def questions(qa: Sequence[dict], rank: Sequence[dict], chance: random.Random) -> Iterator[Row]:
    """Rows of every language: gold sentences, the likest other ones of the passage, and those of other passages."""
    for row in qa:
        dev = is_kept_back(row["context"])
        for text, label, kind in answering(
            row["question"], row["context"], [one["text"] for one in row["answers"]], row.get("title", ""), chance
        ):
            yield Row("answers", row["question"], text, label, f"{kind} {row['source']}", row["lang"], dev)
    for row in rank:
        if chance.random() < 0.6:
            found = [one for negative in row["negatives"][:2] for one in plain_sentences(negative)]
            if found:
                place = max(range(len(found)), key=lambda at: _overlap(row["query"], found[at]))
                text = candidate(found, place, "", chance)
                dev = is_kept_back(row["positive"])
                yield Row("answers", row["query"], text, NO, f"far {row['source']}", row["lang"], dev)


def open_questions(chance: random.Random) -> Iterator[Row]:
    """Rows of squad_v2 and clapnq, with their unanswerable questions."""
    for name in ("squad_v2", "clapnq"):
        corpus = {entry["id"]: entry for entry in lines(DATA / name / "corpus.jsonl")}
        for query in lines(DATA / name / "queries.jsonl"):
            ids = query["evidence_ids"] or query.get("near_miss_ids") or [query.get("source_doc")]
            if not ids or ids[0] not in corpus or is_held_out(key_of(name, ids[0])):
                continue
            spans = query["answers"]
            if name == "clapnq":
                spans = [one for found in query["evidence_sentences"] for one in found]
            entry = corpus[ids[0]]
            text = " ".join(entry["text"].split())
            spans = [" ".join(one.split()) for one in spans]
            for made, label, kind in answering(query["text"], text, spans, entry["title"], chance):
                yield Row("answers", query["text"], made, label, f"{kind} {name}", "en", dev=False)


_AIM = re.compile(
    r"\b(?:(?:we|study|trial|paper|review|aims?|objective|purpose|aimed|sought) .{0,40}\bto (?:examine|"
    r"determine|assess|investigate|evaluate|test|explore|identify|compare|study)|we (?:examined|investigated|asked|"
    r"tested|studied) (?:whether|if|how|the))",
    re.IGNORECASE,
)
_FINDING = re.compile(
    r"\b(?:we (?:found|show|find|conclude|demonstrate)|results (?:show|suggest|indicate)|(?:was|were) (?:associated|"
    r"higher|lower|increased|reduced|significantly)|findings|conclusions?|these (?:data|results))\b",
    re.IGNORECASE,
)


def aims(chance: random.Random, limit: int) -> Iterator[Row]:
    """Titles of abstracts as questions: the finding answers, the statement of the aim does not."""
    entries = [one for one in lines(DATA / "scifact" / "corpus.jsonl") if not is_held_out(one["id"])]
    chance.shuffle(entries)
    for entry in entries[:limit]:
        found = plain_sentences(entry["text"])
        aim = [place for place, one in enumerate(found) if _AIM.search(one)]
        finding = [place for place, one in enumerate(found) if _FINDING.search(one) and place not in aim]
        if aim and finding:
            title = entry["title"].rstrip(".")
            query = chance.choice([title, f"what is known about {title[0].lower()}{title[1:]}?", title.lower()])
            best = max(finding, key=lambda place: _overlap(title, found[place]))
            yield Row("answers", query, candidate(found, best, "", chance), YES, "finding scifact", "en", dev=False)
            yield Row(
                "answers", query, candidate(found, chance.choice(aim), "", chance), NO, "aim scifact", "en", dev=False
            )


_ECHOES = (
    "{q}", "{q}?", "This section answers the question: {q}", "Read on to learn {q}", "Many people ask: {q}?",
    "The answer to '{q}' is shown after you open the link.", "FAQ: {q}", "In this chapter we look at {q}.",
    "Ask your administrator {q}.", "It is often discussed {q}.",
)  # fmt: skip


def echoes(asked_: Sequence[tuple], chance: random.Random, limit: int) -> Iterator[Row]:
    """Sentences that repeat the question and state nothing."""
    for question, _, _, title, source, dev in chance.sample(list(asked_), limit):
        text = chance.choice(_ECHOES).format(q=question.strip().rstrip("?"))
        context = f"{title}\n" if title and chance.random() < 0.5 else ""
        yield Row("answers", question, context + text, NO, f"echo {source}", "en", dev)


_ASK_HOW = ("how do I {h}?", "how to {h}", "what about {h}?", "{h}", "{h}?", "explain {h}", "what is {h}?")


def headings(chance: random.Random, limit: int) -> Iterator[Row]:
    """Headings of documentation as questions: the section's first sentence answers, another section's does not."""
    made = []
    for domain, below in (("rust-book", "rust-book-md"), ("fastapi", "fastapi-docs/en")):
        folder = DATA / "docs" / below.partition("/")[0]
        for path in sorted((DATA / "docs" / below).rglob("*.md")):
            if not is_held_out(path.relative_to(folder).as_posix()):
                title, pieces = sections(path.read_text(encoding="utf-8"))
                made += list(_of_sections(title, pieces, domain, chance))
    chance.shuffle(made)
    yield from made[:limit]


def _of_sections(title: str, pieces: Sequence[str], domain: str, chance: random.Random) -> Iterator[Row]:
    read = [(re.match(r"#{2,6} (?P<h>[^\n{]+)", piece), plain_sentences(piece)) for piece in pieces]
    for heading, found in read:
        others = [one for other, rest in read if other is not heading for one in rest]
        if not heading or not found or not others or " " not in heading["h"].strip():
            continue
        words = heading["h"].strip().replace("`", "")
        query = chance.choice(_ASK_HOW).format(h=words[0].lower() + words[1:])
        right = chance.choice(range(min(2, len(found))))
        yield Row("answers", query, f"{title} > {words}\n{found[right]}", YES, f"heading {domain}", "en", dev=False)
        likest = sorted(others, key=lambda one: -_overlap(query, one))[:3]
        yield Row("answers", query, f"{title}\n{chance.choice(likest)}", NO, f"heading {domain}", "en", dev=False)
