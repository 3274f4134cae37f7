"""The report of a run: all figures as plain data, and as a text of tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.verification.figures import (
    Judged,
    Share,
    area,
    area_of,
    by_kind,
    calibration,
    macro,
    percentile,
)

EDITED = ("built", "wordings", "held_out")
CONTRASTS = {
    "squad, right against wrong answer": ("squad, right answer", "squad, wrong answer of the same kind"),
    "squad, right answer against none": ("squad, right answer", "squad, question without an answer"),
    "scifact, supported against contradicted": ("scifact, supported", "scifact, contradicted"),
    "climate-fever, supported against contradicted": ("climate-fever, supported", "climate-fever, contradicted"),
    "healthver, supported against contradicted": ("healthver, supported", "healthver, contradicted"),
}
"""Pairs of natural kinds whose areas under the curve are reported."""


def figures_of(judged: Sequence[Judged], seconds: Sequence[float]) -> dict[str, Any]:
    """All figures of a run, for JSON; shares are `[value, low, high, n]`."""
    groups = {name: [one for one in judged if one.group == name] for name in dict.fromkeys(one.group for one in judged)}
    return {
        "groups": {name: _group(name, found) for name, found in groups.items()},
        "contrasts": _contrasts(groups.get("natural", [])),
        "seconds": {"answers": len(seconds), "p50": percentile(seconds, 0.5), "p95": percentile(seconds, 0.95)},
    }


def _group(name: str, found: list[Judged]) -> dict[str, Any]:
    bins, error = calibration(found)
    new = [one for one in found if one.new]
    true, false = by_kind(found, true=True), by_kind(found, true=False)
    whole: dict[str, Any] = {
        "true": {kind: _share(share) for kind, share in true.items()},
        "false": {kind: _share(share) for kind, share in false.items()},
        "verdicts": _verdicts(found),
    }
    if name in EDITED:
        whole |= {
            "macro recall": macro(true),
            "macro false accepts": macro(false),
            "no built kin": {
                "macro recall": macro(by_kind(new, true=True)),
                "macro false accepts": macro(by_kind(new, true=False)),
                "area": area_of(new),
            },
            "precision": _share(Share(*_right(found))),
            "area": area_of(found),
            "calibration": [[one.n, one.score, one.true] for one in bins],
            "calibration error": error,
            "languages": _languages(found),
        }
    return whole


def _share(share: Share) -> list[float]:
    return [share.value, *share.interval, share.n]


def _right(found: list[Judged]) -> tuple[int, int]:
    kept = [one.true for one in found if one.accepted]
    return sum(kept), len(kept)


def _verdicts(found: list[Judged]) -> dict[str, dict[str, int]]:
    """Counts of each verdict among true and false cases."""
    return {
        side: {name: sum(one.verdict == name for one in cases) for name in sorted({one.verdict for one in cases})}
        for side, cases in (
            ("true", [one for one in found if one.true]),
            ("false", [one for one in found if not one.true]),
        )
    }


def _languages(found: list[Judged]) -> dict[str, Any]:
    languages = sorted({one.language for one in found})
    own = {language: [one for one in found if one.language == language] for language in languages}
    return {
        language: {
            "macro recall": macro(by_kind(cases, true=True)),
            "macro false accepts": macro(by_kind(cases, true=False)),
            "area": area_of(cases),
        }
        for language, cases in own.items()
    }


def _contrasts(natural: list[Judged]) -> dict[str, float]:
    scores = {kind: [one.score for one in natural if one.kind == kind] for pair in CONTRASTS.values() for kind in pair}
    return {name: area(scores[right], scores[wrong]) for name, (right, wrong) in CONTRASTS.items()}


def printed(found: dict[str, Any], *, kinds_of_held_out: bool) -> str:
    """The report as text; without the single held-out kinds where builders read it."""
    parts: list[str] = []
    for name, group in found["groups"].items():
        parts.append(f"\n{name}: {len(group['true'])} true and {len(group['false'])} false kinds")
        parts += _totals(group) if name in EDITED else []
        parts += _kinds(group) if kinds_of_held_out or name != "held_out" else []
        parts += [f"  verdicts of {side} cases: {counts}" for side, counts in group["verdicts"].items()]
    parts += [
        "",
        *(f"  AUC {value:.3f}  {name}" for name, value in found["contrasts"].items() if not math.isnan(value)),
    ]
    speed = found["seconds"]
    parts.append(
        f"\nchecking an answer of three sentences: p50 {speed['p50'] * 1e3:.1f} ms, p95 {speed['p95'] * 1e3:.1f} ms"
    )
    return "\n".join(parts)


def _totals(group: dict[str, Any]) -> Iterator[str]:
    yield f"  macro recall         {_spread(group['macro recall'])}"
    yield f"  macro false accepts  {_spread(group['macro false accepts'])}"
    if not math.isnan(group["no built kin"]["area"]):
        yield f"  recall, kinds without a built kin         {_spread(group['no built kin']['macro recall'])}"
        yield f"  false accepts, kinds without a built kin  {_spread(group['no built kin']['macro false accepts'])}"
        yield f"  AUC, kinds without a built kin            {group['no built kin']['area']:.3f}"
    precision, error = group["precision"][0], group["calibration error"]
    yield f"  precision {precision:.3f}   AUC {group['area']:.3f}   calibration error {error:.3f}"
    for language, own in group["languages"].items():
        recall, wrong = own["macro recall"][0], own["macro false accepts"][0]
        yield f"    {language}: recall {recall:.3f}  false accepts {wrong:.3f}  AUC {own['area']:.3f}"
    yield "  score   cases   mean score   share true"
    for place, (n, score, true) in enumerate(group["calibration"]):
        yield f"  {place / 10:.1f}    {n:6d}   {score:9.3f}   {true:9.3f}"


def _spread(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} ({values[1]:.3f} to {values[2]:.3f} over kinds)"


def _kinds(group: dict[str, Any]) -> Iterator[str]:
    for side in ("true", "false"):
        yield f"  {side} kinds: accepted, 95 % interval, n"
        for kind, (value, low, high, n) in sorted(group[side].items(), key=lambda one: -one[1][0]):
            yield f"    {kind:42s} {value:.3f}  {low:.3f} to {high:.3f}  {n}"
