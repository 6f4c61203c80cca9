"""The sections of a report, each from the record of a run."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any, Final

from shroff.evaluate import NEVER, cuts
from shroff.evaluate.judgement import Judgement
from shroff.experiment import RunRecord
from shroff.markup import Html, html, tag
from shroff.report import charts
from shroff.report.blocks import detector_name, prose, section, share, table, words
from shroff.report.money import money_section
from shroff.report.prequential import prequential_section
from shroff.report.schemes import schemes_section
from shroff.report.threshold import threshold_of, threshold_section

_FIGURE_TITLES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "brier": "Brier",
    "log_loss": "Log loss",
}


def _flagged(record: RunRecord, name: str) -> tuple[int, int]:
    """The frauds and the genuine payments that a detector does not approve."""
    shown = record.evaluation[name]
    if shown.caught is not None and shown.false_alerts is not None:
        return shown.caught, shown.false_alerts
    cut = cuts.at(shown.bins, threshold_of(record, name))
    return cut.tp, cut.fp


def _ground(record: RunRecord, name: str) -> str:
    by_cost = record.figures["detectors"][name].get("by_cost")
    if by_cost and by_cost["in_force"]:
        return "With the cheapest action for each payment"
    threshold = threshold_of(record, name)
    if threshold >= NEVER:
        return "No threshold of it catches fraud, and so"
    return f"At its threshold of {threshold:.3g}"


def summary(record: RunRecord) -> Html:
    """The run in sentences: what was compared, the best detector, and what it would do."""
    best = record.figures["best"]
    one, shown = record.figures["detectors"][best], record.evaluation[best]
    test, parts = one["test"], record.figures["parts"]
    low, high = shown.intervals["average_precision"]
    caught, wrong = _flagged(record, best)
    sentences = [
        f"{len(record.evaluation)} detectors learned from {parts['train']['payments']:,} payments "
        f"and were judged by {test['n']:,} others, of which {test['frauds']:,} are frauds.",
        f"{words(best)} was the best on payments held out of the training part. On the test part "
        "its average "
        f"precision is {test['average_precision']:.3f} (95 % interval {low:.3f} to {high:.3f}).",
        f"{_ground(record, best)} it flags {shown.alerts_per_day:.1f} "
        f"payments a day: it finds {caught:,} of {test['frauds']:,} frauds, and {wrong:,} "
        "flagged payments are genuine."
        if shown.alerts_per_day
        else "By the policy's costs it would flag no payment.",
    ]
    if shown.value_detection_rate is not None and shown.alerts_per_day:
        sentences.append(
            f"The frauds that it flags are {shown.value_detection_rate:.1%} of the money lost to "
            "fraud."
        )
    return tag(
        "header",
        tag("h1", "How good are these detectors?"),
        tag(
            "p",
            f"Run {record.run}, begun {record.began[:16].replace('T', ' ')} UTC",
            class_="quiet",
        ),
        *(tag("p", sentence, class_="lead") for sentence in sentences),
        tag("p", record.figures["outlook"], class_="quiet"),
    )


def comparison(record: RunRecord) -> Html:
    """All detectors in one table, training and test, with intervals."""
    head = (
        "Detector",
        *_FIGURE_TITLES.values(),
        "Recall at 1 % false positives",
        "Value detected",
        "Alerts a day",
    )
    cards = next(iter(record.figures["detectors"].values()))["test"]
    at_k = cards["card_precision_at_k"] is not None
    if at_k:
        head = (*head, f"Card precision@{cards['k']}")
    rows = []
    for name, one in record.figures["detectors"].items():
        shown = record.evaluation[name]
        cells = [_figure(one, shown, figure) for figure in _FIGURE_TITLES]
        value = shown.value_detection_rate
        cells += [
            html(f"{shown.recall_at_1_percent:.3f}"),
            html("–" if value is None else f"{value:.1%}"),
        ]
        cells.append(html(f"{shown.alerts_per_day:.1f}"))
        if at_k:
            cells.append(html(f"{one['test']['card_precision_at_k']:.3f}"))
        rows.append((detector_name(name, best=name == record.figures["best"]), *cells))
    return section(
        "Detectors compared",
        prose(
            "On the test part, which no detector learned from. Below each figure: its 95 % "
            "interval, by resampling cards, and the figure on the training part; a large gap is "
            "overfitting. Precision, recall and F1 are at the threshold with the best F1 on "
            "held-out payments; value detected and alerts at the policy's thresholds."
        ),
        table("Figures on the test part", head, rows),
    )


def curves(record: RunRecord) -> Html:
    """ROC and precision-recall curves of all detectors on one chart each."""
    roc = {name: charts.thin(cuts.roc(one.bins)) for name, one in record.evaluation.items()}
    found = {name: cuts.precision_recall(one.bins) for name, one in record.evaluation.items()}
    return section(
        "Curves",
        tag(
            "div",
            charts.lines(
                "ROC curve",
                roc,
                x="share of genuine payments flagged",
                y="share of frauds found",
                diagonal=True,
            ),
            charts.lines("Precision and recall", found, x="recall", y="precision"),
            class_="pair",
        ),
    )


def scores(record: RunRecord) -> Html:
    """How the best detector's probabilities are distributed, and whether all are calibrated."""
    best = record.figures["best"]
    bands = [band for band in record.evaluation[best].bands if band.payments]
    most = max(_log(band.payments) for band in bands)
    rows = []
    for band in bands:
        genuine = band.payments - band.frauds
        both = [
            ("genuine", _log(genuine) / most, f"{genuine:,}"),
            ("fraud", _log(band.frauds) / most, f"{band.frauds:,}"),
        ]
        rows.append((f"{band.low:g} to {band.high:g}", both))
    calibration = {
        name: [
            (band.expected / band.payments, band.frauds / band.payments)
            for band in one.bands
            if band.payments >= 20
        ]
        for name, one in record.evaluation.items()
    }
    return section(
        "Scores and calibration",
        tag(
            "div",
            charts.bars(
                f"Probabilities of {best}: genuine payments (upper bar) and frauds (lower), on a "
                "logarithmic scale",
                rows,
            ),
            charts.lines(
                "Calibration: a point per band of at least 20 payments; on the dotted line, 30 % "
                "means 30 of 100",
                calibration,
                x="mean probability",
                y="share of frauds",
                diagonal=True,
                dots=True,
            ),
            class_="pair",
        ),
    )


def segments(record: RunRecord) -> Html:
    """What the best detector's decisions do to segments of payments."""
    best = record.figures["best"]
    head = ("Value", "Payments", "Frauds", "Found", "Genuine declined", "95 % interval")
    tables = []
    for column, each in groupby(record.evaluation[best].segments, key=lambda one: one.column):
        rows = []
        for one in each:
            low, high = one.false_decline_interval
            found, wrong = (
                share(one.caught, one.frauds),
                share(one.false_declines, one.payments - one.frauds, digits=2),
            )
            cells = (
                f"{one.payments:,}",
                f"{one.frauds:,}",
                found,
                wrong,
                f"{low:.2%} to {high:.2%}",
            )
            rows.append((html(one.value), *map(html, cells)))
        tables.append(table(column, head, rows))
    return section(
        "Segments",
        prose(
            f"{words(best)} at the policy's thresholds, on the test part. Found: frauds reviewed "
            "or declined. Intervals of 95 % resample cards, and of few declines or none end at 3 "
            "/ n of the segment's n cards or above (the rule of three); where they overlap, "
            "segments may not differ."
        ),
        tag("div", *tables, class_="pair"),
    )


def inputs(record: RunRecord) -> Html:
    """Which inputs the best detector needs."""
    needed = [(name, value) for name, value in record.importance.items() if value > 0][:20]
    if not needed:
        return Html("")
    most = needed[0][1]
    rows = [(name, [("plain", value / most, f"{value:.3f}")]) for name, value in needed]
    return section(
        "Inputs",
        prose(
            "How much average precision is lost when an input's values are shuffled among test "
            "payments. Inputs that "
            "say the same cover for each other, so a low one is not useless by itself."
        ),
        charts.bars(f"Importance of inputs for {record.figures['best']}", rows),
    )


def rules(record: RunRecord) -> Html:
    """The detectors' recall where each flags as many genuine payments as the rules do."""
    name = next((one for one in record.evaluation if one.split("-")[0] == "rules"), None)
    bins = record.evaluation[name or record.figures["best"]].bins
    genuine = sum(bins.payments) - sum(bins.frauds)
    most = record.figures["detectors"][name]["test"]["fp"] if name else genuine // 100
    about = f"as the rules do ({most:,})" if name else f"as 1 % of them ({most:,})"
    rows = []
    for each, one in record.evaluation.items():
        cut = cuts.at_false_positives(one.bins, most)
        found = f"{cut.tp:,} of {sum(one.bins.frauds):,}"
        cells = (found, share(cut.tp, sum(one.bins.frauds)), f"{cut.precision:.1%}", f"{cut.fp:,}")
        rows.append((detector_name(each), *map(html, cells)))
    return section(
        "At equal false positives",
        prose(
            "Each detector at the lowest threshold at which it flags at most as many genuine "
            f"payments {about}."
        ),
        table(
            "Frauds found at equal false positives",
            ("Detector", "Frauds found", "Recall", "Precision", "Genuine flagged"),
            rows,
        ),
    )


def findings(record: RunRecord) -> Html:
    """What the doctor found."""
    subjects = {"data": record.figures} | record.figures["detectors"]
    rows = [
        tag(
            "li",
            tag("strong", each["severity"], class_=each["severity"]),
            f" {name}, {each['check']}: {each['sentence']}",
        )
        for name, one in subjects.items()
        for each in one["findings"]
    ]
    return section(
        "The doctor's findings",
        tag("ul", *rows) if rows else prose("The doctor found nothing wrong."),
    )


def lineage(record: RunRecord) -> Html:
    """The run's data, definitions, code and machine."""
    read = record.inputs
    facts: dict[str, Any] = {
        role: f"{one['file']}, SHA-256 {one['sha256']}"
        for role, one in read.items()
        if "file" in one
    }
    facts |= {role: one["source"] for role, one in read.items() if "source" in one}
    if "dataset" in read:
        facts["dataset"] = f"{read['dataset']['name']}, version {read['dataset']['version']}"
    facts["table learned from"] = f"SHA-256 {read['table']}"
    facts["split"] = record.figures["split"]
    left = {
        name: part
        for name, part in record.figures["parts"].items()
        if name not in ("train", "test")
    }
    facts["left out"] = (
        ", ".join(f"{part['payments']:,} ({name})" for name, part in left.items()) or "nothing"
    )
    dropped = record.figures.get("dropped", {})
    facts["dropped by cleaning"] = (
        "; ".join(f"{count:,} rows: {reason}" for reason, count in dropped.items()) or "nothing"
    )
    facts["feature groups"] = ", ".join(
        f"{name} version {one['version']}" for name, one in read["features"].items()
    )
    facts["inputs"] = ", ".join(record.figures["inputs"])
    none = record.refusal or "none was packaged"
    facts["bundle"] = none if record.bundle is None else record.bundle["version"]
    facts["code"] = ", ".join(f"{name} {version}" for name, version in record.code.items())
    facts["machine"] = f"{record.machine['system']}, {record.machine['cores']} cores"
    facts["took"] = f"{sum(record.seconds.values()):.1f} s"
    pairs = (part for name, text in facts.items() for part in (tag("dt", name), tag("dd", text)))
    return section("Lineage", tag("dl", *pairs, class_="facts"))


SECTIONS: Final = (
    summary,
    comparison,
    prequential_section,
    curves,
    money_section,
    threshold_section,
    scores,
    segments,
    inputs,
    rules,
    schemes_section,
    findings,
    lineage,
)


def _figure(one: dict[str, Any], shown: Judgement, figure: str) -> Html:
    interval = shown.intervals.get(figure)
    beneath = [] if interval is None else [f"{interval[0]:.3f}–{interval[1]:.3f}"]
    beneath.append(f"train {one['train'][figure]:.3f}")
    return html(f"{one['test'][figure]:.3f}", *(tag("small", text) for text in beneath))


def _log(count: int) -> float:
    return math.log10(1 + count)
