"""Figures as tables for a terminal of 120 columns and as JSON values; nothing is printed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import polars as pl
from rich import box
from rich.table import Table

from shroff.detect.checks import Finding
from shroff.evaluate.expected import MAX_COST
from shroff.evaluate.guarantee import CONFIDENCE
from shroff.evaluate.metrics import Metrics
from shroff.evaluate.split import TemporalSplit
from shroff.evaluate.split_text import parse_split
from shroff.evaluate.thresholds import NEVER

_FIGURES_BY_TITLE = {
    "Accuracy": "accuracy",
    "Precision": "precision",
    "Recall": "recall",
    "F1": "f1",
    "ROC AUC": "roc_auc",
    "Avg. prec.": "average_precision",
}

_PART_TITLES = {
    "train": "learned from",
    "test": "judged by",
    "before": "left out: before the training days",
    "delay": "left out: in the delay, in which labels of the training days come in",
    "after": "left out: after the test days",
    "known_cards": "left out of the test days: cards with an earlier known fraud "
    "(known_cards=drop)",
    "unlabelled": "left out: without a label",
}


_PREQUENTIAL = {
    "ROC AUC": "roc_auc",
    "Avg. prec.": "average_precision",
    "Card precision": "card_precision_at_k",
}


def payment_parts(counts: Mapping[str, tuple[int, int | None]]) -> Table:
    """The parts of a split, and what was left out and why; `counts` has payments and frauds."""
    table = Table(title="Payments", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for title in ("payments", "frauds"):
        table.add_column(title, justify="right")
    for name, (payments, frauds) in counts.items():
        stored = name.startswith("dataset: ")  # left out of a dataset of the store
        table.add_row(
            _PART_TITLES.get(name) or f"left out{' of the' if stored else ':'} {name}",
            f"{payments:,}",
            "unknown" if frauds is None else f"{frauds:,}",
        )
    return table


def comparison(
    runs: Mapping[str, tuple[Metrics, Metrics]], *, title: str = "Training and test payments"
) -> Table:
    """One row per detector, in the order given: each figure on the training and on the test
    payments.

    `runs` maps a detector's name to its training and test figures. Card precision is shown where it
    was measured. Below it is said at which threshold figures are taken.
    """
    with_cards = any(test.card_precision_at_k is not None for _, test in runs.values())
    k = max((test.k for _, test in runs.values()), default=0)
    shown = _FIGURES_BY_TITLE | ({f"CP@{k}": "card_precision_at_k"} if with_cards else {})
    caption = (
        "Accuracy, precision, recall and F1 are at the threshold with the best F1 on held-out "
        "training payments."
    )
    if with_cards:
        caption += (
            f" CP@{k}: of the {k} most suspicious cards a day, the share with a fraud that day."
        )
    table = Table(
        title=title,
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("Detector\n", overflow="fold")
    for title in shown:
        table.add_column(f"{title}\ntrain  test", justify="center", no_wrap=True)
    for name, pair in runs.items():
        table.add_row(name, *(_both(pair, figure) for figure in shown.values()))
    return table


def decisions(
    thresholds: Mapping[str, Mapping[str, float]], *, currency: str | None = None
) -> Table:
    """Reviews, declines and cost per day at each detector's thresholds, on held-out payments; costs
    are in `currency`, which is said where it is known.
    """
    table = Table(
        title=f"Decisions by probability, on held-out training payments{_costs_in(currency)}",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    table.add_column("Detector")
    for title in (
        "review from",
        "decline from",
        "reviews/day",
        "declines/day",
        "cost/day",
        "if all approved",
    ):
        table.add_column(title, justify="right")
    for name, one in thresholds.items():
        daily = [one[f"{what}_per_day"] for what in ("reviews", "declines", "cost")]
        table.add_row(
            name,
            *(_threshold(one[f"{action}_at"]) for action in ("review", "decline")),
            *(f"{figure:,.2f}" for figure in (*daily, one["cost_per_day_if_approved"])),
        )
    return table


_WHICH_WAY: Final = """\
The thresholds above are the best for these very payments. Which way decides is therefore judged on
days on which it was not chosen, unless Policy(decide_by=…) says it."""


def _costs_in(currency: str | None) -> str:
    return "" if currency is None else f"; costs in {currency}"


def by_cost(found: Mapping[str, Mapping[str, Any]], *, currency: str | None = None) -> Table:
    """What deciding payment by payment by expected cost comes to per day, on held-out payments."""
    table = Table(
        title=f"Decisions by cost, payment by payment, on the same payments{_costs_in(currency)}",
        caption=_WHICH_WAY,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    table.add_column("Detector")
    titles = ("price of a review", "reviews/day", "declines/day", "cost/day", "days in capacity")
    challenged = any(one["challenges_per_day"] for one in found.values())
    for title in (*titles[:2], *(["challenges/day"] if challenged else []), *titles[2:]):
        table.add_column(title, justify="right")
    table.add_column("decides")
    for name, one in found.items():
        counts = ("reviews", "challenges", "declines") if challenged else ("reviews", "declines")
        kept = one["kept_days"]
        table.add_row(
            name,
            _price(one["review_price"]),
            *(f"{one[f'{count}_per_day']:,.2f}" for count in counts),
            f"{one['cost_per_day']:,.2f}",
            "no limit" if kept is None else f"{kept:.0%}",
            "yes" if one["in_force"] else "no",
        )
    return table


def _price(value: float) -> str:
    return "no review" if value >= MAX_COST else f"{value:,.2f}"


def prequential(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Each detector's figures where it learned anew for each stretch of the test part: the folds,
    then mean and standard deviation.
    """
    folds = next(iter(found.values()))["folds"]
    named = [title for title, figure in _PREQUENTIAL.items() if folds[0][figure] is not None]
    table = Table(
        title=f"Learned anew for each of {len(folds)} successive stretches of the test part",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    table.add_column("Detector")
    table.add_column("judged")
    for title in ("payments", "frauds", *named):
        table.add_column(title, justify="right")
    for name, one in found.items():
        for fold in one["folds"]:
            figures = (f"{fold[_PREQUENTIAL[title]]:.3f}" for title in named)
            counts = (f"{fold[what]:,}" for what in ("payments", "frauds"))
            table.add_row(name, judged_days(fold["fold"]), *counts, *figures)
        both = (one["mean"], one["std"])
        means = (" ± ".join(f"{part[_PREQUENTIAL[title]]:.3f}" for part in both) for title in named)
        table.add_row(name, "mean ± standard deviation", "", "", *means, end_section=True)
    return table


def judged_days(split: str) -> str:
    """The test days of a split in time.

    >>> judged_days("time:2018-07-25/7/7/7")
    '7 days from 2018-08-08'
    """
    found = parse_split(split)
    if not isinstance(found, TemporalSplit):
        return split
    first = found.start + timedelta(days=found.train_days + found.delay_days)
    return f"{found.test_days} days from {first}"


def guaranteed(name: str, found: Mapping[str, Any]) -> str:
    """What a guarantee says of a detector's declines, in sentences."""
    promise = (
        f"at most {found['most']:.4g} of the cards that it declines are genuine at their first "
        f"decline, {CONFIDENCE:.0%} sure"
    )
    if found["declines_from"] >= NEVER:
        return f"{name} declines nothing: no threshold shows that {promise}."
    test = found["test"]
    return (
        f"{name} declines nothing below {found['declines_from']:.4g}: from there on {promise} "
        f"({found['genuine']:,} of {found['cards']:,} held-out cards). Of the test part's, "
        f"{test['genuine']:,} of {test['cards']:,} are."
    )


def no_review_band(
    name: str, thresholds: Mapping[str, Any], by_cost: Mapping[str, Any] | None
) -> str | None:
    """A sentence about a detector of equal thresholds: no probability sends a payment to review;
    None where they differ, or payments are decided by cost instead.
    """
    decline_at = thresholds["decline_at"]
    if thresholds["review_band"] or (by_cost is not None and by_cost["in_force"]):
        return None
    if decline_at >= NEVER:
        return f"{name} approves every payment: at this cost, neither a review nor a decline pays."
    return (
        f"{name} has no review band: it declines from {decline_at:.4g} on, where it would begin "
        "to review."
    )


def confusion(metrics: Metrics) -> Table:
    """The confusion matrix at the threshold of `metrics`, in payments."""
    at = f"At a probability of {metrics.threshold:.4g} or more"
    table = Table(
        title=at if metrics.threshold < NEVER else "No threshold catches fraud",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("")
    for title in ("passed", "flagged", "total"):
        table.add_column(title, justify="right")
    for name, passed, flagged in (
        ("genuine", metrics.tn, metrics.fp),
        ("fraud", metrics.fn, metrics.tp),
        ("total", metrics.tn + metrics.fn, metrics.fp + metrics.tp),
    ):
        table.add_row(name, f"{passed:,}", f"{flagged:,}", f"{passed + flagged:,}")
    return table


def findings(found: Mapping[str, Sequence[Finding]]) -> Table | str:
    """The doctor's findings by detector (or `data`); one line without any."""
    if not any(found.values()):
        return "The doctor found nothing wrong."
    table = Table("", "Check", "", "What the doctor found", box=box.SIMPLE_HEAD, show_edge=False)
    for subject, ones in found.items():
        for one in ones:
            table.add_row(subject, one.check, one.severity, one.sentence)
    return table


def costs(table_of_costs: pl.DataFrame) -> Table:
    """The frame of `shroff.evaluate.cost_by_threshold` as a table."""
    table = Table(title="Cost by threshold", box=box.SIMPLE_HEAD)
    for title in ("threshold", "flagged", "frauds", "cost if reviewed", "cost if declined"):
        table.add_column(title, justify="right")
    for threshold, flagged, frauds, reviewed, declined in table_of_costs.iter_rows():
        table.add_row(
            _threshold(threshold),
            f"{flagged:,}",
            f"{frauds:,}",
            f"{reviewed:,.2f}",
            f"{declined:,.2f}",
        )
    return table


def to_json(
    runs: Mapping[str, tuple[Metrics, Metrics]],
) -> dict[str, dict[str, dict[str, int | float | None]]]:
    """All figures of all detectors: name, then `train` or `test`, then the figure's name."""
    return {
        name: {"train": train.to_dict(), "test": test.to_dict()}
        for name, (train, test) in runs.items()
    }


def _threshold(value: float) -> str:
    return "never" if value >= NEVER else f"{value:.4f}"


def _both(pair: tuple[Metrics, Metrics], figure: str) -> str:
    return " ".join(_figure(metrics.to_dict()[figure]) for metrics in pair)


def _figure(value: float | None) -> str:
    return "  —  " if value is None else f"{value:.3f}"
