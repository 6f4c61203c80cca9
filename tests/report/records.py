"""The record of a run, as a report, a card and a page of the console read it."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from shroff.evaluate import Thresholds, measure
from shroff.evaluate.judgement import Outlay, evaluate
from shroff.experiment import RunRecord

N = 3_000
LONG = "card_distinct_account_id_1d_where_result_eq_failed_and_amount_gt_500"
"""The name of a feature that no line of the chart has room for."""


def two_detectors() -> RunRecord:
    """Two detectors on the same payments; a merchant's name is HTML."""
    random = np.random.default_rng(0)
    p = random.beta(0.4, 6, N)
    y, amount, card = (
        random.random(N) < p,
        np.round(random.lognormal(3, 1, N), 2),
        random.integers(0, 300, N),
    )
    names = np.where(card % 2 == 0, "</script><b>Ann & Co</b>", "plain")
    bands = np.array(["up to 9", "9 to 90", "above 90"])[np.digitize(amount, [9, 90])]
    groups = {
        "merchant": pl.Series(names, dtype=pl.Enum(["</script><b>Ann & Co</b>", "plain"])),
        "amount": pl.Series(bands, dtype=pl.Enum(["up to 9", "9 to 90", "above 90"])),
    }
    detectors, evaluation = {}, {}
    for name, shown in (("rules", np.where(p > 0.2, 0.4, 0.05)), ("boosted_trees", p)):
        chosen = Thresholds(0.2, 0.5, 0.0, 0, 0)
        day = np.arange(N) // 300
        figures = measure(y, shown, threshold=0.3, day=day, card=card).to_dict()
        thresholds = {"review_at": 0.2, "decline_at": 0.5}
        detectors[name] = {
            "train": figures,
            "test": figures,
            "thresholds": thresholds,
            "findings": [],
            "held_out_average_precision": 0.5,
            "by_cost": {"review_price": 2.5, "kept_days": 0.9, "in_force": name != "rules"},
        }
        ways = ("one pair of thresholds", "the cheapest action for each payment")
        outlays = [
            Outlay(way=way, reviews=3.0, challenges=0.0, declines=1.0, cost=cost)
            for way, cost in zip(ways, (120.5, 98.25), strict=True)
        ]
        judgement = evaluate(
            y,
            shown,
            amount=amount,
            card=card,
            days=10.0,
            threshold=0.3,
            thresholds=chosen,
            groups=groups,
        )
        evaluation[name] = msgspec.structs.replace(judgement, decisions=tuple(outlays))
    part = {"payments": N, "frauds": int(y.sum())}
    return RunRecord(
        run="20240504T081500Z-1f3a",
        began="2024-05-04T08:15:00.000000+00:00",
        ended="2024-05-04T08:16:00+00:00",
        parameters={
            "detectors": [{"name": "rules"}, {"name": "boosted_trees", "n_trees": 300}],
            "policy": {
                "cost": {"review": 4.0, "missed": "amount", "declined": 15.0},
                "reviews_per_day": 200,
                "rules": [{"name": "big", "condition": "amount > 5 | 1", "action": "review"}],
                "degraded": "review",
            },
        },
        inputs={
            "data": {"file": "p.csv", "bytes": 1, "sha256": "0" * 64},
            "features": {},
            "table": "1" * 64,
        },
        code={"python": "3"},
        machine={"system": "Linux", "cores": 2},
        figures={
            "best": "boosted_trees",
            "split": "time:70/30",
            "outlook": "The log is split.",
            "parts": {"train": part, "test": part},
            "inputs": ["amount"],
            "dropped": {"amount: expected a number, got text": 12},
            "findings": [
                {"check": "calibration", "severity": "warning", "sentence": "expected 1 < 2"}
            ],
            "detectors": detectors,
        },
        evaluation=evaluation,
        importance={"amount": 0.4, LONG: 0.2},
    )
