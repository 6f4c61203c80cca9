"""The verdict as one HTML file that fetches nothing and needs no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from shroff.evaluate.weighted import Estimate
from shroff.markup import Html, html, join, prose, tag
from shroff.monitor.drift import ColumnDrift
from shroff.monitor.early import ASSUMPTIONS, EarlyFrauds
from shroff.monitor.finding import Finding
from shroff.monitor.lane import LaneMonth
from shroff.monitor.performance import Month
from shroff.monitor.verdict import ModelVerdict
from shroff.report.blocks import section, table
from shroff.report.charts import bars, lines
from shroff.report.page import document

_SHOWN_COLUMNS = 30
_CLASSES = {"alarm": "failure", "warning": "warning", "info": "quiet"}


def page(
    verdict: ModelVerdict,
    *,
    by: str | None = None,
    segments: Sequence[Month] = (),
) -> str:
    """The verdict, what was compared, and what decisions came to."""
    parts = [
        _head(verdict),
        section("Findings", *_findings(verdict.findings)),
        section("Columns against training", *_columns(verdict)),
        section("What decisions came to", *_months(verdict.months, "month")),
    ]
    if segments:
        parts.append(section(f"By {by}", *_months(segments, str(by))))
    if verdict.lanes:
        parts.append(section("By the control lane", _lanes(verdict.lanes)))
    early = [one for one in verdict.early if one.by_delay or one.by_lane]
    if early:
        parts.append(section("Before labels are in", *_early(early)))
    return document("Shroff: monitoring", join(parts))


def _head(verdict: ModelVerdict) -> Html:
    severe = sum(one.severity == "alarm" for one in verdict.findings)
    told = f"{severe:,} {'alarm' if severe == 1 else 'alarms'}" if severe else "No alarm"
    kind = "failure" if severe else "best"
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return tag(
        "header",
        tag("h1", "Monitoring"),
        tag("p", tag("strong", told, class_=kind), f", looked at {moment} UTC.", class_="lead"),
        *(tag("p", prose(sentence)) for sentence in verdict.summary),
    )


def _findings(findings: Sequence[Finding]) -> Iterator[Html]:
    if not findings:
        yield tag("p", "Nothing was found.")
        return
    yield tag("ul", *map(_item, findings))


def _item(one: Finding) -> Html:
    severity = tag("strong", one.severity.capitalize(), class_=_CLASSES[one.severity])
    since = "" if one.since is None else tag("small", f" since {one.since}", class_="quiet")
    return tag("li", severity, f" ({one.kind}) ", prose(one.sentence), since)


def _columns(verdict: ModelVerdict) -> Iterator[Html]:
    columns = [one for one in verdict.drift.all if one.windows]
    if not columns:
        yield tag("p", "No whole day has passed: there is nothing to compare.")
        return
    shown = columns[:_SHOWN_COLUMNS]
    yield table(
        "The columns that moved most; PSI is the population stability index of the last week",
        ("column", "windows", "PSI", "first alarm", "last alarm", "Cohen's h"),
        [_column(one) for one in shown],
    )
    if len(columns) > len(shown):
        left = len(columns) - len(shown)
        yield tag("p", f"{left:,} more columns moved less; --json has all.", class_="quiet")
    moved = [one for one in shown if one.last is not None][:8]
    if moved:
        yield bars(
            "The share that moved most in each column: in training above, now below", _shares(moved)
        )


def _column(one: ColumnDrift) -> tuple[Html, ...]:
    first, last = one.first, one.last
    return (
        tag("code", one.column),
        html(f"{one.windows:,}"),
        html("" if one.stability_index is None else f"{one.stability_index:.3f}"),
        html("" if first is None else str(first.since)),
        html("" if last is None else str(last.since)),
        html("" if last is None else f"{last.drift:.2f}"),
    )


def _shares(
    moved: Sequence[ColumnDrift],
) -> list[tuple[str, list[tuple[str, float, str]]]]:
    return [
        (
            f"{one.column}: {one.last.what}",
            [
                ("genuine", one.last.training.share, f"{one.last.training.share:.1%}"),
                ("fraud", one.last.now.share, f"{one.last.now.share:.1%}"),
            ],
        )
        for one in moved
        if one.last is not None
    ]


def _months(months: Sequence[Month], name: str) -> Iterator[Html]:
    known = [one for one in months if one.mature]
    if not known:
        yield tag("p", "No labels have had their time yet.")
        return
    yield table(
        "Payments whose labels have come, with 95 % intervals",
        (
            *(name, "payments", "frauds", "precision", "recall", "lost", "stopped"),
            *("expected", "came", "saved"),
        ),
        [_month(one) for one in known],
    )
    if name == "month" and len(known) > 1:
        last = len(known) - 1
        ends = {
            f"{what}, {end}": [
                (at / last, both[place])
                for at, one in enumerate(known)
                if (both := one.precision_interval if what == "precision" else one.recall)
            ]
            for what in ("precision", "recall")
            for place, end in enumerate(("at least", "at most"))
        }
        title = f"Precision and recall from {known[0].month} to {known[-1].month}"
        yield lines(title, ends, x="share of the time", y="precision, recall", dots=True)


def _month(one: Month) -> tuple[Html, ...]:
    return (
        html(one.month),
        html(f"{one.mature:,}"),
        html(f"{one.known_frauds:,}"),
        html(_between(one.precision_interval)),
        html(_between(one.recall)),
        html(f"{one.lost:,.0f}"),
        html(f"{one.stopped:,.0f}"),
        html(f"{one.expected:,.0f}"),
        html(_between(one.frauds_interval, digits=0)),
        html("" if one.saved is None else f"{one.saved:,.0f}")
        if one.saved_interval is None
        else html(f"{one.saved or 0:,.0f}", tag("small", _between(one.saved_interval, digits=0))),
    )


def _lanes(lanes: Sequence[LaneMonth]) -> Html:
    head = ("month", "stopped", "taken", "no chance", "false declines", "precision", "recall")
    return table(
        "Declines and challenges that had a chance, with 95 % intervals",
        (*head, "saved", "refused", "lane lost"),
        [
            tuple(
                map(
                    html,
                    (
                        one.month,
                        f"{one.stopped:,}",
                        f"{one.taken:,}",
                        ", ".join(f"{count:,} {why}" for why, count in one.no_chance.items()),
                        _estimate(one.false_declines),
                        _estimate(one.precision, digits=2),
                        _estimate(one.recall, digits=2),
                        _estimate(one.saved),
                        _estimate(one.refused),
                        f"{one.lane_lost:,.0f}",
                    ),
                )
            )
            for one in lanes
        ],
    )


def _early(early: Sequence[EarlyFrauds]) -> Iterator[Html]:
    yield table(
        "Frauds, estimated before all labels are in, with 95 % intervals",
        ("month", "decided", "payments", "too young", "known", "by delay", "by lane", "matured"),
        [
            tuple(
                map(
                    html,
                    (
                        one.month,
                        one.decided,
                        f"{one.payments:,}",
                        f"{one.too_young:,}",
                        f"{one.known:,}",
                        _estimate(one.by_delay),
                        _estimate(one.by_lane),
                        _estimate(one.matured),
                    ),
                )
            )
            for one in early
        ],
    )
    for name, assumption in ASSUMPTIONS.items():
        if any(getattr(one, name) for one in early):
            yield tag("p", f"{name.replace('_', ' ').capitalize()}: {assumption}.", class_="quiet")


def _estimate(one: Estimate | None, *, digits: int = 0) -> str:
    if one is None:
        return ""
    value = f"{one.value:,.{digits}f}"
    bounds = f" ({one.low:,.{digits}f} – {one.high:,.{digits}f})"
    return value if one.low == one.high else value + bounds


def _between(both: tuple[float, float] | None, *, digits: int = 2) -> str:
    if both is None:
        return ""
    low, high = both
    return f"{low:,.{digits}f}" if low == high else f"{low:,.{digits}f} – {high:,.{digits}f}"
