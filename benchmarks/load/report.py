"""Report of a load test as one self-contained HTML page with figures, charts and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from benchmarks.load.charts import Series, Value, axes, bars, lines
from benchmarks.load.drive import Run
from benchmarks.load.figures import Figures, Percentiles, Span, spans
from benchmarks.load.plan import Plan

MAX_BINS = 40  # points of a line; more cannot be told apart on a screen
MIN_BIN_S = 1.0

STYLE = """
:root { color-scheme: light dark; --page: #f9f9f7; --card: #fff; --text: #1c1c1a; --soft: #5f5e58; --rule: #e4e3de;
  --low: #6da7ec; --mid: #2a78d6; --high: #0d366b; --plain: #8a8982; --bad: #c93636; }
@media (prefers-color-scheme: dark) { :root { --page: #0d0d0d; --card: #1a1a19; --text: #f2f1ec; --soft: #a9a89f;
  --rule: #33322e; --low: #2f6fc0; --mid: #6da7ec; --high: #cde2fb; --plain: #8a8982; --bad: #ec6a6a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1rem 3rem; max-width: 60rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 0 0 .25rem; }
p { margin: 0 0 .75rem; } .soft { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; padding: 1rem; margin: 1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.3; }
.warning { border-left: .3rem solid var(--bad); } .warning p { margin: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; } svg .name { fill: var(--text); }
.grid { stroke: var(--rule); stroke-width: 1; } .line { fill: none; stroke: var(--c); stroke-width: 2; }
.dot, .fill { fill: var(--c); } .low { --c: var(--low); } .mid { --c: var(--mid); } .high { --c: var(--high); }
.plain { --c: var(--plain); } .plain.line { stroke-dasharray: 6 4; } .plain.dot { opacity: 0; }
.bad { --c: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; color: var(--soft);
  white-space: normal; vertical-align: bottom; } td, th { font-size: .9rem; }
tr:last-child td { border-bottom: 0; }
"""

COLUMNS = (
    "seconds",
    "asked/s",
    "answered/s",
    "sent",
    "errors",
    "first word p50",
    "first word p95",
    "first word p99",
    "whole answer p50",
    "whole answer p95",
    "whole answer p99",
)
GAPS = ("gap p50", "gap p95", "gap p99")


def page(plan: Plan, run: Run, found: Figures, facts: Mapping[str, str]) -> str:
    """HTML page of a run. `facts` describe the test and are shown as given, so they must not hold a key."""
    bins = _bins(plan)
    by_time = spans(plan, run, bins)
    parts = [
        f"<h1>Load test</h1><p class='soft'>{escape(facts.get('target', ''))}</p>",
        *(f"<section class='warning'><p>{escape(text)}</p></section>" for text in found.warnings),
        _tiles(found),
        _section(
            "Time to the first word",
            "From when a request was due, so a late start counts.",
            _times(plan, by_time, first=True),
        ),
        _section("Time to the whole answer", "Complete answers only.", _times(plan, by_time, first=False)),
        _section("Rate", "What the plan asked for, and the complete answers that came.", _rates(plan, by_time)),
        _section("Errors", _errors_text(found), _errors(plan, by_time)),
        _section(
            "By step", "Milliseconds, by nearest rank in the sorted times.", _table(COLUMNS, map(row, found.steps))
        ),
        _section("Errors by kind", "", _table(("kind", "requests"), _kinds(found))),
        _section(
            "Between two words", f"Milliseconds; {found.words:,} words came.", _table(GAPS, [_three(found.gap_s)])
        ),
        _section("How it was asked", "", _table(("", ""), facts.items())),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Load test</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def ms(seconds: float | None) -> str:
    """Milliseconds with what counts; a dash for nothing."""
    if seconds is None:
        return "–"
    value = seconds * 1000
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _bins(plan: Plan) -> list[tuple[float, float]]:
    count = max(1, min(MAX_BINS, math.floor(plan.duration_s / MIN_BIN_S)))
    width = plan.duration_s / count
    return [(width * number, width * (number + 1)) for number in range(count)]


def _middles(by_time: Sequence[Span]) -> list[float]:
    return [(span.start_s + span.end_s) / 2 for span in by_time]


def _times(plan: Plan, by_time: Sequence[Span], *, first: bool) -> str:
    times = [span.first_s if first else span.total_s for span in by_time]
    series = [
        Series("p50", "low", [_in_ms(each.p50) for each in times]),
        Series("p95", "mid", [_in_ms(each.p95) for each in times]),
        Series("p99", "high", [_in_ms(each.p99) for each in times]),
    ]
    most = max((value for one in series for value in one.values if value is not None), default=0.0)
    what = "first word" if first else "whole answer"
    about = f"Milliseconds to the {what} over the seconds of the test: median, 95th and 99th percentile."
    return lines(axes(f"Time to the {what}", about, _middles(by_time), plan.duration_s, "ms", most), series)


def _in_ms(seconds: Value) -> Value:
    return None if seconds is None else seconds * 1000


def _rates(plan: Plan, by_time: Sequence[Span]) -> str:
    asked = Series("asked", "plain", [span.asked_rate for span in by_time])
    achieved = Series("answered", "mid", [span.achieved_rate for span in by_time])
    most = max((value or 0.0 for one in (asked, achieved) for value in one.values), default=0.0)
    about = "Requests a second that were asked for, and complete answers a second, over the seconds of the test."
    return lines(axes("Rate", about, _middles(by_time), plan.duration_s, "/s", most), [asked, achieved])


def _errors(plan: Plan, by_time: Sequence[Span]) -> str:
    counts = Series("errors", "bad", [float(span.failed + span.not_sent) for span in by_time])
    most = max((value or 0.0 for value in counts.values), default=0.0)
    about = "Requests that failed or were not sent, over the seconds of the test."
    return bars(axes("Errors", about, _middles(by_time), plan.duration_s, "", max(4.0, most)), counts)


def _errors_text(found: Figures) -> str:
    return "Failed or not sent, by when they were due." if found.problems else "None."


def _tiles(found: Figures) -> str:
    whole = found.whole
    tiles = {
        "requests": f"{whole.sent + whole.not_sent:,}",
        "errors": f"{whole.error_share:.2%}",
        "first word, p50": f"{ms(whole.first_s.p50)} ms",
        "first word, p99": f"{ms(whole.first_s.p99)} ms",
        "whole answer, p99": f"{ms(whole.total_s.p99)} ms",
        "late starts, p99": f"{ms(found.lag_p99_s)} ms",
    }
    inner = "".join(
        f"<div class='tile'><span class='soft'>{escape(name)}</span><b>{escape(value)}</b></div>"
        for name, value in tiles.items()
    )
    return f"<div class='tiles'>{inner}</div>"


def _section(title: str, about: str, inner: str) -> str:
    said = f"<p class='soft'>{escape(about)}</p>" if about else ""
    return f"<section><h2>{escape(title)}</h2>{said}{inner}</section>"


def row(span: Span) -> tuple[str, ...]:
    """A line of the table by step, in the order of `COLUMNS`."""
    return (
        f"{round(span.start_s, 1):g} to {round(span.end_s, 1):g}",
        f"{span.asked_rate:.1f}",
        f"{span.achieved_rate:.1f}",
        f"{span.sent:,}",
        f"{span.error_share:.2%}",
        *_three(span.first_s),
        *_three(span.total_s),
    )


def _three(times: Percentiles) -> tuple[str, str, str]:
    return ms(times.p50), ms(times.p95), ms(times.p99)


def _kinds(found: Figures) -> list[tuple[str, str]]:
    return [(kind, f"{count:,}") for kind, count in found.problems.items()] or [("none", "0")]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns) if any(columns) else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='scroll' tabindex='0'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
