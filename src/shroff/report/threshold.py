"""The threshold of a report: where it begins, and the section in which the reader moves it."""

from __future__ import annotations

from shroff.evaluate import NEVER, cuts
from shroff.evaluate.cost import AMOUNT
from shroff.experiment import RunRecord
from shroff.markup import Html, html, tag
from shroff.report.blocks import prose, section, share, table
from shroff.report.money import cost_in_words, currency_of


def threshold_of(record: RunRecord, name: str) -> float:
    """The threshold that flags a detector's payments: `review_at`, or else that of the best F1."""
    one = record.figures["detectors"][name]
    review_at = one["thresholds"]["review_at"]
    return float(review_at if review_at < NEVER else one["test"]["threshold"])


def threshold_section(record: RunRecord) -> Html:
    """The best detector's confusion matrix at its threshold, which the script moves."""
    best = record.figures["best"]
    bins, threshold = record.evaluation[best].bins, threshold_of(record, best)
    cut, cost = cuts.at(bins, threshold), record.parameters["policy"]["cost"]
    frauds, genuine = sum(bins.frauds), sum(bins.payments) - sum(bins.frauds)
    flagged, lost, money = cut.tp + cut.fp, sum(bins.lost), sum(bins.lost) > 0
    review = cuts.review_cost(cost)
    by_amount, fixed = cost["missed"] == AMOUNT, not isinstance(cost["declined"], str)
    priced = money if by_amount else not isinstance(cost["missed"], str)
    missed = lost - cut.saved if by_amount or not priced else cost["missed"] * (frauds - cut.tp)
    refused = cost["declined"] * cut.fp if fixed else 0.0
    figures = {
        "precision": ("Precision", share(cut.tp, flagged)),
        "recall": ("Recall", share(cut.tp, frauds)),
        "false-positives": ("Genuine payments flagged", share(cut.fp, genuine)),
        "alerts": ("Alerts a day", f"{flagged / bins.days:.1f}"),
        "saved": ("Fraud stopped a day", f"{cut.saved / bins.days:,.2f}" if money else "–"),
        "reviewed": (
            "Cost a day if all flagged are reviewed",
            _daily(missed + (review or 0.0) * flagged, bins.days, priced and review is not None),
        ),
        "declined": (
            "Cost a day if all flagged are declined",
            _daily(missed + refused, bins.days, priced and fixed),
        ),
    }
    options = (tag("option", name, value=name, selected=name == best) for name in record.evaluation)
    controls = tag(
        "div",
        tag("label", "Detector", for_="which"),
        tag("select", *options, id="which", autocomplete="off"),
        tag("label", "Threshold: left flags few payments, right flags many", for_="slider"),
        tag("input", type="range", id="slider", min="0", step="1", autocomplete="off"),
        class_="controls",
        id="controls",
        hidden=True,
    )
    head = ("", "Passed", "Flagged")
    cell = {"tn": genuine - cut.fp, "fp": cut.fp, "fn": frauds - cut.tp, "tp": cut.tp}
    cells = {key: tag("span", f"{value:,}", id=key) for key, value in cell.items()}
    rows = [(html("Genuine"), cells["tn"], cells["fp"]), (html("Fraud"), cells["fn"], cells["tp"])]
    at = tag(
        "p",
        tag("code", best, id="detector"),
        " at a probability from ",
        tag("strong", _text(threshold), id="threshold"),
    )
    facts = (
        tag("div", tag("dt", title), tag("dd", text, id=key))
        for key, (title, text) in figures.items()
    )
    return section(
        "Move the threshold",
        prose(
            "Payments whose probability is at or above the threshold are flagged. Money is in "
            f"{currency_of(record) or 'the currency of the amounts'}; a review costs "
            f"{cost_in_words(cost['review'])}, a declined "
            f"genuine payment {cost_in_words(cost['declined'])}, a missed fraud "
            f"{cost_in_words(cost['missed'])}."
        ),
        tag(
            "div",
            controls,
            at,
            table("Confusion matrix, in payments", head, rows),
            tag("dl", *facts, class_="cells"),
            class_="desk",
        ),
    )


def _text(threshold: float) -> str:
    return "above all" if threshold >= NEVER else f"{threshold:.3g}"


def _daily(total: float, days: float, priced: bool) -> str:
    return f"{total / days:,.2f}" if priced else "–"
