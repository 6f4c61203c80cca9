from __future__ import annotations

import json
from io import StringIO

import numpy as np
from rich.console import Console
from rich.table import Table

from shroff.evaluate import Cost, Metrics, cost_by_threshold, measure
from shroff.evaluate.report import (
    comparison,
    confusion,
    costs,
    decisions,
    no_review_band,
    payment_parts,
    to_json,
)

Y = np.array([0, 0, 0, 0, 1, 1])
GOOD = measure(Y, np.array([0.1, 0.1, 0.2, 0.3, 0.8, 0.9]), threshold=0.5)
FAIR = measure(Y, np.array([0.1, 0.1, 0.2, 0.7, 0.3, 0.9]), threshold=0.5)


def with_cards(k: int) -> Metrics:
    return measure(Y, np.linspace(0, 1, 6), threshold=0.5, day=np.zeros(6), card=np.arange(6), k=k)


def text(table: Table) -> str:
    out = StringIO()
    Console(file=out, width=120, color_system=None).print(table)
    return out.getvalue()


def line(shown: str, start: str) -> list[str]:
    return next(line.split() for line in shown.splitlines() if line.split()[:1] == [start])


def test_comparison_puts_training_and_test_side_by_side() -> None:
    shown = text(comparison({"Rules": (GOOD, FAIR), "BoostedTrees": (FAIR, FAIR)}))
    assert line(shown, "Rules") == [
        *("Rules", "1.000", "0.667", "1.000", "0.500", "1.000", "0.500"),
        *("1.000", "0.500", "1.000", "0.875", "1.000", "0.833"),
    ]
    assert shown.index("Rules") < shown.index("BoostedTrees")
    assert "CP@" not in shown


def test_comparison_fits_120_columns_with_long_names_and_card_precision() -> None:
    names = ["LogisticRegression", "a detector with a name of its own"]
    shown = text(comparison({name: (GOOD, with_cards(100)) for name in names}))
    assert max(len(line) for line in shown.splitlines()) <= 120
    assert "…" not in shown
    assert line(shown, "LogisticRegression")[-2:] == ["—", "0.020"]
    for title in ("Accuracy", "Precision", "Recall", "F1", "ROC AUC", "Avg. prec.", "CP@100"):
        assert title in shown
    assert shown.count("train  test") == 7
    told = " ".join(shown.split())
    assert (
        "recall and F1 are at the threshold with the best F1 on held-out training payments" in told
    )
    assert "CP@100: of the 100 most suspicious cards a day, the share with a fraud that day" in told


def test_parts_say_what_was_left_out_and_why() -> None:
    counts = {
        "train": (9000, 80),
        "test": (1000, 9),
        "known_cards": (1_200, 70),
        "unlabelled": (40, None),
    }
    shown = text(payment_parts(counts))
    assert line(shown, "judged")[-2:] == ["1,000", "9"]
    assert "cards with an earlier known fraud (known_cards=drop)" in shown
    assert "without a label" in shown
    assert line(shown, "left")[-2:] == ["1,200", "70"]
    assert "40  unknown" in shown


def test_decisions_show_thresholds_and_what_they_come_to_per_day() -> None:
    a_day = {
        "reviews_per_day": 12.5,
        "declines_per_day": 3.0,
        "cost_per_day": 80.0,
        "cost_per_day_if_approved": 1200.0,
    }
    shown = text(decisions({"trees": {"review_at": 0.25, "decline_at": 2.0, **a_day}}))
    assert line(shown, "trees") == [
        "trees",
        "0.2500",
        "never",
        "12.50",
        "3.00",
        "80.00",
        "1,200.00",
    ]


def test_equal_thresholds_are_said_aloud() -> None:
    some, none = ({"review_band": False, "decline_at": at} for at in (0.4, 2.0))
    said = str(no_review_band("trees", some, None))
    assert "trees has no review band: it declines from 0.4 on" in said
    assert "approves every payment" in str(no_review_band("trees", none, {"in_force": False}))
    # thresholds that nobody decides by say nothing of what is approved
    assert no_review_band("trees", none, {"in_force": True}) is None
    assert no_review_band("trees", {"review_band": True, "decline_at": 0.4}, None) is None


def test_comparison_of_nothing_is_an_empty_table() -> None:
    assert comparison({}).row_count == 0


def test_confusion_counts_what_became_of_payments() -> None:
    y, p = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0.1, 0.1, 0.2, 0.7, 0.3, 0.8, 0.9])
    shown = text(confusion(measure(y, p, threshold=0.5)))
    assert "0.5 or more" in shown
    assert line(shown, "genuine") == ["genuine", "3", "1", "4"]
    assert line(shown, "fraud") == ["fraud", "1", "2", "3"]
    assert line(shown, "total") == ["total", "4", "3", "7"]


def test_costs_are_shown_for_people() -> None:
    amount = np.full(6, 1000.0)
    table = cost_by_threshold(Y, np.linspace(0, 1, 6), amount, cost=Cost(review=4, declined=15))
    shown = text(costs(table))
    assert line(shown, "never") == ["never", "0", "0", "2,000.00", "2,000.00"]
    assert line(shown, "0.8000") == ["0.8000", "2", "2", "8.00", "0.00"]


def test_json_holds_every_figure_of_both_parts() -> None:
    plain = to_json({"Rules": (GOOD, FAIR)})
    assert json.loads(json.dumps(plain)) == plain
    assert plain["Rules"]["test"]["fp"] == 1
    assert plain["Rules"]["train"] == GOOD.to_dict()
